"""The configuration that the flags of `train` and `reproduce` override: a preset's, a file's, or a run's.

The words are parsed twice, by tyro each time: first to learn what they name, wherever it stands and however it is
written, then with its values as the flags' defaults, which `--help` shows.
"""

from collections.abc import Sequence
from dataclasses import MISSING, Field, field, fields, is_dataclass, make_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import tyro

from abruptlab.config import RunConfig, StartConfig
from abruptlab.errors import ConfigError
from abruptlab.presets import PRESETS, preset
from abruptlab.task import TASKS
from abruptlab.task.base import Task

HELP = ("-h", "--help")


def base_config(command: type, name: str, words: Sequence[str]) -> RunConfig:
    """What the words after `name` start from. Raises `ConfigError` if they name nothing, or two things.

    `reproduce` without a preset is of `laptop`. Exits with 2 if the words do not parse.
    """
    rest = [word for word in words if word not in HELP]
    named = tyro.cli(_unchecked(command), prog=f"abruptlab {name}", args=rest)
    branch = getattr(named, "branch", None)
    given = [str(each) for each in (named.preset, named.config_file, branch) if each is not None]
    if len(given) > 1:
        either = "a preset, --config or --from" if hasattr(named, "branch") else "a preset or --config"
        raise ConfigError(f"{name}: expected {either}, got several: {', '.join(given)}")
    if named.config_file is not None:
        return RunConfig.read(Path(named.config_file))
    if branch is not None:
        return branch_config(branch)
    if named.preset is not None:
        if is_folder(named.preset):
            return RunConfig.read(Path(named.preset) / "config.toml")
        if named.preset not in PRESETS and Path(named.preset).is_dir():
            raise ConfigError(f"{named.preset} is neither a run folder, which has a config.toml, nor a preset")
        return preset(named.preset)
    if name == "reproduce":
        return preset("laptop")
    if len(rest) < len(words):
        return RunConfig()
    raise ConfigError(f"{name}: expected a preset ({', '.join(PRESETS)}) or --config FILE")


def is_folder(name: str | None) -> bool:
    """Whether a word that may be a preset's name is the folder of a run."""
    return name is not None and name not in PRESETS and (Path(name) / "config.toml").is_file()


def branch_config(branch: str) -> RunConfig:
    """The configuration of a run that starts from RUN@STEP, if nothing else is changed.

    Raises `RunError` or `CheckpointError` if there is no such run or checkpoint.
    """
    from abruptlab.run.pretrained import find_run

    name, _, step = branch.rpartition("@") if "@" in branch else (branch, "", "final")
    run = find_run(name)
    return replace(run.config, start=StartConfig(name, str(run.resolve(step))))


@cache
def _unchecked(*kinds: type) -> type:
    """A dataclass with the fields of these, whose values may be such as only make sense with the right defaults."""
    merged: dict[str, tuple[Any, Any]] = {}
    for kind in kinds:
        hints = get_type_hints(kind, include_extras=True)
        merged |= {each.name: _field(hints[each.name], each) for each in fields(kind) if each.name not in merged}
    return make_dataclass(kinds[0].__name__, [(name, *rest) for name, rest in merged.items()])


def _field(hint: Any, given: "Field[Any]") -> tuple[Any, Any]:
    inner, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    if isinstance(inner, type) and is_dataclass(inner):
        other = _unchecked(*(TASKS.values() if inner is Task else [inner]))  # which task is not known yet
        return (Annotated[other, *marks] if marks else other), field(default_factory=other)
    if given.default_factory is not MISSING:
        return hint, field(default_factory=given.default_factory)
    return hint, field(default=given.default)
