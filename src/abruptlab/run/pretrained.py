"""The run that comes with the package, so that every experiment works without training first."""

from importlib.resources import files
from pathlib import Path

from abruptlab.arguments import checked, choice
from abruptlab.errors import RunError
from abruptlab.model.encoder import Encoder
from abruptlab.run.run import Run

_FOLDER = Path(str(files("abruptlab"))) / "weights"  # the package is never zipped: it holds files of megabytes


def shipped_runs() -> list[str]:
    """The names of the runs that come with the package."""
    return sorted(path.parent.name for path in _FOLDER.glob("*/config.toml"))


@checked
def pretrained_run(name: str = "laptop") -> Run:
    """The shipped run called `name`: its configuration, its metrics, and the checkpoints of `Run.milestones`.

    Raises `RunError`, listing the names, if there is none.
    """
    if name not in shipped_runs():
        raise RunError(f"no shipped run {name!r}; {choice(name, shipped_runs())}")
    return Run(_FOLDER / name)


def is_shipped(name: str) -> bool:
    """Whether `name` means a run of the package: a run folder of that name goes first."""
    return name in shipped_runs() and not (Path(name) / "config.toml").exists()


def find_run(name: Path | str) -> Run:
    """The run in the folder `name`, or else the one of that name that comes with the package.

    Raises `RunError` if there is neither.
    """
    if is_shipped(str(name)):
        return pretrained_run(str(name))
    if not Path(name).exists():
        raise RunError(f"{name} is neither a run folder nor a run of the package; {choice(name, shipped_runs())}")
    return Run(name)


def called(run_folder: Path) -> str:
    """What a command calls a run: by its name if it comes with the package, else by its folder."""
    return run_folder.name if run_folder.parent == _FOLDER else str(run_folder)


@checked
def load_pretrained(name: str = "laptop", step: int | str = "final") -> Encoder:
    """A shipped model after `step` updates, or at one of `start`, `before-drop`, `onset`, `after-drop`, `final`.

    Raises `RunError` for a name that does not exist and `CheckpointError` for a step that was not shipped, each
    listing those there are.
    """
    return pretrained_run(name).load_encoder(step)
