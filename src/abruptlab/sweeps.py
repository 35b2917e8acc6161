"""Sweeps: many runs around one configuration, each in a folder of its own inside the sweep's.

A sweep is a TOML file. Its runs are all combinations of the values under `grid`, with each of the `variants`, with each
of the seeds:

    name = "width"
    base = "laptop"                    # a preset, or a configuration file
    seeds = [0, 1, 2]
    overrides.training.steps = 8000    # for every run
    grid.training.batch = [64, 128]
    [[variants]]
    label = "32"                       # of the picture's legend; else made of what the variant changes
    model = { width = 32, mlp_width = 128 }
"""

import hashlib
import itertools
import tomllib
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from abruptlab.config import STRICT, RunConfig, first_mistake
from abruptlab.errors import ConfigError
from abruptlab.presets import PRESETS, preset

if TYPE_CHECKING:
    from abruptlab.runs import Run

Settings = dict[str, Any]  # dotted name of a field → its value


@dataclass(frozen=True)
class Point:
    """One run of a sweep."""

    label: str  # its variant: what it changes, but for the seed
    config: RunConfig

    @property
    def key(self) -> str:
        """The name of its folder: a hash of all that defines its numbers."""
        content = replace(self.config, name="sweep").to_toml()
        return hashlib.sha256(content.encode()).hexdigest()[:12]


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
        from pydantic import TypeAdapter, ValidationError

        try:
            config = TypeAdapter(SweepConfig).validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
            config.points(path.parent)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path} is not TOML: {error}") from None
        except ValidationError as error:
            raise ConfigError(f"{path}: {first_mistake(error)}") from None
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        return config

    def points(self, beside: Path = Path()) -> list[Point]:
        """All runs, seed by seed, so that a sweep cut short has whole seeds; a `base` file is looked for `beside`.

        Raises `ConfigError` for a field that does not exist, a bad value, or two runs that are the same.
        """
        base = preset(self.base) if self.base in PRESETS else RunConfig.read(beside / self.base)
        common = _flat(self.overrides)
        found: dict[str, Point] = {}
        for seed, combination, variant in itertools.product(self.seeds, self._combinations(), self.variants or ({},)):
            changes = combination | _flat({name: value for name, value in variant.items() if name != "label"})
            named = variant.get("label")
            parts = [
                f"{name.rpartition('.')[2]} {value}" for name, value in (combination if named else changes).items()
            ]
            label = ", ".join([*([str(named)] if named else []), *parts]) or self.base
            config = _changed(base, common | changes | {"seed": seed, "name": self.name})
            point = Point(label, config)
            if point.key in found:
                raise ConfigError(f"runs {found[point.key].label!r} and {label!r} with seed {seed} are the same")
            found[point.key] = point
        if not found:
            raise ConfigError("expected at least one seed, one variant and one value of the grid")
        return list(found.values())

    def _combinations(self) -> list[Settings]:
        axes = _flat(self.grid)
        for name, values in axes.items():
            if not isinstance(values, list):
                raise ConfigError(f"grid.{name}: expected a list of values, got {values!r}")
        return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


class Sweep:
    """A sweep's folder: `sweep.toml`, and a folder for each run that has begun.

    Raises `ConfigError` if there is no such file, or it makes no sense.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.config = SweepConfig.read(self.folder / "sweep.toml")

    @cached_property
    def points(self) -> list[Point]:
        """All runs that the sweep has, begun or not."""
        return self.config.points(self.folder)

    @property
    def runs(self) -> dict[str, list["Run"]]:
        """By label, the runs that are finished, by seed."""
        from abruptlab.runs import Run

        found: dict[str, list[Run]] = {point.label: [] for point in self.points}
        for point in self.points:
            folder = self.folder / point.key
            if (folder / "config.toml").is_file() and (run := Run(folder)).finished:
                found[point.label].append(run)
        return found


def _flat(table: dict[str, Any], prefix: str = "") -> Settings:
    flat: Settings = {}
    for name, value in table.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _changed(base: RunConfig, settings: Settings) -> RunConfig:
    """`base` with some fields changed, checked as a configuration file is."""
    table = asdict(base)
    for name, value in settings.items():
        *path, last = name.split(".")
        inner = table
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"no field {name}")
        inner[last] = value
    return RunConfig.from_table(table)
