"""What a figure and a table of the registry are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from matplotlib.figure import Figure

from abruptlab.figures.table import Table
from abruptlab.paper.findings import Findings

Result = TypeVar("Result")


@dataclass(frozen=True)
class Spec(Generic[Result]):
    """What is measured and shown, in the paper or beside it."""

    title: str
    place: str  # in the paper
    caption: str  # what to see in it
    measure: Callable[..., Result]  # Run (or Sweep) → result dataclass
    kind: str = field(default="encoder", kw_only=True)  # of the model that it is about
    sweep: str = field(default="", kw_only=True)  # the sweep of that name, any sweep, or, if empty, a run


@dataclass(frozen=True)
class FigureSpec(Spec[Result]):
    """A figure of the paper, or one beside it."""

    draw: Callable[[Result], Figure]


@dataclass(frozen=True)
class TableSpec(Spec[Result]):
    """A table of the paper, or one beside it."""

    tabulate: Callable[[Result], Table]


Figures = dict[str, FigureSpec[Any]]
Tables = dict[str, TableSpec[Any]]


def shown_in(spec: Spec[Result], findings: Findings) -> Result:
    """What a figure or a table shows of a subject.

    Raises as `Findings.of`, and `RunError` if it is about another kind of model.
    """
    if not spec.sweep:
        findings.run.require(spec.kind)
    return findings.of(spec.measure)
