"""A run that another process trains, read while it grows; nothing here writes or locks anything."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from abruptlab.errors import RunError
from abruptlab.run.checkpoints import read_meta
from abruptlab.run.drop import Drop, find_drop
from abruptlab.run.metrics import parse_rows
from abruptlab.run.run import ALWAYS, Run

RECENT = 100  # steps over which speed and losses are means
QUIET_S = 60.0  # without a new step, and a run counts as quiet
QUIET_STEPS = 10  # but no sooner than so many steps take


class GrowingMetrics:
    """A metrics file that grows, or is not there yet: each look reads only what is new."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.path = path
        self.changed_at: float | None = None  # seconds since the epoch, when the file last grew
        self._names = ("step", *names)
        self._file: int | None = None
        self._forget()

    def _forget(self) -> None:
        self.table: dict[str, Float[np.ndarray, " time"]] = {name: np.empty(0) for name in self._names}
        self._read = 0

    def look(self) -> bool:
        """Take in the rows that are whole and new; returns whether there were any.

        A run that is taken up again puts another file in the place of the old one, without the steps after its
        checkpoint: then everything is read anew. Raises `RunError` if the file is there and cannot be read, or is
        damaged.
        """
        try:
            with self.path.open("rb") as file:
                state = os.fstat(file.fileno())
                if state.st_ino != self._file or state.st_size < self._read:
                    self._file = state.st_ino
                    self._forget()
                self.changed_at = state.st_mtime
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise RunError(f"cannot read {self.path}: {error.strerror}") from None
        parsed = parse_rows(new, self._names, first=len(self.table["step"]))  # the last line may still be being written
        if parsed.damage:
            raise RunError(f"{self.path} is damaged: {parsed.damage}")
        self._read += parsed.size(len(parsed.rows))
        for name, column in self.table.items():
            self.table[name] = np.append(column, [float(row[name]) for row in parsed.rows])
        return bool(parsed.rows)


class GrowingRun:
    """A run in a folder that may yet have to be made. `look` brings everything up to date.

    Raises `RunError` if the folder holds something else, or cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run: Run | None = None  # None as long as it has not begun
        self.drop: Drop | None = None
        self._metrics: GrowingMetrics | None = None

    def look(self) -> None:
        """Read what is new. Raises as the class does."""
        if self.run is None:
            there = [path.name for path in self.folder.iterdir()] if self.folder.is_dir() else []
            hidden = all(name.startswith(".") for name in there)  # the lock, and what is not yet in its place
            if hidden and not self.folder.is_file():
                return
        self.run = Run(self.folder)  # anew, as it may be given more steps
        objective = self.run.objective
        if self._metrics is None:
            self._metrics = GrowingMetrics(self.folder / "metrics.jsonl", (*objective.names, *ALWAYS))
        finished = self.run.finished  # its rows came before its last checkpoint
        if self._metrics.look():
            self.drop = find_drop(self.metrics["step"].astype(np.int64), self.metrics[objective.falling])
        if finished and not self.step and read_meta(self.run.checkpoints, self.run.steps[-1]).imported:
            raise RunError(f"{self.folder} is an imported run without losses: there is nothing to watch")
        if finished and self.step < (steps := self.run.config.training.steps):
            raise RunError(f"{self._metrics.path} ends with {self.step} rows: the run is finished, with {steps} steps")

    @property
    def metrics(self) -> dict[str, Float[np.ndarray, " time"]]:
        """As `Run.metrics`, until the last look; without a column before the run has begun."""
        return self._metrics.table if self._metrics else {}

    @property
    def step(self) -> int:
        """Updates made."""
        return len(self.metrics.get("step", ()))

    @property
    def finished(self) -> bool:
        """Whether the run has made all its steps, and they have been looked at."""
        return self.run is not None and self.step >= self.run.config.training.steps and self.run.finished

    @property
    def seconds_per_step(self) -> float | None:
        """Of the last steps; None before the second one."""
        elapsed = self.metrics["elapsed_s"][-RECENT:] if self.step > 1 else []
        return float((elapsed[-1] - elapsed[0]) / (len(elapsed) - 1)) if len(elapsed) else None

    @property
    def quiet_since(self) -> float | None:
        """When the last step came (seconds since the epoch), if that is longer ago than steps take; else None."""
        last = self._metrics.changed_at if self._metrics else None
        if last is None or self.finished:
            return None
        patience = max(QUIET_S, QUIET_STEPS * (self.seconds_per_step or 0))
        return last if time.time() - last > patience else None
