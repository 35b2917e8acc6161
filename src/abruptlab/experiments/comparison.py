"""BERT against nuclear-norm minimisation, on the same matrices (figure 3)."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.baselines.nuclear import NuclearNorm, nuclear_norm
from abruptlab.errors import ConfigError
from abruptlab.experiments.estimate import Estimate, Losses, differences, losses, over_matrices
from abruptlab.experiments.forward import loaded, predict
from abruptlab.experiments.held_out import completed, held_out
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.encoder import Encoder
from abruptlab.run.run import Run
from abruptlab.system.tracking import track
from abruptlab.task.matrices import Batch

PROBABILITIES = tuple(round(0.05 * twentieths, 2) for twentieths in range(2, 13))  # the paper's: 0.10 to 0.60
KEPT = 64  # batches
SMALL = 2**18  # entries of a batch that is kept: a megabyte
_KEPT: dict[tuple[tuple[int, int], bytes, bytes], Tensor] = {}


@dataclass(frozen=True)
class Contest(Outlined):
    """BERT and nuclear-norm minimisation on the same matrices, for one or many conditions.

    Norms are mean nuclear norms of whole matrices; BERT's is that of its predictions, observed entries included.
    """

    bert: Losses
    nuclear: Losses
    excess: Losses  # BERT's less those of nuclear norm; the errors are those of pairs
    zero: Losses  # of predicting zero at the hidden entries
    bert_norm: Estimate
    nuclear_norm: Estimate
    true_norm: Estimate


@dataclass(frozen=True)
class Comparison(Outlined):
    """Both methods over the share of hidden entries."""

    step: int
    trained: float  # the probability of hiding an entry that the model was trained at
    probability: Float[np.ndarray, " probability"]
    contest: Contest  # [probability]


@checked
def measure_comparison(
    run: Run,
    step: int | str = "final",
    probabilities: Collection[float] = PROBABILITIES,
    matrices: int = 512,
    seed: int = 0,
) -> Comparison:
    """Figure 3: both methods for each probability of hiding an entry, and for the one of the training.

    The matrices are the same for all of them, and what is hidden at one probability is hidden at every higher one. Of a
    run on several sizes, the largest is taken. Raises `CheckpointError` for a step without a checkpoint and
    `ConfigError` for a probability outside 0 to 1 and for a run with a fixed mask.
    """
    task = run.config.matrices
    if task.mask == "fixed":
        raise ConfigError("the share of hidden entries cannot be varied: the run's mask is fixed, not random")
    resolved, model = loaded(run, step)
    every = sorted({*probabilities, task.mask_probability})
    contests = [
        compete(model, held_out(run, matrices, seed, mask_probability=share)) for share in track(every, "probabilities")
    ]
    return Comparison(resolved, task.mask_probability, np.array(every), stack(contests))


def compete(model: Encoder, batch: Batch) -> Contest:
    """Both methods on one batch."""
    bert, nuclear = predict(model, batch.tokens), _nuclear(batch)
    norms = [_norm(entries, batch) for entries in (bert, nuclear, batch.values)]
    return Contest(
        losses(bert, batch),
        losses(nuclear, batch),
        differences(bert, nuclear, batch),
        losses(batch.values * batch.observed, batch),
        *norms,
    )


def _nuclear(batch: Batch) -> Float[Tensor, "matrix pos"]:
    """The matrices completed by nuclear norm; of the last batches kept, as several models meet it on the same ones."""
    if batch.values.numel() > SMALL:
        return completed(NuclearNorm(), batch)
    key = (batch.size, batch.values.numpy().tobytes(), batch.observed.numpy().tobytes())
    if key not in _KEPT:
        if len(_KEPT) == KEPT:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[key] = completed(NuclearNorm(), batch)
    return _KEPT[key]


def _norm(entries: Float[Tensor, "matrix pos"], batch: Batch) -> Estimate:
    return over_matrices(nuclear_norm(entries.double().unflatten(1, batch.size)))
