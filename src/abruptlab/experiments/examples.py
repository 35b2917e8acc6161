"""Single matrices as the model sees and completes them, over the training (figure 1A)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from abruptlab.arguments import checked
from abruptlab.errors import CheckpointError
from abruptlab.experiments.forward import predict
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.result import Outlined
from abruptlab.run.run import Run, Steps
from abruptlab.system.tracking import track
from abruptlab.task.matrices import Batch
from abruptlab.task.vocabulary import MASK, Vocabulary

CANDIDATES = 256  # matrices of which the typical one is shown
PERCENTILES = (10, 50, 90, 99)  # of their final errors, at which the matrices of a gallery stand
MASKS = ("its own", "the same for all")  # the hidden places of the matrices of a gallery


@dataclass(frozen=True)
class ExampleMatrices(Outlined):
    """A typical held-out matrix and its predictions at some steps."""

    truth: Float[np.ndarray, "rows columns"]
    observed: Bool[np.ndarray, "rows columns"]  # False where hidden
    tokens: Int[np.ndarray, "rows columns"]  # what the model sees, 0 where hidden
    steps: Int[np.ndarray, " step"]
    predictions: Float[np.ndarray, "step rows columns"]
    decimals: int  # to which the matrix is rounded
    onset: int | None  # first step of the drop, where there is one
    end: int | None  # its last, where it has ended


@dataclass(frozen=True)
class Gallery(Outlined):
    """Held-out matrices from an easy to a hard one, under the masks MASKS, and their predictions at some steps."""

    step: Int[np.ndarray, " step"]
    percentile: Int[np.ndarray, " example"]  # of the final L_mask of such matrices, each under its own mask
    truth: Float[np.ndarray, "example rows columns"]
    observed: Bool[np.ndarray, "mask example rows columns"]  # False where hidden
    predictions: Float[np.ndarray, "step mask example rows columns"]


def before_and_after(run: Run) -> list[int]:
    """The checkpoints at the middle of the plateau and at the end; without a drop, the first and the last.

    Raises `CheckpointError` if there is none at all.
    """
    moments = run.milestones
    if not moments:
        raise CheckpointError(f"{run.folder} has no checkpoint yet")
    return sorted({moments.get("before-drop", moments["start"]), moments["final"]})


@checked
def measure_examples(run: Run, steps: Steps | None = None, seed: int = 0) -> ExampleMatrices:
    """Predictions of the checkpoints at `steps` (default: `before_and_after`) for one matrix no run was trained on.

    It is the typical one of 256: that with the median L_mask at the last of the steps, so that nobody has to choose.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    resolved = before_and_after(run) if steps is None else run.resolve_all(steps)
    batch = held_out(run, CANDIDATES, seed)
    predictions = torch.stack([predict(run.load_encoder(step), batch.tokens) for step in resolved])
    typical = _by_error(predictions[-1], batch, (50,))[0]

    def matrix(flat: torch.Tensor) -> np.ndarray:
        return flat.unflatten(-1, batch.size).numpy()

    return ExampleMatrices(
        truth=matrix(batch.values[typical]),
        observed=matrix(batch.observed[typical]),
        tokens=matrix(batch.tokens[typical]),
        steps=np.array(resolved),
        predictions=matrix(predictions[:, typical]),
        decimals=run.config.matrices.decimals,
        onset=None if run.drop is None else run.drop.onset,
        end=None if run.drop is None else run.drop.end,
    )


def measure_gallery(run: Run, steps: Steps | None = None, seed: int = 0) -> Gallery:
    """Predictions of the checkpoints at `steps` (all, unless told otherwise) for a few matrices no run was trained on.

    They stand at PERCENTILES of the error at the last of the steps, so that nobody has to choose. Each is shown with
    the hidden places of its own and with those of the median one, the same for all.

    Raises `CheckpointError` for a step without a checkpoint, or if there is none at all.
    """
    resolved = run.resolve_all((run.steps or ["final"]) if steps is None else steps)
    batch = held_out(run, CANDIDATES, seed)
    chosen = _by_error(predict(run.load_encoder(resolved[-1]), batch.tokens), batch, PERCENTILES)
    own = batch.observed[chosen]
    observed = torch.stack([own, own[PERCENTILES.index(50)].expand_as(own)])  # [mask, example, pos]
    tokens = Vocabulary.of(run.config.matrices).encode_known(batch.values[chosen])
    seen = torch.where(observed, tokens, MASK)
    predictions = torch.stack(
        [
            predict(run.load_encoder(step), seen.flatten(0, 1)).unflatten(0, observed.shape[:2])
            for step in track(resolved, "checkpoints")
        ]
    )
    return Gallery(
        np.array(resolved),
        np.array(PERCENTILES),
        batch.values[chosen].unflatten(-1, batch.size).numpy(),
        observed.unflatten(-1, batch.size).numpy(),
        predictions.unflatten(-1, batch.size).numpy(),
    )


def _by_error(predictions: Float[torch.Tensor, "matrix pos"], batch: Batch, percentiles: Sequence[int]) -> list[int]:
    """The matrices that stand at these percentiles of L_mask; those without a hidden entry do not count."""
    hidden = ~batch.observed
    error = ((predictions - batch.values) ** 2 * hidden).sum(-1) / hidden.sum(-1)  # NaN, sorted last: none hidden
    some_hidden = int(hidden.any(-1).sum())
    order = error.argsort(stable=True)
    return [int(order[some_hidden * percentile // 100]) for percentile in percentiles]
