"""The run folder, which is the truth about a run, and `Run`, the only thing that anything downstream takes."""

import json
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from jaxtyping import Shaped

from abruptlab.arguments import checked, meant
from abruptlab.config import RunConfig
from abruptlab.errors import CheckpointError, RunError
from abruptlab.model.build import Model, new_model
from abruptlab.model.decoder import Decoder
from abruptlab.model.encoder import Encoder
from abruptlab.run.checkpoints import (
    checkpoint_folder,
    load_checkpoint,
    newest_meta,
    put_weights,
    read_meta,
    require_config,
    saved_steps,
)
from abruptlab.run.drop import Drop, find_drop
from abruptlab.run.measures import MEASURES, PLACES, read_measures
from abruptlab.run.metrics import Row, read_rows
from abruptlab.run.shown import as_html, as_text
from abruptlab.task.base import Objective

NAMED = {  # kinds of objectives
    "encoder": "an encoder of matrices",
    "decoder": "a decoder of matrices",
    "sequence": "a decoder of other sequences",
}
ALWAYS = ("learning_rate", "elapsed_s")
Steps = int | str | Sequence[int | str]  # checkpoints: their numbers, or the names of milestones
Step = TypeVar("Step", bound=int | str)
AROUND_THE_DROP = ("before-drop", "onset", "after-drop")  # milestones that need one, or are given by hand
MILESTONES = "milestones.json"  # of an imported run: those that were given by hand


class Run:
    """A trained or half-trained run, read from its folder.

    Raises `RunError` if the folder holds no run, and `CheckpointError` if its checkpoints are of another configuration
    than it says.
    """

    @checked
    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not (self.folder / "config.toml").is_file():
            is_sweep = (self.folder / "sweep.toml").is_file()
            expected = "one of the runs in this sweep" if is_sweep else "a config.toml in it"
            raise RunError(f"{self.folder} is not a run folder: expected {expected}")
        self.config = RunConfig.read(self.folder / "config.toml")
        self._newest = newest_meta(self.checkpoints)
        if self._newest is not None:
            require_config(self._newest, self.config, self.folder)

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    @cached_property
    def objective(self) -> Objective:
        """How its model learns its task: what the metrics are, and which of them drops."""
        return self.config.objective

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    @cached_property
    def _rows(self) -> list[Row]:
        """Raises `RunError` as `metrics`."""
        path = self.folder / "metrics.jsonl"
        newest = self._newest
        if newest is not None and newest.step > 0 and not newest.imported and not path.is_file():
            raise RunError(
                f"{path} is missing: expected the rows of the {newest.step} steps before the last checkpoint"
            )
        parsed = read_rows(path, (*self.objective.names, *ALWAYS))
        if parsed.damage:
            raise RunError(f"{path} is damaged: {parsed.damage}")
        rows = parsed.rows
        if newest is not None and newest.imported:
            if not parsed.are(len(rows), newest.metrics):
                raise RunError(f"{path} has been changed: expected the rows that were imported with the checkpoints")
        elif newest is not None and not parsed.are(newest.step, newest.metrics):
            what = "has been changed" if len(rows) >= newest.step else f"ends with {len(rows)} rows"
            raise RunError(f"{path} {what}: expected those of the {newest.step} steps before the last checkpoint")
        return rows

    @cached_property
    def metrics(self) -> dict[str, Shaped[np.ndarray, " time"]]:
        """`step`, the objective's metrics, and ALWAYS: a row for each training step so far.

        The row of step k is the weights after k updates on the batch of step k, which they have never seen: training
        loss is test loss (a branch of its parent's seed sees that run's batches again). `elapsed_s` are seconds of
        training until then.

        Half a row at the end, which a killed run may leave, is left out. Raises `RunError`, naming the line, if the
        file is damaged, or is not the one that the newest checkpoint was saved with.
        """
        return _table(self._rows, (*self.objective.names, *ALWAYS))

    @cached_property
    def norms(self) -> dict[str, Shaped[np.ndarray, " time"]]:
        """`step`, and the norms of weights and gradients by group of parameters (`weight_norm/GROUP`, before the
        update; `grad_norm/GROUP`), at the steps at which they were measured (`norms_every`). Raises as `metrics`."""
        rows = [row for row in self._rows if any(name.startswith("weight_norm/") for name in row)]
        names = [name for name in (rows[0] if rows else ()) if "_norm/" in name]
        return _table(rows, names)

    @cached_property
    def measures(self) -> dict[str, Shaped[np.ndarray, "time *place"]]:
        """`step`, MEASURES and PLACES (`[time, place]`): a row for each step at which they were taken
        (`TrainingConfig.measure_every`), of the weights after that many updates; without rows if none were.

        Raises `RunError`, naming the line, if the file is damaged.
        """
        return _table(read_measures(self.folder / "measures.jsonl"), (*MEASURES, PLACES))

    @cached_property
    def drop(self) -> Drop | None:
        """The plateau and the drop of the objective's falling metric (L_mask, for an encoder), or None if there is
        none."""
        return find_drop(self.metrics["step"], self.metrics[self.objective.falling])

    @property
    def steps(self) -> list[int]:
        """The steps (number of updates) that have a checkpoint, ascending."""
        return saved_steps(self.checkpoints)

    @property
    def finished(self) -> bool:
        """Whether the run has made all the steps of its configuration."""
        return self.config.training.steps in self.steps

    @property
    def made_with(self) -> dict[str, str]:
        """Versions and device of the newest checkpoint."""
        return read_meta(self.checkpoints, self.steps[-1]).made_with if self.steps else {}

    @property
    def milestones(self) -> dict[str, int]:
        """The checkpoints that tell the story: `start`, `before-drop` (mid-plateau), `onset`, `after-drop`, `final`.

        Each is the checkpoint nearest to that moment, on its side of the drop (the onset's within a quarter of the
        plateau); a moment that did not come, or has no such checkpoint, is left out. Those of an imported run may have
        been given by hand (`imported`).
        """
        steps, drop = self.steps, self.drop
        moments: list[tuple[str, int, list[int]]] = [("start", 0, steps[:1])]
        if drop is not None:
            onset = drop.onset
            moments.append(("before-drop", onset // 2, [step for step in steps if 0 < step < onset]))
            moments.append(("onset", onset, [step for step in steps if abs(step - onset) <= onset / 4]))
            if drop.end is not None:
                middle = (onset + drop.end) / 2
                moments.append(("after-drop", drop.end, [step for step in steps if step > middle]))
        moments.append(("final", steps[-1] if steps else 0, steps[-1:]))
        nearest = {
            name: min(candidates, key=lambda saved: abs(saved - moment))
            for name, moment, candidates in moments
            if candidates
        }
        return dict(sorted((nearest | self._milestones_by_hand()).items(), key=lambda item: item[1]))

    def _milestones_by_hand(self) -> dict[str, int]:
        """Those of an imported run, whose losses need not be known. Raises `RunError` if the file is damaged."""
        path = self.folder / MILESTONES
        try:
            return {name: int(step) for name, step in json.loads(path.read_text(encoding="utf-8")).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RunError(f"cannot read {path}: {error}") from None

    @checked
    def resolve(self, step: int | str) -> int:
        """The step of a checkpoint, given as that number, in digits too, or as the name of a milestone.

        Raises `CheckpointError` if there is no such checkpoint; the message lists those there are.
        """
        if isinstance(step, str) and step.isdecimal():
            step = int(step)
        if step in self.steps:
            return int(step)
        ends = {"start": self.steps[0], "final": self.steps[-1]} if self.steps else {}
        for moments in (ends | self._milestones_by_hand(), self.milestones):  # the first need no losses
            if step in moments:
                return moments[str(step)]
        known, hint = [*map(str, self.steps)], ""
        if isinstance(step, str):
            known, hint = [f"{name} ({number})" for name, number in moments.items()], meant(step, moments)
        why = ", as it has no drop" if step in AROUND_THE_DROP and self.steps and self.drop is None else ""
        there = ", ".join(known) or "none"
        raise CheckpointError(f"{self.folder} has no checkpoint {step!r}{why}; there are: {there}{hint}")

    def resolve_all(self, steps: Steps | Iterable[int | str]) -> list[int]:
        """The steps of several checkpoints, or of a single one, ascending, each once. Raises as `resolve`."""
        return sorted({self.resolve(step) for step in several(steps)})

    def require(self, kind: str) -> None:
        """Raises `RunError` unless the run's objective is of that kind (`Objective.kind`)."""
        if self.objective.kind != kind:
            raise RunError(f"this needs {NAMED[kind]}, and the run has {NAMED[self.objective.kind]}")

    def load(self, step: int | str) -> Model:
        """The model after `step` updates (or at a milestone, by name), on the CPU, in evaluation mode.

        Of a run that multiplied its useful attention, it is the model without that, with a warning. Raises
        `CheckpointError` if there is no such checkpoint (the message lists those there are), or it is damaged or of
        another configuration.
        """
        resolved, training = self.resolve(step), self.config.training
        if training.useful_attention != 1 and resolved > training.useful_from:
            what = f"useful attention was times {training.useful_attention:g} in training; here it is not"
            warnings.warn(f"{self.folder}: {what}", stacklevel=2)
        require_config(read_meta(self.checkpoints, resolved), self.config, self.folder)
        model = new_model(self.config)
        put_weights(model, load_checkpoint(self.checkpoints, resolved), checkpoint_folder(self.checkpoints, resolved))
        return model.eval()

    def load_encoder(self, step: int | str) -> Encoder:
        """`load` of a run whose model is an encoder. Raises `RunError` for a decoder."""
        self.require("encoder")
        return cast(Encoder, self.load(step))

    def load_decoder(self, step: int | str) -> Decoder:
        """`load` of a run whose model is a decoder. Raises `RunError` for an encoder."""
        if not self.config.model.causal:
            raise RunError("this needs a decoder, and the run's model is an encoder")
        return cast(Decoder, self.load(step))


def several(ones: Step | Iterable[Step]) -> Iterable[Step]:
    """Steps or names, or a single one, as several."""
    return cast("Iterable[Step]", [ones] if isinstance(ones, int | str | np.integer) else ones)


def _table(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, Shaped[np.ndarray, "time *place"]]:
    table = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in names}
    return {"step": np.array([row["step"] for row in rows], dtype=np.int64), **table}
