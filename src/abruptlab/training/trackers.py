"""Experiment trackers beside the metrics file: TensorBoard, Weights & Biases, trackio. The run folder stays the truth.

A tracker is given every row of metrics, with the measures where there are any, about once a second. One that fails is
given up with a warning: it never stops a training. A run that is resumed goes on in the same run of the tracker, by an
id that lies in its folder. What was given before a kill may not have arrived, so every row that a tracker does not say
it has is given again.
"""

import math
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from abruptlab.config import RunConfig
from abruptlab.errors import AbruptlabError
from abruptlab.run.measures import MEASURES
from abruptlab.run.metrics import Row
from abruptlab.system.files import write_atomically
from abruptlab.training.recorder import Follower, Recorder

TrackerName = Literal["tensorboard", "wandb", "trackio"]
PROJECT = "abruptlab"
ID_FILE = "tracker-id"  # in the run folder


class Tracker(ABC):
    """One tracker's run, open from its construction on."""

    has: int = 0
    """How many rows, from the first on, it has been given; of those before its construction, the ones that arrived."""

    @abstractmethod
    def __init__(self, config: RunConfig, folder: Path, run_id: str) -> None:
        """Begin, or go on."""

    @abstractmethod
    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Take in what was measured at a step."""

    @abstractmethod
    def close(self) -> None:
        """Bring everything to its place."""


class TensorBoard(Tracker):
    """Event files in the run folder, in `tensorboard/`; the newest has everything, and hides what is in the others."""

    def __init__(self, config: RunConfig, folder: Path, run_id: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=0)
        self._writer.add_text("config", f"```toml\n{config.to_toml()}\n```", 0)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases(Tracker):
    """A run of the project abruptlab; with WANDB_MODE=offline, in `wandb/` of the run folder, for `wandb sync`.

    A sync puts an offline run in the place of what the server has of it, so each one has everything.
    """

    def __init__(self, config: RunConfig, folder: Path, run_id: str) -> None:
        import wandb

        self._run = wandb.init(
            project=PROJECT,
            id=run_id,
            name=f"{config.name}-seed{config.seed}",
            dir=folder,
            config=config.to_table(),
            resume="allow",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric("*", step_metric="step")  # its own count cannot go back to a checkpoint
        self.has = int(self._run.summary.get("step", -1)) + 1  # of what the server had when it was resumed

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._run.log({"step": step, **metrics})

    def close(self) -> None:
        self._run.finish()


class Trackio(Tracker):
    """A run of the project abruptlab in trackio's own data base, or on its server."""

    def __init__(self, config: RunConfig, folder: Path, run_id: str) -> None:
        import trackio  # pyright: ignore[reportMissingImports]

        self._trackio = trackio
        name = f"{config.name}-seed{config.seed}-{run_id}"
        run = trackio.init(project=PROJECT, name=name, config=config.to_table(), resume="allow")
        # It keeps a step that it is given twice, and says nowhere in public which ones it has. Were this to go, it
        # would be given all of them.
        self.has = getattr(run, "_next_step", 0)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._trackio.log(metrics, step=step)

    def close(self) -> None:
        self._trackio.finish()


TRACKERS: dict[TrackerName, type[Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "trackio": Trackio,
}


def require_trackers(names: Collection[TrackerName]) -> None:
    """Raises `AbruptlabError` for a tracker that is not installed."""
    for name in names:
        try:
            import_module(name)
        except ImportError:
            raise AbruptlabError(f"tracker {name} is not installed: pip install {name}") from None


@dataclass
class Trackers:
    """The trackers of a run that a recorder writes, from `__enter__` to `__exit__`."""

    _names: Collection[TrackerName]
    _config: RunConfig
    _folder: Path
    _recorder: Recorder | Follower
    _warn: Callable[[str], None]
    _open: dict[str, Tracker] = field(default_factory=dict)

    def __enter__(self) -> "Trackers":
        if self._names:
            run_id = _run_id(self._folder)
            for name in dict.fromkeys(self._names):
                try:
                    self._open[name] = tracker = TRACKERS[name](self._config, self._folder, run_id)
                    # the last that it has may be the measures after what was the end, and their row still to come
                    measures = self._config.training.measure_every > 0
                    tracker.has -= measures and tracker.has == len(self._recorder.rows) + 1
                except Exception as error:
                    self._given_up(name, error)
            self.hand_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.hand_on()
        for name, tracker in self._open.items():
            try:
                tracker.close()
            except Exception as error:
                self._warn(_said(name, error))

    def hand_on(self) -> None:
        """Give each tracker the flushed rows that it does not have. The measures after the last step, which no row of
        metrics follows, come as one of their own."""
        if not self._open:
            return
        rows = list(self._recorder.rows)
        measures = {row["step"]: row for row in self._recorder.measures}
        if len(rows) == (last := self._config.training.steps) and last in measures:
            rows.append({"step": last})
        for name, tracker in list(self._open.items()):
            try:
                for row in rows[tracker.has :]:
                    tracker.log(int(row["step"]), _known(row) | _named(measures.get(row["step"], {})))
                tracker.has = max(tracker.has, len(rows))
            except Exception as error:
                self._given_up(name, error)

    def _given_up(self, name: str, error: Exception) -> None:
        self._open.pop(name, None)
        self._warn(_said(name, error))


def _said(name: str, error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return f"tracker {name} failed, and is given up: {words}"


def _known(row: Row) -> dict[str, float]:
    return {name: value for name, value in row.items() if name != "step" and math.isfinite(value)}


def _named(measures: dict[str, Any]) -> dict[str, float]:
    return {f"measures/{name}": measures[name] for name in MEASURES if measures.get(name) is not None}


def _run_id(folder: Path) -> str:
    path = folder / ID_FILE
    if not path.is_file():
        write_atomically(path, secrets.token_hex(4))
    return path.read_text()
