"""What has been measured on a run or a sweep, each measurement once, and where results are written."""

import hashlib
import inspect
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from abruptlab.errors import AbruptlabError, ConfigError
from abruptlab.paper.kept import kept
from abruptlab.paper.standins import STANDINS
from abruptlab.run.pretrained import find_run
from abruptlab.run.run import MILESTONES, Run
from abruptlab.sweep.file import Sweep
from abruptlab.system.devices import choose_device
from abruptlab.system.provenance import code, device_name, versions

Result = TypeVar("Result")

ANY_SWEEP = "*"  # in place of a sweep's name
DECISIVE = ("scikit-learn", "scipy")  # packages that decide results, but no training
FEW = 64  # matrices on which a null is measured: it has to be told from the bound, not to have many digits
FEW_TO_FIT = 512  # and to which its probes are fitted


class Findings:
    """What is measured on a run or a sweep, each measurement once.

    `options` (step, seed, matrices) go to every measurement that has them. With `keep` results stay in the folder, in
    `measurements`, for whoever asks the same of the same checkpoints and losses again, by the same code, on the same
    device.
    """

    def __init__(
        self, subject: Run | Sweep, folder: Path | None = None, *, keep: bool = False, standin: str = "", **options: Any
    ) -> None:
        self.subject = subject
        self.folder = folder or subject.folder
        # Models of a run whose useful attention was multiplied are loaded with a warning, to be given each time.
        self.keep = keep and not (isinstance(subject, Run) and subject.config.training.useful_attention != 1)
        self.standin = standin
        self.options = options
        self._results: dict[tuple[Callable[..., Any], str], Any] = {}
        self._standins: dict[str, Findings] = {}
        self._made_of = {"subject": _content(subject), "code": code()}  # before the losses are read, which may grow

    @property
    def run(self) -> Run:
        """The subject of a figure, a table or a claim that is of a run."""
        return cast(Run, self.subject)

    @property
    def sweep(self) -> str:
        """The name of the sweep; "" for a run."""
        return self.subject.config.name if isinstance(self.subject, Sweep) else ""

    def suit(self, sweep: str) -> bool:
        """Whether the subject is what a figure, a table or a claim is of: a run (""), the `sweep`, or any sweep."""
        return sweep == self.sweep or (sweep == ANY_SWEEP and self.sweep != "")

    def require(self, what: str, sweep: str) -> None:
        """Raises `ConfigError`, saying what is needed and how it is made, unless the subject suits `what`."""
        if self.suit(sweep):
            return
        needed = f"the sweep {sweep} (make it: abruptlab sweep {sweep})"
        if not sweep:
            needed = "one run, such as those in the sweep's folders"
        elif sweep == ANY_SWEEP:
            needed = "a sweep (make one: abruptlab sweep FILE.toml)"
        given = f"the sweep {self.sweep}" if self.sweep else "a run"
        raise ConfigError(f"{what} is of {needed}; {self.subject.folder} is {given}")

    def of(self, measure: Callable[..., Result]) -> Result:
        """The result of a measurement on the subject: a function of the run or sweep, or a `partial` of one.

        Raises an `AbruptlabError` if the subject cannot give it.
        """
        known = which(measure)
        if known not in self._results:
            self._results[known] = self._kept(measure) if self.keep else self._measured(measure)
        return self._results[known]

    def _measured(self, measure: Callable[..., Result]) -> Result:
        return measure(self.subject, **self._given(measure))

    def _kept(self, measure: Callable[..., Result]) -> Result:
        function, fixed = which(measure)
        what = {"measure": f"{function.__module__}:{function.__name__}", "fixed": fixed, "standin": self.standin}
        asked = what | {"given": self._given(measure), "device": device_name(choose_device())}
        name = hashlib.sha256(repr(asked).encode()).hexdigest()[:8]
        path = self.folder / "measurements" / f"{function.__name__}-{name}"
        return kept(path, asked | self._made_of | versions(*DECISIVE), lambda: self._measured(measure))

    def _given(self, measure: Callable[..., Any]) -> dict[str, Any]:
        return {name: value for name, value in self.options.items() if name in options_of(measure)}

    def origin(self, measure: Callable[..., Any]) -> dict[str, Any]:
        """What a figure or a table is made from: the subject and the code, by hashes, and those options that it has."""
        return self._made_of | self._given(measure)

    def on(self, standin: str) -> "Findings":
        """What is found where something else stands in the run's place (`standins.STANDINS`), on fewer matrices."""
        if standin not in self._standins:
            few = {"matrices": min(FEW, self.options.get("matrices", FEW)), "train": FEW_TO_FIT}
            subject, options = STANDINS[standin](self.run), self.options | few
            self._standins[standin] = Findings(subject, self.folder, keep=self.keep, standin=standin, **options)
        return self._standins[standin]


def _content(subject: Run | Sweep) -> str:
    """A hash of what can be measured of a run, or of a sweep and the runs that its own start from."""
    if isinstance(subject, Run):
        return _files(subject.folder, "")
    points = [repr((point.family, point.label, point.key)) for point in subject.points]
    found = [_files(subject.folder, "*/"), *points]
    for start in sorted({point.config.start.run for point in subject.points} - {""}):
        with suppress(AbruptlabError):  # it is not there
            found.append(_files(find_run(start).folder, ""))
    return hashlib.sha256("".join(found).encode()).hexdigest()[:16]


def _files(folder: Path, where: str) -> str:
    """A hash of what is in the folder of a run, or of all runs in a folder."""
    inside = ["*.toml", "*.jsonl", MILESTONES, "checkpoints/*/meta.json"]  # that has the digests of the weights
    paths = sorted(path for pattern in inside for path in folder.glob(where + pattern))
    found = hashlib.sha256()
    for path in paths:
        with suppress(OSError):  # a training drops checkpoints, and what cannot be read cannot be measured
            found.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
            if path.name == "meta.json":
                found.update(str(path.with_name("model.safetensors").stat().st_size).encode())
    return found.hexdigest()[:16]


def which(measure: Callable[..., Any]) -> tuple[Callable[..., Any], str]:
    """What a measurement is known by: its function, and what a `partial` fixes of its arguments."""
    if isinstance(measure, partial):
        return measure.func, repr((*measure.args, *sorted(measure.keywords.items())))
    return measure, ""


def options_of(measure: Callable[..., Any]) -> set[str]:
    """The names of the arguments of a measurement that are still open, but for the first, the run or the sweep."""
    fixed = measure.keywords.keys() if isinstance(measure, partial) else set()
    return set(list(inspect.signature(measure).parameters)[1:]) - fixed
