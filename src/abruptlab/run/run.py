"""The run folder, which is the truth about a run, and `Run`, the only thing that anything downstream takes."""

import json
import math
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Shaped

from abruptlab.config import RunConfig
from abruptlab.errors import CheckpointError, RunError
from abruptlab.model.build import Model, new_model
from abruptlab.model.decoder import Decoder
from abruptlab.model.encoder import Encoder
from abruptlab.run.checkpoints import load_checkpoint, read_meta, saved_steps
from abruptlab.run.drop import Drop, find_drop

METRICS: dict[str, tuple[str, ...]] = {  # of a model's kind, what is measured on every batch
    "encoder": ("loss", "loss_observed", "loss_masked", "mean_abs_masked"),
    "decoder": ("loss", "loss_prompt", "loss_observed", "loss_masked", "accuracy_observed", "accuracy_masked"),
}
# of them, the one whose drop is looked for: a BERT's is the completion, a GPT's the copying of what is observed
DROPS: dict[str, str] = {"encoder": "loss_masked", "decoder": "loss_observed"}
ALWAYS = ("learning_rate", "elapsed_s")
MILESTONES = "milestones.json"  # of an imported run: those that were given by hand


class Run:
    """A trained or half-trained run, read from its folder.

    Raises `RunError` if the folder holds no run.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        if not (self.folder / "config.toml").is_file():
            raise RunError(f"{self.folder} is not a run folder: expected a config.toml in it")
        self.config = RunConfig.read(self.folder / "config.toml")

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    @cached_property
    def metrics(self) -> dict[str, Shaped[np.ndarray, " time"]]:
        """`step`, the METRICS of the model's kind, and ALWAYS: a row for each training step so far.

        The row of step k is the weights after k updates on the batch of step k, which they have never seen: training
        loss is test loss. `objectives` says what the metrics are; `elapsed_s` are seconds of training until then.
        """
        names = (*METRICS[self.config.model.kind], *ALWAYS)
        rows = read_metrics(self.folder / "metrics.jsonl", names)
        table = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in names}
        return {"step": np.array([row["step"] for row in rows], dtype=np.int64), **table}

    @cached_property
    def drop(self) -> Drop | None:
        """The plateau and the drop of L_mask (of what `DROPS` names for the model's kind), or None if there is none."""
        return find_drop(self.metrics["step"], self.metrics[DROPS[self.config.model.kind]])

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
        return read_meta(self.checkpoints, self.steps[-1])["made_with"] if self.steps else {}

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
            moments.append(("before-drop", onset // 2, [at for at in steps if 0 < at < onset]))
            moments.append(("onset", onset, [at for at in steps if abs(at - onset) <= onset / 4]))
            if drop.end is not None:
                middle = (onset + drop.end) / 2
                moments.append(("after-drop", drop.end, [at for at in steps if at > middle]))
        moments.append(("final", steps[-1] if steps else 0, steps[-1:]))
        found = {
            name: min(candidates, key=lambda saved: abs(saved - moment))
            for name, moment, candidates in moments
            if candidates
        }
        return dict(sorted((found | self._milestones_by_hand()).items(), key=lambda item: item[1]))

    def _milestones_by_hand(self) -> dict[str, int]:
        """Those of an imported run, whose losses need not be known. Raises `RunError` if the file is damaged."""
        path = self.folder / MILESTONES
        try:
            return {name: int(step) for name, step in json.loads(path.read_text(encoding="utf-8")).items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise RunError(f"cannot read {path}: {error}") from None

    def resolve(self, step: int | str) -> int:
        """The step of a checkpoint, given as that number or as the name of a milestone.

        Raises `CheckpointError` if there is no such checkpoint; the message lists those there are.
        """
        if step in self.steps:
            return int(step)
        if step in (moments := self.milestones):
            return moments[str(step)]
        known = [f"{name} ({at})" for name, at in moments.items()] if isinstance(step, str) else map(str, self.steps)
        why = ", as it has no drop" if isinstance(step, str) and self.steps and self.drop is None else ""
        raise CheckpointError(f"{self.folder} has no checkpoint {step!r}{why}; there are: {', '.join(known) or 'none'}")

    def require(self, kind: str) -> None:
        """Raises `RunError` unless the run's model is of that kind."""
        if self.config.model.kind != kind:
            named = {"encoder": "an encoder", "decoder": "a decoder"}
            raise RunError(f"this needs {named[kind]}, and the run's model is {named[self.config.model.kind]}")

    def load(self, step: int | str) -> Model:
        """The model after `step` updates (or at a milestone, by name), on the CPU, in evaluation mode.

        Raises `CheckpointError` if there is no such checkpoint (the message lists those there are) or it is damaged.
        """
        model = new_model(self.config)
        model.load_state_dict(load_checkpoint(self.checkpoints, self.resolve(step)))
        return model.eval()

    def load_encoder(self, step: int | str) -> Encoder:
        """`load` of a run whose model is an encoder. Raises `RunError` for a decoder."""
        self.require("encoder")
        return cast(Encoder, self.load(step))

    def load_decoder(self, step: int | str) -> Decoder:
        """`load` of a run whose model is a decoder. Raises `RunError` for an encoder."""
        self.require("decoder")
        return cast(Decoder, self.load(step))


def read_metrics(path: Path, names: Sequence[str]) -> list[dict]:
    """The rows of a metrics file with these metrics, up to the first that is not whole (a killed run may end in half a
    line).

    Raises `RunError` if the file cannot be read; a missing file is a run without steps.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"cannot read {path}: {error}") from None
    return parse_metrics(lines, ("step", *names))


def parse_metrics(lines: Iterable[str | bytes], names: Collection[str]) -> list[dict]:
    """Lines of a metrics file as rows, up to the first that is not whole or lacks one of these numbers."""
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or not row.keys() >= {*names}:
            break
        rows.append({name: math.nan if value is None else value for name, value in row.items()})
    return rows
