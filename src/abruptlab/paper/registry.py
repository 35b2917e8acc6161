"""The registry's vocabulary: what a figure, a table and a claim are, and what has been measured on a run or a sweep.

Everything is named by module and imported when it is used: the registry itself loads neither PyTorch nor Matplotlib.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from abruptlab.errors import ConfigError

if TYPE_CHECKING:
    from abruptlab.run.drop import Drop
    from abruptlab.run.run import Run
    from abruptlab.sweep.file import Sweep

ANY_SWEEP = "*"  # in place of a sweep's name


@dataclass(frozen=True)
class Later:
    """A function of the package, imported when it is called, with some of its arguments already fixed."""

    module: str  # inside abruptlab
    name: str
    fixed: tuple[tuple[str, Any], ...] = ()

    @property
    def _function(self) -> Callable[..., Any]:
        return getattr(import_module(f"abruptlab.{self.module}"), self.name)

    @property
    def options(self) -> set[str]:
        """The names of the arguments that are still open, but for the first, which is the run, the sweep or the
        result."""
        return set(list(inspect.signature(self._function).parameters)[1:]) - dict(self.fixed).keys()

    def __call__(self, subject: Any, **options: Any) -> Any:
        return self._function(subject, **dict(self.fixed), **options)


def later(module: str, name: str, **fixed: Any) -> Later:
    """`Later`, with the fixed arguments (hashable ones) as keywords."""
    return Later(module, name, tuple(fixed.items()))


class Findings:
    """What is measured on a run or a sweep, each measurement once, and where figures, tables and claims are written.

    `options` (step, seed, matrices) go to every measurement that has them.
    """

    def __init__(self, subject: "Run | Sweep", folder: Path | None = None, **options: Any) -> None:
        self.subject = subject
        self.folder = folder or subject.folder
        self.options = options
        self._results: dict[Later, Any] = {}

    @property
    def run(self) -> "Run":
        """The subject of a figure, a table or a claim that is of a run."""
        return cast("Run", self.subject)

    @property
    def sweep(self) -> str:
        """The name of the sweep; "" for a run."""
        from abruptlab.sweep.file import Sweep

        return self.subject.config.name if isinstance(self.subject, Sweep) else ""

    def suit(self, spec: "FigureSpec | TableSpec | Claim | SweepClaim") -> bool:
        """Whether the subject is what `spec` is of: a run, the sweep of that name, or any sweep."""
        return spec.sweep == self.sweep or (spec.sweep == ANY_SWEEP and self.sweep != "")

    def require(self, what: str, spec: "FigureSpec | TableSpec") -> None:
        """Raises `ConfigError`, saying what is needed and how it is made, unless the subject suits `what`."""
        if self.suit(spec):
            return
        needed = f"the sweep {spec.sweep} (make it: abruptlab sweep {spec.sweep})"
        if not spec.sweep:
            needed = "one run, such as those in the sweep's folders"
        elif spec.sweep == ANY_SWEEP:
            needed = "a sweep (make one: abruptlab sweep FILE.toml)"
        came = f"the sweep {self.sweep}" if self.sweep else "a run"
        raise ConfigError(f"{what} is of {needed}; {self.subject.folder} is {came}")

    def of(self, measure: Later) -> Any:
        """The result of a measurement on the subject. Raises an `AbruptlabError` if the subject cannot give it."""
        if measure not in self._results:
            given = {name: value for name, value in self.options.items() if name in measure.options}
            self._results[measure] = measure(self.subject, **given)
        return self._results[measure]

    def origin(self, spec: "FigureSpec | TableSpec") -> dict[str, Any]:
        """What a figure or a table is made from: the subject, by its `fingerprint`, and those options that it has."""
        options = {name: value for name, value in self.options.items() if name in spec.measure.options}
        return {"subject": self.subject.fingerprint, **options}

    def shown_in(self, spec: "FigureSpec | TableSpec") -> Any:
        """What a figure or a table shows. Raises as `of` does, and `RunError` if it is about another kind of model."""
        if not spec.sweep:
            self.run.require(spec.kind)
        return self.of(spec.measure)


@dataclass(frozen=True)
class FigureSpec:
    """A figure of the paper, or one beside it."""

    title: str
    place: str  # in the paper
    caption: str  # what to see in it
    measure: Later  # Run (or Sweep) → result dataclass
    draw: Later  # result → Figure
    kind: str = "encoder"  # of the model that it is about
    sweep: str = ""  # what it is of: the sweep of that name, any sweep, or, if empty, a run


@dataclass(frozen=True)
class TableSpec:
    """A table of the paper, or one beside it."""

    title: str
    place: str
    caption: str
    measure: Later  # Run (or Sweep) → result dataclass
    tabulate: Later  # result → Table
    kind: str = "encoder"
    sweep: str = ""  # what it is of, as of a figure


@dataclass(frozen=True)
class Bound:
    """The values with which a claim holds, its ends included."""

    low: float = -math.inf
    high: float = math.inf

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        if self.low == self.high:
            return f"exactly {self.low:g}"
        if self.low == -math.inf:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high == math.inf else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper as one number and the bound within which it holds.

    The bound is fixed before any run is judged and is the same for every run; a claim that fails is reported with its
    number.
    """

    text: str
    place: str
    quantity: str  # what the number is
    bound: Bound
    measure: "Callable[[Findings, Drop], float | None]"  # None where the run has nothing to say (yet)
    kind: str = "encoder"  # of the model that it is about
    needs_drop: bool = True  # without a drop it is not judged; else it then fails
    sweep: ClassVar = ""  # a run


def at_the_end(measure: Callable[[Findings], float | None]) -> "Callable[[Findings, Drop], float | None]":
    """A claim's measure of the final model; None for a run that has been stopped while it falls."""
    return lambda found, drop: None if drop.end is None and not found.run.finished else measure(found)


@dataclass(frozen=True)
class Number:
    """A number over the seeds of a sweep, and how many they are."""

    value: float
    finished: int  # runs of the variant that has the fewest, of those that enter it
    planned: int


@dataclass(frozen=True)
class SweepClaim:
    """A claim on the runs of a sweep, over their seeds; otherwise as `Claim`."""

    text: str
    place: str
    quantity: str
    bound: Bound
    measure: Callable[[Findings], Number]
    sweep: str
