"""The copying check (table 1): before the drop, the model gives back whatever value stands at a place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from abruptlab.experiments.evaluation import HELD_OUT, Estimate, held_out, load, losses, pooled, predict, stack
from abruptlab.experiments.result import Outlined
from abruptlab.task.matrices import Batch, generator
from abruptlab.task.vocabulary import MASK, Vocabulary

if TYPE_CHECKING:
    from abruptlab.run.run import Run

VALUES = (0.44, -0.24)  # the paper's
STEPS = ("before-drop", "onset", "after-drop")


@dataclass(frozen=True)
class CopyingCheck(Outlined):
    """What stands at the hidden places of each row's input, and what the model makes of it."""

    step: Int[np.ndarray, " row"]
    low_rank: Bool[np.ndarray, " row"]  # the task's matrices; else full-rank ones of independent entries
    value: Float[np.ndarray, " row"]  # put at the hidden places; NaN for MASK, which is compared with 0
    loss: Estimate  # [row] L against the matrix
    loss_observed: Estimate  # [row] L_obs
    distance: Estimate  # [row] mean squared distance of the predictions at hidden places to the value put there


def measure_copying(
    run: "Run",
    steps: Sequence[int | str] = STEPS,
    values: Sequence[float] = VALUES,
    matrices: int = 1024,
    seed: int = 0,
) -> CopyingCheck:
    """Table 1: MASK left as it is, then replaced by each of `values`, on low-rank and on full-rank matrices.

    Raises `CheckpointError` for a step without a checkpoint and `VocabularyError` for a value without a token.
    """
    tokens_of = [MASK, *Vocabulary.of(run.config.matrices).encode(torch.tensor(values)).tolist()]
    batches = {True: held_out(run, matrices, seed), False: full_rank(run, matrices, seed)}
    conditions, estimates = [], []
    for at in map(run.resolve, steps):
        model = load(run, at)
        for low_rank, batch in batches.items():
            for token, value in zip(tokens_of, (np.nan, *values), strict=True):
                predictions = predict(model, torch.where(batch.observed, batch.tokens, token))
                errors = losses(predictions, batch)
                distance = (predictions - (0.0 if np.isnan(value) else value)).square()
                conditions.append((at, low_rank, value))
                estimates.append((errors.loss, errors.loss_observed, pooled(distance, ~batch.observed)))
    step, low_rank, value = (np.array(column) for column in zip(*conditions, strict=True))
    loss, loss_observed, distance = (stack(column) for column in zip(*estimates, strict=True))
    return CopyingCheck(step, low_rank, value, loss, loss_observed, distance)


def full_rank(run: "Run", matrices: int, seed: int = 0) -> Batch:
    """Matrices of independent entries, uniform within ±1 (or the vocabulary's limit, if that is less), with the masks
    of `held_out`."""
    masks = held_out(run, matrices, seed)
    vocabulary = Vocabulary.of(run.config.matrices)
    entries = torch.rand(masks.values.shape, generator=generator(seed, HELD_OUT, 1)) * 2 - 1
    ids = vocabulary.encode(entries * min(1.0, vocabulary.limit))
    return Batch(torch.where(masks.observed, ids, MASK), vocabulary.decode(ids), masks.observed, masks.size)
