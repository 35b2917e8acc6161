"""Writing a run folder: config, metrics, checkpoints; taking it up again where it was left."""

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from jaxtyping import Float
from torch import Tensor

from abruptlab.config import RunConfig
from abruptlab.errors import CheckpointError, DivergedError, RunError
from abruptlab.run.checkpoints import (
    checkpoint_folder,
    delete_checkpoint,
    delete_unfinished,
    load_checkpoint,
    put_weights,
    read_meta,
    require_config,
    save_checkpoint,
    saved_steps,
)
from abruptlab.run.divergence import RISE, find_divergence
from abruptlab.run.drop import WHOLE_BINS, find_drop
from abruptlab.run.measures import Row as MeasuresRow, append_measures, keep_measures_before, read_measures
from abruptlab.run.metrics import Row, Rows, Signature, as_line, read_rows, shortest
from abruptlab.run.run import ALWAYS
from abruptlab.system.files import is_leftover, remove_leftovers, write_atomically
from abruptlab.training.optimizers import optimizer_tensors, restore_optimizers
from abruptlab.training.schedules import Schedule
from abruptlab.training.set_aside import SetAside
from abruptlab.training.state import TrainingState


class Recorder:
    """The one writer of a run folder, from `__enter__` to `__exit__`.

    Entering it raises `RunError` if the folder holds another run, or this one without `resume`, if another process
    writes it, or if it cannot be written. With `resume`, the run there may have fewer steps (`RunConfig.prolongs`).
    """

    def __init__(self, config: RunConfig, folder: Path, *, resume: bool, made_with: dict[str, str]) -> None:
        self.config = config
        self.folder = folder
        self.config_file = folder / "config.toml"
        self.metrics_file = folder / "metrics.jsonl"
        self.measures_file = folder / "measures.jsonl"  # if there are any
        self.checkpoints = folder / "checkpoints"
        self.resume = resume
        self.made_with = made_with
        self.rows: list[Row] = []
        self.measures: list[MeasuresRow] = []
        self._objective = config.objective
        self._names = self._objective.names
        self._schedule = Schedule(config.training)
        self._waiting: list[tuple[int, Float[Tensor, " metric"], float, float, dict[str, Tensor]]] = []
        self._measured: list[tuple[int, Float[Tensor, " value"]]] = []
        self._lock = FileLock(folder / ".lock", blocking=False)
        self._set_aside = SetAside(folder)
        self._signature = Signature()
        self._began = time.perf_counter()  # of a resumed run: as long ago as it has been trained

    @property
    def finished(self) -> bool:
        """Whether the run is to be resumed and has all its steps, its rows and its last weights, intact: there is
        nothing to do then. Nothing is written. Raises `RunError` if the folder holds another run."""
        last = self.config.training.steps
        with self._writing():
            if not (self.resume and last in saved_steps(self.checkpoints)):
                return False
            self._require_same_run()
        try:
            load_checkpoint(self.checkpoints, last)
            meta = read_meta(self.checkpoints, last)
        except CheckpointError:
            return False
        rows = self._read_rows()
        return not rows.damage and rows.are(last, meta.metrics)

    def recall(self) -> None:
        """Take in the rows and the measures of a finished run."""
        self.rows, self.measures = self._read_rows().rows, read_measures(self.measures_file)

    def __enter__(self) -> "Recorder":
        with self._writing():
            there = [*self.folder.iterdir()] if self.folder.exists() else []
            # all that a kill at the start may leave
            occupied = any(path.name != ".lock" and not is_leftover(path, [self.config_file]) for path in there)
            if occupied:
                self._require_same_run()
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                self._lock.acquire()
            except Timeout:
                raise RunError(f"{self.folder} is being written by another process") from None
            remove_leftovers(self.folder, [self.config_file, self.metrics_file, self.measures_file])
            if not occupied:
                write_atomically(self.config_file, self.config.to_toml())
                self.checkpoints.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _require_same_run(self) -> None:
        if not self.config_file.is_file():
            raise RunError(f"{self.folder} is not empty and holds no run; choose another folder")
        there, ours = RunConfig.read(self.config_file).decisive, self.config.decisive
        if self.resume and self.config.prolongs(there["training.steps"]):
            there["training.steps"] = ours["training.steps"]
        differs = next((name for name in ours if there.get(name) != ours[name]), None)
        if differs is not None:
            theirs, own = ("empty" if each.get(differs) == "" else each.get(differs) for each in (there, ours))
            raise RunError(
                f"{self.folder} holds a different run: {differs} is {theirs} there, {own} here; choose another folder"
            )
        if not self.resume:
            raise RunError(f"{self.folder} already holds this run; resume it (--resume), or choose another folder")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = error.filename or self.folder
            raise RunError(f"cannot write {where}: {error.strerror or error}{self._safe()}") from None

    def _safe(self) -> str:
        """Up to which step the run can be gone on with, as the end of a sentence; "" if it is none."""
        try:
            rows = self._read_rows()
            for step in reversed(saved_steps(self.checkpoints)):
                try:
                    self._read(step, rows)
                except CheckpointError:
                    continue
                return f"; the run is safe up to step {step}"
        except (OSError, RunError):
            pass  # nor can it be read
        return ""

    def _read_rows(self) -> Rows:
        return read_rows(self.metrics_file, (*self._names, *ALWAYS))

    def _read(self, step: int, rows: Rows) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The weights and the optimiser's state of a checkpoint that stands on these rows of metrics, and on measures.

        Raises `CheckpointError`, naming what is missing or damaged, if the run cannot go on from there.
        """
        state = load_checkpoint(self.checkpoints, step, "optimizer")
        weights = load_checkpoint(self.checkpoints, step)
        if not rows.are(step, read_meta(self.checkpoints, step).metrics):
            lost = rows.damage or f"expected the rows of the {step} steps before the checkpoint"
            what = f"ends with {len(rows.rows)} rows" if not rows.damage and len(rows.rows) < step else "is damaged"
            raise CheckpointError(f"{self.metrics_file} {what}: {lost}")
        measured = {row["step"] for row in read_measures(self.measures_file)}
        due = (before for before in range(step) if self._schedule.takes_measures(before))
        if (lost := next((before for before in due if before not in measured), None)) is not None:
            raise CheckpointError(f"{self.measures_file} is damaged: expected the measures of step {lost}")
        return weights, state

    def restore(self, state: TrainingState, warn: Callable[[str], None]) -> None:
        """Put the newest intact checkpoint whose rows of metrics and measures are there, too, into `state`; what comes
        after it is set aside until the run has passed it again.

        Everything stays as it was if the run has made nothing yet; each damaged checkpoint is passed over with a
        warning. Raises `CheckpointError`, with everything as it was, if something has been made
        and nothing of it can be gone on with, or if it is of another configuration.
        """
        rows, saved = self._read_rows(), saved_steps(self.checkpoints)
        mistakes: list[str] = []
        for step in reversed(saved):
            try:
                meta = read_meta(self.checkpoints, step)
                if meta.imported:
                    raise RunError(
                        f"{self.folder} is imported, without the state of its optimiser: train on from it with --from"
                    )
                weights, optimizer = self._read(step, rows)
            except CheckpointError as error:
                mistakes.append(str(error))
                continue
            require_config(meta, self.config, self.folder)
            put_weights(state.model, weights, checkpoint_folder(self.checkpoints, step))
            restore_optimizers(state.optimizers, optimizer)
            state.step = step
            break
        else:
            if saved or rows.data:
                why = mistakes[0] if mistakes else f"{self.metrics_file} is there, and no checkpoint"
                raise CheckpointError(f"{self.folder} cannot be gone on with: {why}; everything is left as it was")
        for mistake in mistakes:
            warn(f"{mistake}; trying the one before it")
        self._drop_after(state.step, rows)

    def _drop_after(self, start: int, rows: Rows) -> None:
        """Set aside what was made after the checkpoint of `start`."""
        kept, dropped = rows.data[: rows.size(start)], rows.data[rows.size(start) :]
        later = [step for step in saved_steps(self.checkpoints) if step > start]
        with self._writing():
            if RunConfig.read(self.config_file).training.steps < self.config.training.steps:
                write_atomically(self.config_file, self.config.to_toml())
            delete_unfinished(self.checkpoints)
            if dropped or later:
                until = max([start + len(dropped.splitlines()), *later])
                moved = [checkpoint_folder(self.checkpoints, step) for step in later]
                self._set_aside.take(min(until, self.config.training.steps), dropped, moved)
                write_atomically(self.metrics_file, kept)
            self.measures = keep_measures_before(self.measures_file, start)
            self._set_aside.let_go(start)
        self.rows = rows.rows[:start]
        self._signature = Signature(kept)
        self._began = time.perf_counter() - (self.rows[-1]["elapsed_s"] if self.rows else 0)

    def keep(
        self, step: int, metrics: Float[Tensor, " metric"], rate: float, norms: dict[str, Tensor] | None = None
    ) -> None:
        """Note the metrics of a step, and the norms if they were measured, still on the device."""
        self._waiting.append((step, metrics, rate, time.perf_counter() - self._began, norms or {}))

    def keep_measures(self, step: int, values: Float[Tensor, " value"]) -> None:
        """Note the measures of a step (`Measures.of`), still on the device."""
        self._measured.append((step, values))

    def flush(self) -> None:
        """Bring the waiting metrics and measures from the device into their files.

        Raises `DivergedError` at a NaN or infinite loss, naming the step and the last good checkpoint. A checkpoint
        taken at that very step, whose weights are the ones that gave this loss, is deleted.
        """
        if self._measured:
            with self._writing():
                measured = [(step, values.cpu().numpy()) for step, values in self._measured]
                self.measures += append_measures(self.measures_file, measured)
            self._measured.clear()
        if not self._waiting:
            return
        table = torch.stack([metrics for _, metrics, *_ in self._waiting]).cpu().numpy()
        rows = [
            self._row(step, values, rate, elapsed, norms)
            for (step, _, rate, elapsed, norms), values in zip(self._waiting, table, strict=True)
        ]
        self._waiting.clear()
        bad = next((index for index, row in enumerate(rows) if not math.isfinite(row["loss"])), None)
        good = rows if bad is None else rows[:bad]
        self.rows += good
        data = b"".join(map(as_line, good))
        with self._writing(), self.metrics_file.open("ab") as file:
            file.write(data)
        self._signature.add(data)
        if bad is not None:
            step = int(rows[bad]["step"])
            if step in saved_steps(self.checkpoints):
                delete_checkpoint(self.checkpoints, step)
            last_good = _last_good(saved_steps(self.checkpoints))
            raise DivergedError(f"the loss is {rows[bad]['loss']} at step {step}; {last_good}")

    def save(self, state: TrainingState) -> None:
        """Flush the metrics, write the checkpoint of the state if it is not there, delete the ones that may go.

        Raises `DivergedError`, naming the last good checkpoint, if the run has forgotten what it had learnt.
        """
        self.flush()
        kept = self._objective.metric(self._objective.kept)
        losses = np.array([row[kept.name] for row in self.rows], dtype=np.float64)
        changed = self._schedule.changed_at(state.step)  # what rises by that is no divergence
        untrained = self._objective.untrained if self.config.start.run or changed else None
        if (after := find_divergence(losses[changed:], untrained)) is not None:
            since = changed + after
            good = [saved for saved in saved_steps(self.checkpoints) if saved <= since]
            low, high = np.nanmin(losses[changed : since + 1]), np.nanmedian(losses[since:])
            raise DivergedError(
                f"{kept.symbol} has risen more than {RISE:g}-fold, from {low:.2g} to {high:.2g}, at about step {since}"
                f", and stayed there; {_last_good(good)}"
            )
        if state.step in saved_steps(self.checkpoints):
            return
        with self._writing():
            for path in (self.metrics_file, *([self.measures_file] if self.measures else [])):
                with path.open("ab") as file:
                    os.fsync(file.fileno())  # never a checkpoint whose rows a power cut could take away
            save_checkpoint(
                self.checkpoints,
                state.step,
                state.model.state_dict(),
                optimizer_tensors(state.optimizers),
                self.made_with,
                config=self.config.decisive,
                metrics=self._signature.digest,
            )
            self._set_aside.let_go(state.step)
            steps = np.array([row["step"] for row in self.rows], dtype=np.int64)
            losses = np.array([row[self._objective.falling] for row in self.rows], dtype=np.float64)
            # what may be deleted stands on a drop that cannot be taken back
            drop = find_drop(steps, losses) if len(steps) >= WHOLE_BINS else None
            for old in self._schedule.outdated(saved_steps(self.checkpoints), drop):
                delete_checkpoint(self.checkpoints, old)

    def _row(
        self, step: int, metrics: Float[np.ndarray, " metric"], rate: float, elapsed: float, norms: dict[str, Tensor]
    ) -> Row:
        named = dict(zip(self._names, shortest(metrics), strict=True))
        if norms:
            named |= dict(zip(norms, shortest(torch.stack([*norms.values()]).cpu().numpy()), strict=True))
        return {"step": step, **named, "learning_rate": rate, "elapsed_s": round(elapsed, 3)}


def _last_good(saved: Sequence[int]) -> str:
    return f"the last good checkpoint is that of step {saved[-1]}" if saved else "there is no good checkpoint"


class Follower:
    """What the other processes of a run have instead of a `Recorder`: it keeps and writes nothing."""

    rows: tuple[Row, ...] = ()
    measures: tuple[MeasuresRow, ...] = ()
    finished = False

    def __enter__(self) -> "Follower":
        return self

    def _nothing(self, *_: object) -> None:
        """What the one that writes does, this one does not."""

    __exit__ = restore = keep = keep_measures = flush = save = _nothing
