"""Matrices of another rank or size than those of the training: BERT against nuclear-norm minimisation (figure 19)."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from abruptlab.arguments import checked
from abruptlab.errors import ConfigError
from abruptlab.experiments.comparison import Contest, compete
from abruptlab.experiments.estimate import Estimate, Losses
from abruptlab.experiments.forward import loaded
from abruptlab.experiments.held_out import expressible, held_out, require_hidden
from abruptlab.experiments.permutation import permute
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.encoder import Encoder
from abruptlab.run.run import Run
from abruptlab.system.tracking import track
from abruptlab.task.counter import generator
from abruptlab.task.held_out import HELD_OUT
from abruptlab.task.matrices import Batch
from abruptlab.task.vocabulary import Vocabulary

BEYOND = 2  # more rows or columns than in the training


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
    rank_rescaled: Varied  # the same ranks, scaled so that no value is beyond what the training's rank can give
    rows: Varied
    columns: Varied
    columns_in_place: Varied  # up to the trained number of columns (or that one), each with its position in training


@checked
def measure_out_of_distribution(
    run: Run,
    step: int | str = "final",
    ranks: Sequence[int] | None = None,
    rows: Sequence[int] | None = None,
    columns: Sequence[int] | None = None,
    matrices: int = 512,
    seed: int = 0,
) -> OutOfDistribution:
    """Figure 19: both methods for other ranks, numbers of rows and numbers of columns, by default all there can be.

    The model takes another size as the paper's does: row by row, from its first position on. So with fewer rows each
    entry has the position that it had in training; with fewer columns it has that of an entry elsewhere, and
    `columns_in_place` is the control. More entries than the largest matrix of the training have positions that were
    never trained: the paper's model has 512 positions, whose rows beyond 49 are as they were drawn, and here such rows
    are drawn for the purpose.

    Values of a higher rank may lie beyond the vocabulary. Matrices with such a value are left out, of both methods
    (`Varied.kept`): clipped, they would not be of low rank any more. Values that are in the vocabulary but beyond what
    the training's rank can give have tokens that the model was never trained on; `rank_rescaled` has none of them.

    Raises `CheckpointError` for a step without a checkpoint and `ConfigError` for a rank above the smaller side,
    anything below 1, positions that are no table, and a fixed mask; `RunError` for a run that hides nothing.
    """
    require_hidden(run)
    resolved, model = loaded(run, step)
    task = run.config.matrices
    if task.mask == "fixed":
        raise ConfigError("rank, rows and columns cannot be varied: the run's mask is fixed, not random")
    m, n = max(task.sizes, key=math.prod)
    ranks = range(1, min(m, n) + 1) if ranks is None else ranks
    rows = range(task.rank, m + BEYOND + 1) if rows is None else rows
    columns = range(task.rank, n + BEYOND + 1) if columns is None else columns
    fewer = [count for count in columns if count <= n] or [n]

    def vary(values: Sequence[int], trained: int, met: Callable[[int], tuple[float, Contest]]) -> Varied:
        kept, contests = zip(*(met(value) for value in track(values, "ranks or sizes")), strict=True)
        return Varied(np.array(values), trained, np.array(kept), stack(contests))

    @cache  # the training's own rank and size are on every axis
    def meet(m: int, n: int, rank: int, scale: float = 1.0) -> tuple[float, Contest]:
        batch, fits = _expressible(run, m, n, rank, scale, matrices, seed)
        return fits, _compete(extended(model, m * n, seed), batch)

    def meet_in_place(count: int) -> tuple[float, Contest]:
        batch, fits = _expressible(run, m, count, task.rank, 1.0, matrices, seed)
        places = torch.arange(m * n).view(m, n)[:, :count].flatten()
        return fits, _compete(permute(model, places), batch)

    return OutOfDistribution(
        step=resolved,
        rank=vary(ranks, task.rank, lambda rank: meet(m, n, rank)),
        rank_rescaled=vary(ranks, task.rank, lambda rank: meet(m, n, rank, min(1.0, task.rank / rank))),
        rows=vary(rows, m, lambda count: meet(count, n, task.rank)),
        columns=vary(columns, n, lambda count: meet(m, count, task.rank)),
        columns_in_place=vary(fewer, n, meet_in_place),
    )


@torch.no_grad()
def extended(model: Encoder, places: int, seed: int = 0) -> Encoder:
    """The model with at least so many positions: those that it lacks are drawn as at the start of a training.

    Raises `ConfigError` for a model whose places share their embeddings, if it lacks any.
    """
    trained = model.position_embedding.weight
    if places <= len(trained):
        return model
    if not isinstance(model.position_embedding, nn.Embedding):
        raise ConfigError(f"positions beyond the training's need free ones, not {model.config.positions}")
    larger = copy.deepcopy(model)
    larger.position_embedding = nn.Embedding(places, model.config.width, device=trained.device)
    fresh = torch.randn(places, model.config.width, generator=generator(seed, HELD_OUT, 6)) * model.config.init_std
    larger.position_embedding.weight.copy_(fresh)
    larger.position_embedding.weight[: len(trained)] = trained
    return larger


def _compete(model: Encoder, batch: Batch) -> Contest:
    """Both methods; NaN if fewer than two matrices are left."""
    if len(batch.values) > 1:
        return compete(model, batch)
    norm = Estimate(np.array(np.nan), np.array(np.nan))
    loss = Losses(dict.fromkeys(("loss", "loss_observed", "loss_masked"), norm))
    return Contest(loss, loss, loss, loss, norm, norm, norm)


def _expressible(run: Run, m: int, n: int, rank: int, scale: float, matrices: int, seed: int) -> tuple[Batch, float]:
    """Held-out matrices, scaled and rounded, in the run's own tokens, without those that have a value beyond the
    vocabulary; the share of those that stay."""
    task = run.config.matrices
    drawn = held_out(run, matrices, seed, sizes=((m, n),), rank=rank, limit=float(task.largest_limit))
    return expressible(drawn.values * scale, drawn, Vocabulary.of(task))
