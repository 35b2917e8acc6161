"""The copying check (table 1): before the drop, the model gives back whatever value stands at a place."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped

from abruptlab.arguments import checked, require
from abruptlab.errors import CheckpointError
from abruptlab.experiments.estimate import Estimate, losses, pooled
from abruptlab.experiments.forward import load, predict
from abruptlab.experiments.held_out import expressible, held_out
from abruptlab.experiments.result import Outlined, stack
from abruptlab.run.run import Run, Steps, several
from abruptlab.task.counter import generator
from abruptlab.task.held_out import HELD_OUT
from abruptlab.task.matrices import Batch
from abruptlab.task.vocabulary import MASK, Vocabulary

VALUES = (0.44, -0.24)  # the paper's
# The paper's moments, steps 1,000, 4,000 and 14,000 of a drop at about 14,300, as shares of the steps to the onset.
MOMENTS = {"early": 0.07, "middle": 0.28, "late": 0.98}


@dataclass(frozen=True)
class CopyingCheck(Outlined):
    """What stands at the hidden places of each row's input, and what the model makes of it."""

    moment: Shaped[np.ndarray, " row"]  # one of MOMENTS, or the step as it was asked for
    step: Int[np.ndarray, " row"]
    low_rank: Bool[np.ndarray, " row"]  # the task's matrices; else full-rank ones of independent entries
    value: Float[np.ndarray, " row"]  # put at the hidden places; NaN for MASK, which is compared with 0
    loss: Estimate  # [row] L against the matrix
    loss_observed: Estimate  # [row] L_obs
    distance: Estimate  # [row] mean squared distance of the predictions at hidden places to the value put there


@checked
def measure_copying(
    run: Run,
    steps: Steps | None = None,
    values: Sequence[float] = VALUES,
    matrices: int = 1024,
    seed: int = 0,
) -> CopyingCheck:
    """Table 1: MASK left as it is, then replaced by each of `values`, on low-rank and on full-rank matrices, at the
    given steps, by default the three `moments_before` the drop.

    Raises `CheckpointError` for a step without a checkpoint, `VocabularyError` for a value beyond the vocabulary and
    `ConfigError` for one that its tokens round.
    """
    task = run.config.matrices
    tokens_of = [MASK, *Vocabulary.of(task).encode(torch.tensor(values)).tolist()]
    exact = all(round(value, task.decimals) == value for value in values)
    require(exact, "values", f"numbers of {task.decimals} decimals, as tokens are", values)
    batches = {True: held_out(run, matrices, seed), False: full_rank(run, matrices, seed)}
    rows = []
    moments = moments_before(run) if steps is None else {str(step): run.resolve(step) for step in several(steps)}
    for moment, resolved in moments.items():
        model = load(run, resolved)
        for low_rank, batch in batches.items():
            for token, value in zip(tokens_of, (np.nan, *values), strict=True):
                predictions = predict(model, torch.where(batch.observed, batch.tokens, token))
                errors = losses(predictions, batch)
                distance = (predictions - (0.0 if np.isnan(value) else value)).square()
                estimates = errors["loss"], errors["loss_observed"], pooled(distance, ~batch.observed)
                rows.append((moment, resolved, low_rank, value, *estimates))
    moment, step, low_rank, value, *estimates = zip(*rows, strict=True)
    return CopyingCheck(np.array(moment), np.array(step), np.array(low_rank), np.array(value), *map(stack, estimates))


def moments_before(run: Run) -> dict[str, int]:
    """For each of the `MOMENTS`, the nearest checkpoint of those before the onset that are nearer to it than to the
    others.

    Without the losses of a training, which alone tell the onset, there is the middle alone, the milestone
    `before-drop`. Raises `CheckpointError` if there is no such checkpoint.
    """
    drop = run.drop
    if drop is None:
        return {"middle": run.resolve("before-drop")}

    def distance(name: str, step: int) -> float:
        return abs(step / drop.onset - MOMENTS[name])

    nearest: dict[str, list[int]] = {name: [] for name in MOMENTS}
    for step in run.steps:
        if 0 < step < drop.onset:
            nearest[min(MOMENTS, key=lambda name: distance(name, step))].append(step)
    if not any(nearest.values()):
        raise CheckpointError(f"{run.folder} has no checkpoint between its start and its drop")
    return {name: min(steps, key=lambda step: distance(name, step)) for name, steps in nearest.items() if steps}


def full_rank(run: Run, matrices: int, seed: int = 0) -> Batch:
    """Matrices of independent entries, uniform within ±1 (or the vocabulary's limit, if that is less), with the masks
    of `held_out`."""
    masks = held_out(run, matrices, seed)
    vocabulary = Vocabulary.of(run.config.matrices)
    entries = torch.rand(masks.values.shape, generator=generator(seed, HELD_OUT, 1)) * 2 - 1
    return expressible(entries * min(1.0, vocabulary.limit), masks, vocabulary)[0]
