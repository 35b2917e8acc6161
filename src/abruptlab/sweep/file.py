"""Sweeps: many runs around one configuration, each in a folder of its own inside the sweep's.

A sweep is a TOML file. Its runs are all combinations of the values under `grid`, with each of the `variants`, with each
of the seeds:

    name = "width"
    base = "laptop"                    # a preset, or the name of a configuration file beside this one
    seeds = [0, 1, 2]
    overrides.training.steps = 8000    # for every run
    grid.training.batch = [64, 128]
    [[variants]]
    family = "width"                   # variants that one figure compares; may be left out
    label = "32"                       # of the picture's legend; else made of what the variant changes
    model = { width = 32, mlp_width = 128 }
    start.run = "runs/laptop-seed{seed}"   # {seed} is that of the run

Families may share a run: the same settings in two of them are trained once, in one folder.
"""

import hashlib
import itertools
import json
import math
import shlex
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from abruptlab.arguments import checked, choice, require
from abruptlab.config import STRICT, RunConfig, usual
from abruptlab.errors import ConfigError, RunError
from abruptlab.presets import PRESETS, preset
from abruptlab.task.matrix import MatrixTask
from abruptlab.toml import flat, mistakes_of, parsed, read_text, require_kinds, unknown_field, validated

if TYPE_CHECKING:
    from abruptlab.run.run import Run

MOST_RUNS = 10_000  # a year of seconds-long runs; more is a slip of the pen, and takes minutes only to be listed
TAKEN = ("config.toml", "sweep.toml")  # in a sweep's folder: they would make it a run, or are its own file
OF_THE_SWEEP = {"seed", "name"}  # fields of a run that its sweep decides
Settings = dict[str, Any]  # dotted name of a field → its value
SHIPPED = Path(__file__).parents[1] / "paper" / "sweeps"


def find_sweep(name: str) -> Path:
    """The file of a sweep, given as that file or as the name of a sweep that comes with the package.

    Raises `ConfigError`, listing those of the package, if it is neither.
    """
    for path in (Path(name), SHIPPED / f"{name}.toml"):
        if path.is_file():
            return path
    if (begun := Path(name) / "sweep.toml").is_file():
        command = ["abruptlab", "sweep", str(begun), "--out", name]
        raise ConfigError(f"{name} is a sweep's folder; to go on with it: {shlex.join(command)}")
    if name.endswith(".toml"):
        raise ConfigError(f"there is no sweep's file {name}")
    shipped = sorted(path.stem for path in SHIPPED.glob("*.toml"))
    raise ConfigError(f"{name} is neither a sweep's file nor a sweep of the package; {choice(name, shipped)}")


@dataclass(frozen=True)
class Point:
    """One run of a sweep."""

    label: str  # its variant: what it changes, but for the seed
    config: RunConfig
    family: str = ""  # the variants it is compared with

    @cached_property
    def key(self) -> str:
        """The name of its folder: a hash of all that defines its numbers.

        Only fields that are not at their defaults enter, so that a field yet to be invented changes no old run's key.
        """
        defaults = usual(type(self.config.task))
        content = {name: value for name, value in flat(self.config.to_table()).items() if value != defaults[name]}
        content.pop("name", None)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class SweepConfig:
    """What a sweep's file says; a table's dotted names are nested tables."""

    __pydantic_config__: ClassVar = STRICT

    name: str
    base: str
    seeds: tuple[int, ...] = (0,)
    overrides: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, Any] = field(default_factory=dict)
    variants: tuple[dict[str, Any], ...] = ()

    @staticmethod
    def read(path: Path) -> "SweepConfig":
        """Read a sweep's file and check every one of its runs.

        Raises `ConfigError`, naming the file and the mistake.
        """
        text = read_text(path)
        with mistakes_of(path):
            table = parsed(text)
            require(not isinstance(table.get("variants"), dict), "variants", "[[variants]] above each", "[variants]")
            fields = {*_names(RunConfig), *usual(MatrixTask)} - OF_THE_SWEEP
            of_a_run = [f"overrides.{name}" for name in sorted(fields)]
            config = validated(SweepConfig, table, _names(SweepConfig), nearby=of_a_run)
            require_kinds(table.get("seeds", config.seeds), config.seeds, "seeds")
            config.points(path.parent)
        return config

    def points(self, beside: Path = Path()) -> list[Point]:
        """All runs, seed by seed, so that a sweep cut short has whole seeds; a `base` file is looked for `beside`.

        Raises `ConfigError` for a field that does not exist, a bad value, or two runs of a family that are the same.
        """
        is_file = Path(self.base).name == self.base and (beside / self.base).is_file()
        if not (is_file or self.base in PRESETS):  # a file moves into the sweep's folder with the sweep
            known = choice(self.base, PRESETS)
            raise ConfigError(f"base: {self.base!r} is neither a file beside this one nor a preset; {known}")
        taken = is_file and self.base in TAKEN
        require(not taken, "base", f"a file of another name ({' and '.join(TAKEN)} are the folder's own)", self.base)
        require(len(self.seeds) > 0, "seeds", "at least one", "none")
        if self.count > MOST_RUNS:
            raise ConfigError(f"expected at most {MOST_RUNS:,} runs, got {self.count:,}")
        base = preset(self.base) if self.base in PRESETS else RunConfig.read(beside / self.base)
        for table in (self.overrides, self.grid, *self.variants):
            for name in OF_THE_SWEEP & table.keys():
                raise ConfigError(f"{name}: expected none in overrides, grid and variants, as the sweep has its own")
        common = flat(self.overrides)
        variable = ["family", "label", *(name for name in _names(RunConfig) if name not in OF_THE_SWEEP)]
        points: dict[tuple[str, str], Point] = {}
        labels: set[tuple[str, str, int]] = set()
        for seed, combination, variant in itertools.product(self.seeds, self._combinations(), self.variants or ({},)):
            settings, combination = dict(variant), flat(combination)
            for name in settings:
                if name.partition(".")[0] in _names(SweepConfig):
                    raise ConfigError(f"variants: expected {name.partition('.')[0]} above the first [[variants]]")
                if name.partition(".")[0] not in variable:
                    raise ConfigError(f"variants: {unknown_field(name, variable)}")
            family, named = (_name(settings.pop(which, ""), which) for which in ("family", "label"))
            changes, own = combination | flat(settings), combination.keys() & flat(settings).keys()
            told = combination if named else changes
            parts = [f"{name.rpartition('.')[2]} {value}" for name, value in told.items()]
            label = ", ".join(filter(None, [named, *parts])) or self.base
            try:
                _require_single(common | changes, usual(type(base.task)))
                settings = _of_seed(common | changes, seed)
                config = _changed(base, settings | {"seed": seed, "name": self.name})
            except ConfigError as error:
                raise ConfigError(f"run {label!r}: {error}") from None
            point = Point(label, config, family)
            if twin := points.get((family, point.key)):
                why = f": the variant's own {', '.join(sorted(own))} goes before the grid's" if own else ""
                raise ConfigError(f"runs {twin.label!r} and {label!r} with seed {seed} are the same{why}")
            if (family, label, seed) in labels:  # whose runs would be taken for seeds of one variant
                raise ConfigError(
                    f"two runs with seed {seed} are called {label!r}: give each variant a label of its own"
                )
            labels.add((family, label, seed))
            points[family, point.key] = point
        return list(points.values())

    @property
    def count(self) -> int:
        """How many runs there are; families may share some of them."""
        return len(self.seeds) * math.prod(map(len, self._axes().values())) * max(1, len(self.variants))

    def _axes(self) -> dict[str, list[Any]]:
        axes = flat(self.grid)
        for name, values in axes.items():
            if not isinstance(values, list):
                raise ConfigError(f"grid.{name}: expected a list of values, got {values!r}")
            require(len(values) > 0, f"grid.{name}", "at least one value", "none")
        return axes

    def _combinations(self) -> list[Settings]:
        axes = self._axes()
        return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def of_families(points: Iterable[Point], families: Collection[str]) -> list[Point]:
    """The points of some families; of all, if none is named.

    Raises `ConfigError`, listing the families, for one that there is not.
    """
    points = list(points)
    there = dict.fromkeys(point.family for point in points)
    for family in families:
        if family not in there:
            named = [each for each in there if each]  # "" is that of the variants which name none
            known = choice(family, named) if named else "its variants name none"
            raise ConfigError(f"the sweep has no family {family!r}; {known}")
    return [point for point in points if not families or point.family in families]


class Sweep:
    """A sweep's folder: `sweep.toml`, and a folder for each run that has begun.

    Raises `ConfigError` if there is no such file, or it makes no sense.
    """

    @checked
    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.config = SweepConfig.read(self.folder / "sweep.toml")

    @cached_property
    def points(self) -> list[Point]:
        """All runs that the sweep has, begun or not."""
        return self.config.points(self.folder)

    @property
    def families(self) -> list[str]:
        """The families of its variants; "" is that of those which name none."""
        return list(dict.fromkeys(point.family for point in self.points))

    def runs(self, family: str = "") -> dict[str, list["Run"]]:
        """Of one family, by label, the runs that are finished, by seed.

        Raises `ConfigError`, listing the families, for one that the sweep does not have.
        """
        from abruptlab.run.run import Run

        by_label: dict[str, list[Run]] = {}
        for point in of_families(self.points, [family]):
            runs = by_label.setdefault(point.label, [])
            folder = self.folder / point.key
            if (folder / "config.toml").is_file() and (run := Run(folder)).finished:
                runs.append(run)
        return by_label

    def finished(self, family: str = "") -> dict[str, list["Run"]]:
        """`runs`, if there are any. Raises as it does, and `RunError` if none is finished."""
        runs = self.runs(family)
        if not any(runs.values()):
            raise RunError(f"{self.folder}: no run of the family {family!r} is finished")
        return runs

    def planned(self, family: str = "") -> Counter[str]:
        """How many runs each label of a family has, finished or not."""
        return Counter(point.label for point in self.points if point.family == family)


def _name(given: Any, which: str) -> str:
    """What a family or a label is called: a text or a number."""
    require(isinstance(given, str | int | float) and not isinstance(given, bool), which, "a text", repr(given))
    return str(given)


def _names(kind: type) -> list[str]:
    return [each.name for each in fields(kind)]


def _require_single(settings: Settings, usual: Settings) -> None:
    """Raises `ConfigError` for a list where a field has a single value."""
    for name, value in settings.items():
        if isinstance(value, list) and not isinstance(usual.get(name, ()), tuple):
            raise ConfigError(f"{name}: expected one value, got {value}; several, for a run each, go under [grid]")


def _of_seed(settings: Settings, seed: int) -> Settings:
    """The settings of one seed: {seed} in the name of the run to start from stands for it."""
    run = settings.get("start.run")
    return settings | {"start.run": run.replace("{seed}", str(seed))} if isinstance(run, str) else settings


def _changed(base: RunConfig, settings: Settings) -> RunConfig:
    """`base` with some fields changed, checked as a configuration file is; a task of another kind starts from that
    kind's own sizes."""
    table = base.to_table()
    if settings.get("task.kind", base.task.kind) != base.task.kind:
        table["task"] = {}
    for name, value in settings.items():
        *path, last = name.split(".")
        inner = table
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"no field {name}")
        inner[last] = value
    return RunConfig.from_table(table)
