"""What has been measured on a run or a sweep, each measurement once, and where results are written."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, runtime_checkable

from abruptlab.errors import ConfigError
from abruptlab.paper.standins import STANDINS
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep

Result = TypeVar("Result")

ANY_SWEEP = "*"  # in place of a sweep's name
FEW = 64  # matrices on which a null is measured: it has to be told from the bound, not to have many digits
FEW_TO_FIT = 512  # and to which its probes are fitted


@runtime_checkable  # for beartype in the tests
class Spec(Protocol):
    """What is of a run or of a sweep: a figure, a table, a claim."""

    @property
    def sweep(self) -> str: ...


class Findings:
    """What is measured on a run or a sweep, each measurement once.

    `options` (step, seed, matrices) go to every measurement that has them.
    """

    def __init__(self, subject: Run | Sweep, folder: Path | None = None, **options: Any) -> None:
        self.subject = subject
        self.folder = folder or subject.folder
        self.options = options
        self._results: dict[Callable[..., Any], Any] = {}
        self._standins: dict[str, Findings] = {}

    @property
    def run(self) -> Run:
        """The subject of a figure, a table or a claim that is of a run."""
        return cast(Run, self.subject)

    @property
    def sweep(self) -> str:
        """The name of the sweep; "" for a run."""
        return self.subject.config.name if isinstance(self.subject, Sweep) else ""

    def suit(self, spec: Spec) -> bool:
        """Whether the subject is what `spec` is of: a run, the sweep of that name, or any sweep."""
        return spec.sweep == self.sweep or (spec.sweep == ANY_SWEEP and self.sweep != "")

    def require(self, what: str, spec: Spec) -> None:
        """Raises `ConfigError`, saying what is needed and how it is made, unless the subject suits `what`."""
        if self.suit(spec):
            return
        needed = f"the sweep {spec.sweep} (make it: abruptlab sweep {spec.sweep})"
        if not spec.sweep:
            needed = "one run, such as those in the sweep's folders"
        elif spec.sweep == ANY_SWEEP:
            needed = "a sweep (make one: abruptlab sweep FILE.toml)"
        given = f"the sweep {self.sweep}" if self.sweep else "a run"
        raise ConfigError(f"{what} is of {needed}; {self.subject.folder} is {given}")

    def of(self, measure: Callable[..., Result]) -> Result:
        """The result of a measurement on the subject: a function of the run or sweep, or a `partial` of one.

        Raises an `AbruptlabError` if the subject cannot give it.
        """
        if measure not in self._results:
            given = {name: value for name, value in self.options.items() if name in options_of(measure)}
            self._results[measure] = measure(self.subject, **given)
        return self._results[measure]

    def origin(self, measure: Callable[..., Any]) -> dict[str, Any]:
        """What a figure or a table is made from: the subject, by its `fingerprint`, and those options that it has."""
        options = {name: value for name, value in self.options.items() if name in options_of(measure)}
        return {"subject": self.subject.fingerprint, **options}

    def on(self, standin: str) -> "Findings":
        """What is found where something else stands in the run's place (`standins.STANDINS`), on fewer matrices."""
        if standin not in self._standins:
            few = {"matrices": min(FEW, self.options.get("matrices", FEW)), "train": FEW_TO_FIT}
            options = self.options | few
            self._standins[standin] = Findings(STANDINS[standin](self.run), self.folder, **options)
        return self._standins[standin]


def options_of(measure: Callable[..., Any]) -> set[str]:
    """The names of the arguments of a measurement that are still open, but for the first, the run or the sweep."""
    fixed = measure.keywords.keys() if isinstance(measure, partial) else set()
    return set(list(inspect.signature(measure).parameters)[1:]) - fixed
