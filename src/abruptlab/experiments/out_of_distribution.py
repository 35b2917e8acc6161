"""Matrices of another rank or size than those of the training: BERT against nuclear-norm minimisation (figure 19)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int

from abruptlab.errors import ConfigError
from abruptlab.experiments.comparison import Contest, compete
from abruptlab.experiments.evaluation import Estimate, Losses, held_out, load, stack
from abruptlab.experiments.result import Outlined
from abruptlab.model.encoder import Encoder
from abruptlab.task.matrices import Batch
from abruptlab.task.vocabulary import MASK, Vocabulary

if TYPE_CHECKING:
    from abruptlab.run.run import Run


@dataclass(frozen=True)
class Varied(Outlined):
    """One property of the matrices varied, the others as in the training."""

    value: Int[np.ndarray, " value"]
    trained: int
    kept: Float[np.ndarray, " value"]  # share of the matrices all of whose values have a token
    contest: Contest  # [value], on those; NaN if fewer than two are left


@dataclass(frozen=True)
class OutOfDistribution(Outlined):
    """Rank, number of rows and number of columns, each varied by itself."""

    step: int
    rank: Varied
    rows: Varied
    columns: Varied


def measure_out_of_distribution(
    run: "Run",
    step: int | str = "final",
    ranks: Sequence[int] | None = None,
    rows: Sequence[int] | None = None,
    columns: Sequence[int] | None = None,
    matrices: int = 512,
    seed: int = 0,
) -> OutOfDistribution:
    """Figure 19: both methods for other ranks, numbers of rows and numbers of columns, by default all there can be.

    The model takes another size as the paper's does: row by row, from its first position on. So with fewer rows each
    entry has the position that it had in training; with fewer columns it has that of an entry elsewhere.

    Values of a higher rank may lie beyond the vocabulary. Matrices with such a value are left out, of both methods
    (`Varied.kept`): clipped, they would not be of low rank any more. Values that are in the vocabulary but beyond what
    the training's rank can give have tokens that the model was never trained on.

    Raises `CheckpointError` for a step without a checkpoint and `ConfigError` for a size with more entries than the
    model has positions, a rank above the smaller side, and anything below 1.
    """
    at = run.resolve(step)
    model = load(run, at)
    task = run.config.matrices
    m, n = max(task.sizes, key=math.prod)
    places = len(model.position_embedding.weight)

    def vary(values: Sequence[int], trained: int, conditions: list[tuple[int, int, int]]) -> Varied:
        each = [_measure(run, model, *condition, matrices, seed) for condition in conditions]
        return Varied(np.array(values), trained, np.array([kept for kept, _ in each]), stack([one for _, one in each]))

    ranks = range(1, min(m, n) + 1) if ranks is None else ranks
    rows = range(task.rank, places // n + 1) if rows is None else rows
    columns = range(task.rank, places // m + 1) if columns is None else columns
    return OutOfDistribution(
        step=at,
        rank=vary(ranks, task.rank, [(m, n, rank) for rank in ranks]),
        rows=vary(rows, m, [(count, n, task.rank) for count in rows]),
        columns=vary(columns, n, [(m, count, task.rank) for count in columns]),
    )


def _measure(run: "Run", model: Encoder, m: int, n: int, rank: int, matrices: int, seed: int) -> tuple[float, Contest]:
    """The share of the matrices that can be given to the model, and both methods on those."""
    places = len(model.position_embedding.weight)
    if m * n > places:
        raise ConfigError(f"{m} × {n} matrices have {m * n} entries, but the model has {places} positions")
    batch, fits = _expressible(run, m, n, rank, matrices, seed)
    if len(batch.values) > 1:
        return fits, compete(model, batch)
    norm = Estimate(np.array(np.nan), np.array(np.nan))
    loss = Losses(norm, norm, norm)
    return fits, Contest(loss, loss, loss, loss, norm, norm, norm)


def _expressible(run: "Run", m: int, n: int, rank: int, matrices: int, seed: int) -> tuple[Batch, float]:
    """Held-out matrices in the run's own tokens, without those that have a value beyond the vocabulary; the share of
    those that stay."""
    task = run.config.matrices
    drawn = held_out(run, matrices, seed, sizes=((m, n),), rank=rank, limit=float(task.largest_limit))
    vocabulary = Vocabulary.of(task)
    fits = (drawn.values.abs() <= vocabulary.limit).all(1)
    values, observed = drawn.values[fits], drawn.observed[fits]
    tokens = torch.where(observed, vocabulary.encode(values), MASK)
    return Batch(tokens, values, observed, drawn.size), fits.double().mean().item()
