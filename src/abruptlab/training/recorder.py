"""Writing a run folder: config, metrics, checkpoints; taking it up again where it was left."""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from jaxtyping import Float
from torch import Tensor, nn

from abruptlab.config import RunConfig
from abruptlab.errors import CheckpointError, DivergedError, RunError
from abruptlab.run.checkpoints import delete_checkpoint, load_checkpoint, save_checkpoint, saved_steps
from abruptlab.run.drop import find_drop
from abruptlab.run.run import ALWAYS, DROPS, METRICS, read_metrics
from abruptlab.system.files import write_atomically
from abruptlab.training.optimizers import optimizer_tensors, restore_optimizers
from abruptlab.training.schedules import outdated

Row = dict[str, int | float]


class Recorder:
    """The one writer of a run folder, from `__enter__` to `__exit__`.

    Entering it raises `RunError` if the folder holds another run, or this one without `resume`, if another process
    writes it, or if it cannot be written.
    """

    def __init__(self, config: RunConfig, folder: Path, *, resume: bool, made_with: dict[str, str]) -> None:
        self.config = config
        self.folder = folder
        self.resume = resume
        self.made_with = made_with
        self.rows: list[Row] = []
        self._names = METRICS[config.model.kind]
        self._waiting: list[tuple[int, Float[Tensor, " metric"], float, float]] = []
        self._lock = FileLock(folder / ".lock", blocking=False)
        self._seconds_before = 0.0
        self._clock = time.perf_counter()

    @property
    def metrics_file(self) -> Path:
        """Where the metrics are appended."""
        return self.folder / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    def __enter__(self) -> "Recorder":
        with self._writing():
            found = self.folder.exists() and any(path.name != ".lock" for path in self.folder.iterdir())
            if found:
                self._require_same_run()
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout:
                raise RunError(f"{self.folder} is being written by another process") from None
            if not found:
                write_atomically(self.folder / "config.toml", self.config.to_toml())
                self.checkpoints.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _require_same_run(self) -> None:
        path = self.folder / "config.toml"
        if not path.is_file():
            raise RunError(f"{self.folder} is not empty and holds no run; choose another folder")
        there, ours = _flat(RunConfig.read(path)), _flat(self.config)
        differs = next((name for name in ours if there[name] != ours[name]), None)
        if differs is not None:
            raise RunError(
                f"{self.folder} holds a different run: {differs} is {there[differs]} there, {ours[differs]} here; "
                "choose another folder"
            )
        if not self.resume:
            raise RunError(f"{self.folder} already holds this run; resume it, or choose another folder")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            saved = saved_steps(self.checkpoints)
            safe = f"; the run is safe up to step {saved[-1]}" if saved else ""
            raise RunError(f"cannot write {error.filename or self.folder}: {error.strerror or error}{safe}") from None

    def restore(self, model: nn.Module, optimizers: list[torch.optim.Optimizer], warn: Callable[[str], None]) -> int:
        """Put the newest intact checkpoint into `model` and `optimizers` and forget the metrics after it.

        Returns its step, or 0 with everything as it was if there is none; each damaged checkpoint is passed over with
        a warning.
        """
        start = 0
        for step in reversed(saved_steps(self.checkpoints)):
            try:
                weights = load_checkpoint(self.checkpoints, step)
                state = load_checkpoint(self.checkpoints, step, "optimizer")
            except CheckpointError as error:
                warn(f"{error}; trying the one before it")
                continue
            model.load_state_dict(weights)
            restore_optimizers(optimizers, state)
            start = step
            break
        rows = read_metrics(self.metrics_file, (*self._names, *ALWAYS))
        self.rows = [row for row in rows if row["step"] < start]
        with self._writing():
            write_atomically(self.metrics_file, "".join(_line(row) for row in self.rows))
            for step in saved_steps(self.checkpoints):
                if step > start:
                    delete_checkpoint(self.checkpoints, step)
        self._seconds_before = self.rows[-1]["elapsed_s"] if self.rows else 0.0
        self._clock = time.perf_counter()
        return start

    def keep(self, step: int, metrics: Float[Tensor, " metric"], rate: float) -> None:
        """Note the metrics of a step, still on the device."""
        elapsed = self._seconds_before + time.perf_counter() - self._clock
        self._waiting.append((step, metrics, rate, elapsed))

    @property
    def waiting(self) -> int:
        """How many steps' metrics have not been flushed yet."""
        return len(self._waiting)

    def flush(self) -> list[Row]:
        """Bring the waiting metrics from the device into the metrics file; returns the new rows.

        Raises `DivergedError` at a NaN or infinite loss, naming the step and the last good checkpoint. A checkpoint
        taken at that very step, whose weights are the ones that gave this loss, is deleted.
        """
        if not self._waiting:
            return []
        table = torch.stack([metrics for _, metrics, _, _ in self._waiting]).cpu().numpy()
        rows = [
            self._row(step, values, rate, elapsed)
            for (step, _, rate, elapsed), values in zip(self._waiting, table, strict=True)
        ]
        self._waiting.clear()
        bad = next((at for at, row in enumerate(rows) if not math.isfinite(row["loss"])), None)
        good = rows if bad is None else rows[:bad]
        self.rows += good
        with self._writing(), self.metrics_file.open("a") as file:
            file.writelines(_line(row) for row in good)
        if bad is not None:
            self._diverged(int(rows[bad]["step"]), rows[bad]["loss"])
        return rows

    def _diverged(self, step: int, loss: float) -> None:
        saved = saved_steps(self.checkpoints)
        if step in saved:
            delete_checkpoint(self.checkpoints, step)
            saved.remove(step)
        last = f"the last good checkpoint is that of step {saved[-1]}" if saved else "there is no good checkpoint"
        raise DivergedError(f"the loss is {loss} at step {step}; {last}")

    def save(self, step: int, model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> None:
        """Flush the metrics, write the checkpoint of `step` if it is not there, delete the ones that may go."""
        self.flush()
        if step in saved_steps(self.checkpoints):
            return
        with self._writing():
            save_checkpoint(self.checkpoints, step, model.state_dict(), optimizer_tensors(optimizers), self.made_with)
            steps = np.array([row["step"] for row in self.rows], dtype=np.int64)
            falling = DROPS[self.config.model.kind]
            losses = np.array([row[falling] for row in self.rows], dtype=np.float64)
            for old in outdated(self.config.training, saved_steps(self.checkpoints), find_drop(steps, losses)):
                delete_checkpoint(self.checkpoints, old)

    def _row(self, step: int, metrics: Float[np.ndarray, " metric"], rate: float, elapsed: float) -> Row:
        # A 32-bit float's shortest text loses nothing, so equal files mean equal bits.
        values = (float(str(value)) for value in metrics.astype(np.float32))
        named = dict(zip(self._names, values, strict=True))
        return {"step": step, **named, "learning_rate": rate, "elapsed_s": round(elapsed, 3)}


class Follower:
    """What the other processes of a run have instead of a `Recorder`: it keeps and writes nothing."""

    rows: tuple[Row, ...] = ()
    waiting = 0

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def restore(self, model: nn.Module, optimizers: list[torch.optim.Optimizer], warn: Callable[[str], None]) -> int:
        return 0

    def keep(self, step: int, metrics: Float[Tensor, " metric"], rate: float) -> None:
        pass

    def flush(self) -> None:
        pass

    def save(self, step: int, model: nn.Module, optimizers: list[torch.optim.Optimizer]) -> None:
        pass


def _line(row: Row) -> str:
    known = {name: value if math.isfinite(value) else None for name, value in row.items()}  # JSON knows no NaN
    return json.dumps(known) + "\n"


def _flat(config: RunConfig) -> dict[str, object]:
    """Fields by dotted name. The name of the run is not among them: it decides no number."""
    flat: dict[str, object] = {}
    for key, value in asdict(config).items():
        flat |= {f"{key}.{inner}": item for inner, item in value.items()} if isinstance(value, dict) else {key: value}
    del flat["name"]
    return flat
