"""What a figure and a table of the registry are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from matplotlib.figure import Figure

from abruptlab.figures.table import Table
from abruptlab.paper.findings import Findings

Result = TypeVar("Result")


@dataclass(frozen=True)
class FigureSpec(Generic[Result]):
    """A figure of the paper, or one beside it."""

    title: str
    place: str  # in the paper
    caption: str  # what to see in it
    measure: Callable[..., Result]  # Run (or Sweep) → result dataclass
    draw: Callable[[Result], Figure]
    kind: str = "encoder"  # of the model that it is about
    sweep: str = ""  # what it is of: the sweep of that name, any sweep, or, if empty, a run


@dataclass(frozen=True)
class TableSpec(Generic[Result]):
    """A table of the paper, or one beside it."""

    title: str
    place: str
    caption: str
    measure: Callable[..., Result]  # Run (or Sweep) → result dataclass
    tabulate: Callable[[Result], Table]
    kind: str = "encoder"
    sweep: str = ""  # what it is of, as of a figure


Figures = dict[str, FigureSpec[Any]]
Tables = dict[str, TableSpec[Any]]


def shown_in(spec: FigureSpec[Result] | TableSpec[Result], findings: Findings) -> Result:
    """What a figure or a table shows of a subject.

    Raises as `Findings.of`, and `RunError` if it is about another kind of model.
    """
    if not spec.sweep:
        findings.run.require(spec.kind)
    return findings.of(spec.measure)
