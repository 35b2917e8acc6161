"""Matrices of other factors than those of the training, at inference (appendix J.2)."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Shaped

from abruptlab.experiments.comparison import Contest, compete
from abruptlab.experiments.forward import loaded
from abruptlab.experiments.held_out import expressible, held_out
from abruptlab.experiments.result import Outlined, stack
from abruptlab.run.run import Run
from abruptlab.task.counter import generator
from abruptlab.task.held_out import HELD_OUT
from abruptlab.task.matrices import Batch, sample_factors
from abruptlab.task.matrix import Factors
from abruptlab.task.vocabulary import Vocabulary

# The paper's: entries of U and V from N(0, 0.5²), and from Laplace(0, 0.25); beside them, the training's.
OTHERS: dict[str, tuple[Factors, float]] = {"N(0, 0.5²)": ("gaussian", 0.5), "Laplace(0, 0.25)": ("laplace", 0.25)}
TRAINED = "as in the training"


@dataclass(frozen=True)
class Distributions(Outlined):
    """BERT and nuclear-norm minimisation on matrices of each distribution of factors."""

    step: int
    names: Shaped[np.ndarray, " distribution"]
    kept: Float[np.ndarray, " distribution"]  # share of the matrices all of whose values have a token
    contest: Contest  # [distribution], on those


def measure_distributions(run: Run, step: int | str = "final", matrices: int = 1024, seed: int = 0) -> Distributions:
    """Both methods on the training's matrices and on those of `OTHERS`, with the run's own rank, size and masks.

    Matrices with a value beyond the vocabulary are left out. Raises `CheckpointError` for a step without a checkpoint.
    """
    resolved, model = loaded(run, step)
    ordinary = held_out(run, matrices, seed)
    batches = {TRAINED: (ordinary, 1.0)} | {name: drawn(run, *how, ordinary, seed) for name, how in OTHERS.items()}
    return Distributions(
        resolved,
        np.array([*batches]),
        np.array([kept for _, kept in batches.values()]),
        stack([compete(model, batch) for batch, _ in batches.values()]),
    )


def drawn(run: Run, factors: Factors, scale: float, masks: Batch, seed: int = 0) -> tuple[Batch, float]:
    """Matrices whose factors have this distribution and scale, with the masks of a batch, in the run's tokens; without
    those that have a value beyond the vocabulary, and the share of those that stay."""
    task = replace(run.config.matrices, factors=factors)
    random, (m, n) = generator(seed, HELD_OUT, 7), masks.size
    u, v = (sample_factors(task, (len(masks.values), side, task.rank), random) * scale for side in (m, n))
    return expressible((u @ v.mT).flatten(1), masks, Vocabulary.of(task))
