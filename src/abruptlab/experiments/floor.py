"""How far each method is from the floor, on as many matrices as each can take (beside the paper).

The errors have heavy tails: a few matrices, with hardly anything observed in a row or a column, make most of the mean
loss. So there are medians too, the matrices without such rows and columns apart, and differences on the same matrices.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.baselines.bayes import PosteriorMean
from abruptlab.experiments.estimate import Estimate, over_matrices, pooled
from abruptlab.experiments.forward import load, predict
from abruptlab.experiments.held_out import completed, held_out, incomplete, require_hidden
from abruptlab.experiments.methods import POSTERIOR, classical
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.encoder import Encoder
from abruptlab.run.run import Run
from abruptlab.system.tracking import track
from abruptlab.task.matrices import Batch
from abruptlab.task.matrix import MatrixTask

BERT = "BERT"
VARIANCE = "posterior variance"  # what the posterior mean's squared error is expected to be
MONTE_CARLO = "its Monte Carlo error"  # the part of the posterior mean's squared error that more particles would save
SHARE = 8  # the posterior mean gets the first eighth of the matrices
WELL = 3  # observed entries that every row and every column of a well-observed matrix has

Errors = Mapping[str, Float[Tensor, "matrix pos"]]  # squared, by name; some have only the first matrices


@dataclass(frozen=True)
class Floor(Outlined):
    """Squared errors of the methods `names`, and of the posterior mean what is known of it without the truth."""

    names: tuple[str, ...]
    matrices: Int[np.ndarray, " method"]
    loss: Estimate  # [method] L
    median: Float[np.ndarray, " method"]  # of a matrix's L; of an even number the lower of the two in the middle
    loss_masked: Estimate  # [method] L_mask
    well_observed: Estimate  # [method] L of the matrices with at least `WELL` observed in every row and column
    excess: Estimate  # [method] L above the posterior mean's, on the matrices that both have
    heaviest: Float[np.ndarray, " method"]  # share of the total loss that the worst twentieth of the matrices has


@checked
def measure_floor(run: Run, step: int | str = "final", matrices: int = 2048, seed: int = 0) -> Floor:
    """All methods on held-out matrices of the run's task; the posterior mean, which is slow, on an eighth of them.

    Raises `CheckpointError` for a step without a checkpoint, `ConfigError` for a mask that looks at the matrix, and
    `RunError` for a run that hides nothing.
    """
    require_hidden(run)
    batch = held_out(run, matrices, seed)
    methods = competitors(run.config.matrices, load(run, step))
    slowest_first = track([*methods.items()][::-1], "methods")  # or all but one would be done in no time
    found = [measure(batch[: -(-matrices // SHARE)] if name == POSTERIOR else batch) for name, measure in slowest_first]
    errors: dict[str, Tensor] = {}
    for each in reversed(found):
        errors |= each
    return summarise(errors, batch)


def competitors(task: MatrixTask, model: Encoder | None = None) -> dict[str, Callable[[Batch], Errors]]:
    """Every method, and the model if there is one, as what gives its squared errors on a batch.

    Methods give observed entries back, the model has errors there too. The posterior mean comes with its `VARIANCE` and
    its `MONTE_CARLO` part.
    """
    others = classical(task)
    floor = others.pop(POSTERIOR)
    assert isinstance(floor, PosteriorMean)
    methods: dict[str, Callable[[Batch], Errors]] = {
        name: lambda batch, name=name, method=method: {name: (completed(method, batch) - batch.values).square()}
        for name, method in others.items()
    }
    if model is not None:
        methods[BERT] = lambda batch: {BERT: (predict(model, batch.tokens) - batch.values).square()}
    return {**methods, POSTERIOR: lambda batch: _posterior_errors(floor, batch)}


def _posterior_errors(method: PosteriorMean, batch: Batch) -> Errors:
    posterior = method.posterior(incomplete(batch))
    mean, deviation, error = (
        torch.from_numpy(each).flatten(1) for each in (posterior.mean, posterior.deviation, posterior.error)
    )
    return {POSTERIOR: (mean - batch.values).square(), VARIANCE: deviation.square(), MONTE_CARLO: error.square()}


def summarise(errors: Errors, batch: Batch) -> Floor:
    """The table's numbers, from squared errors on (the first matrices of) a batch."""
    observed = batch.observed.unflatten(1, batch.size)
    well = (observed.sum(1) >= WELL).all(1) & (observed.sum(2) >= WELL).all(1)
    floor = errors[POSTERIOR].double().mean(1)
    losses = [squared.double().mean(1) for squared in errors.values()]
    excesses = [loss[: len(floor)] - floor[: len(loss)] for loss in losses]
    return Floor(
        names=tuple(errors),
        matrices=np.array([len(loss) for loss in losses]),
        loss=stack([over_matrices(loss) for loss in losses]),
        median=np.array([loss.median() for loss in losses]),
        loss_masked=stack([pooled(squared, ~batch.observed[: len(squared)]) for squared in errors.values()]),
        well_observed=stack([over_matrices(loss[well[: len(loss)]]) for loss in losses]),
        excess=stack([over_matrices(excess) for excess in excesses]),
        heaviest=np.array([loss.sort().values[-max(1, len(loss) // 20) :].sum() / loss.sum() for loss in losses]),
    )
