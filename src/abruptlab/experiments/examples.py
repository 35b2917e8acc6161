"""One matrix as the model sees and completes it, before and after the drop (figure 1A)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from abruptlab.errors import CheckpointError
from abruptlab.experiments.evaluation import held_out

if TYPE_CHECKING:
    from abruptlab.runs import Run

CANDIDATES = 256  # matrices of which the typical one is shown


@dataclass(frozen=True)
class ExampleMatrices:
    """A typical held-out matrix and its predictions at some steps."""

    truth: Float[np.ndarray, "rows columns"]
    observed: Bool[np.ndarray, "rows columns"]  # False where hidden
    tokens: Int[np.ndarray, "rows columns"]  # what the model sees, 0 where hidden
    steps: Int[np.ndarray, " step"]
    predictions: Float[np.ndarray, "step rows columns"]
    decimals: int  # to which the matrix is rounded
    onset: int | None  # first step of the drop, where there is one


def before_and_after(run: "Run") -> list[int]:
    """The checkpoints at the middle of the plateau and at the end; without a drop, the first and the last.

    Raises `CheckpointError` if there is none at all.
    """
    moments = run.milestones
    if not moments:
        raise CheckpointError(f"{run.folder} has no checkpoint yet")
    return sorted({moments.get("before-drop", moments["start"]), moments["final"]})


def measure_examples(run: "Run", steps: Sequence[int] | None = None, seed: int = 0) -> ExampleMatrices:
    """Predictions of the checkpoints at `steps` (default: `before_and_after`) for one matrix no run was trained on.

    It is the typical one of 256: that with the median L_mask at the last of the steps, so that nobody has to choose.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    steps = before_and_after(run) if steps is None else list(steps)
    batch = held_out(run, CANDIDATES, seed)
    with torch.no_grad():
        predictions = torch.stack([run.load_encoder(step)(batch.tokens) for step in steps])  # [step, batch, pos]
    hidden = ~batch.observed
    error = ((predictions[-1] - batch.values) ** 2 * hidden).sum(-1) / hidden.sum(-1)  # NaN, sorted last: none hidden
    some_hidden = int(hidden.any(-1).sum())
    typical = int(error.argsort(stable=True)[some_hidden // 2])

    def matrix(flat: torch.Tensor) -> np.ndarray:
        return flat.unflatten(-1, batch.size).numpy()

    return ExampleMatrices(
        truth=matrix(batch.values[typical]),
        observed=matrix(batch.observed[typical]),
        tokens=matrix(batch.tokens[typical]),
        steps=np.array(steps),
        predictions=matrix(predictions[:, typical]),
        decimals=run.config.task.decimals,
        onset=None if run.drop is None else run.drop.onset,
    )
