"""Findings that are made up, and claims judged on them."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from abruptlab.paper import CLAIMS, Findings
from abruptlab.paper.claim import Number, OverSeeds
from abruptlab.run.run import Run


class Known(Findings):
    """Findings whose measurements are known, by the function that would make them."""

    def __init__(self, run: Run, results: Mapping[Callable[..., Any], Any]) -> None:
        super().__init__(run)
        self.known = results

    def of(self, measure: Callable[..., Any]) -> Any:
        return self.known[measure.func if isinstance(measure, partial) else measure]


def number(name: str, found: Findings) -> Number:
    """A claim's number of a run."""
    measured = CLAIMS[name].measure(found)
    assert not isinstance(measured, OverSeeds)
    return measured


def holds(name: str, found: Findings) -> bool | None:
    """Whether a claim's number is within its bound; None where there is none."""
    measured = number(name, found)
    return None if measured is None else measured in CLAIMS[name].bound


def held(names: Iterable[str], found: Findings) -> dict[str, bool | None]:
    """`holds` of several claims."""
    return {name: holds(name, found) for name in names}
