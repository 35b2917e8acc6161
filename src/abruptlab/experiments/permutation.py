"""Positional permutation: how well the model does when its positional embeddings are shuffled.

Nothing else in the encoder knows of places. So shuffling the embeddings is giving the model the matrix with its entries
moved about and moving the predictions back: what survives a shuffle needs only what the shuffle keeps.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from abruptlab.arguments import checked, choice, require_count
from abruptlab.errors import ConfigError
from abruptlab.experiments.estimate import Estimate, Losses, losses
from abruptlab.experiments.forward import load, predict
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.level import hidden_level
from abruptlab.experiments.result import Outlined, stack
from abruptlab.experiments.scores import Shown
from abruptlab.model.encoder import Encoder
from abruptlab.run.run import Run, Steps
from abruptlab.system.tracking import track
from abruptlab.task.counter import generator
from abruptlab.task.held_out import HELD_OUT
from abruptlab.task.matrices import Batch
from abruptlab.task.vocabulary import MASK

MOST_DRAWS = 1000  # each is a forward pass at every step
STEPS = ("before-drop", "final")

Places = Int[Tensor, "rows columns"]


def _rows_and_columns(places: Places, random: torch.Generator) -> Places:
    rows, columns = (torch.randperm(count, generator=random) for count in places.shape)
    return places[rows][:, columns]


def _within_rows(places: Places, random: torch.Generator) -> Places:
    return places.gather(1, torch.rand(places.shape, generator=random).argsort(1))


KINDS: dict[str, Callable[[Places, torch.Generator], Places]] = {
    # Whole rows change places, and whole columns do: what was a row or a column still is. Rows and columns of the
    # task's matrices are exchangeable, so (but for a fixed mask) no model's expected losses change: a control.
    "keep-rows-and-columns": _rows_and_columns,
    "keep-rows": _within_rows,  # row-preserving: each row's places are shuffled by themselves
    "keep-columns": lambda places, random: _within_rows(places.T, random).T,  # column-preserving
    "random": lambda places, random: places.flatten()[torch.randperm(places.numel(), generator=random)].view_as(places),
}


@dataclass(frozen=True)
class Permutation(Outlined):
    """The losses of some checkpoints under several permutations of each kind."""

    shown: Shown
    kinds: tuple[str, ...]  # as `KINDS`
    steps: Int[np.ndarray, " step"]
    orders: Int[np.ndarray, "kind draw place"]  # the place whose positional embedding each place gets
    intact: Losses  # [step]
    permuted: Losses  # [step, kind, draw]
    mean: Losses  # [step, kind] over the permutations, with standard errors over them
    intact_slope: Float[np.ndarray, " step"]  # of predictions on true values at hidden places (`slope`)
    slope: Float[np.ndarray, "step kind"]  # mean over the permutations
    zero_level: float  # L_mask of predicting zero


@checked
def measure_permutation(
    run: Run, steps: Steps = STEPS, draws: int = 8, matrices: int = 256, seed: int = 0
) -> Permutation:
    """`draws` permutations of each kind, the same ones for every step, none of them the identity.

    Raises `CheckpointError` for a step without a checkpoint and `ConfigError` for matrices of one row or one column,
    no draws, or more than `MOST_DRAWS`.
    """
    require_count(draws, "draws", 1, MOST_DRAWS)
    batch = held_out(run, matrices, seed)
    random = generator(seed, HELD_OUT, 2)
    orders = torch.stack([torch.stack([draw_order(kind, batch.size, random) for _ in range(draws)]) for kind in KINDS])
    resolved = run.resolve_all(steps)
    intact, permuted, slopes = [], [], []
    for model in (load(run, step) for step in track(resolved, "checkpoints")):
        plain = predict(model, batch.tokens)
        of_kind = track([*orders], "kinds of order")
        each = [[predict(permute(model, order), batch.tokens) for order in kind] for kind in of_kind]
        shuffled = torch.stack([torch.stack(kind) for kind in each])  # [kind, draw, matrix, pos]
        intact.append(losses(plain, batch))
        permuted.append(losses(shuffled, batch))
        slopes.append((slope(plain, batch), slope(shuffled, batch).mean(-1)))
    every = stack(permuted)
    return Permutation(
        shown=Shown.of(run.objective),
        kinds=tuple(KINDS),
        steps=np.array(resolved),
        orders=orders.numpy(),
        intact=stack(intact),
        permuted=every,
        mean=Losses({name: _over_draws(each) for name, each in every.items()}),
        intact_slope=np.array([plain for plain, _ in slopes]),
        slope=np.stack([shuffled for _, shuffled in slopes]),
        zero_level=hidden_level(run),
    )


@checked
def measure_relabelled(run: Run, step: int | str = "final", matrices: int = 256, seed: int = 0) -> Losses:
    """The losses with the embeddings of the tokens shuffled, in place of the positional ones: those of all values that
    occur, so that each stands for another.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    batch, model = held_out(run, matrices, seed), load(run, step)
    occurring = batch.tokens[batch.tokens != MASK].unique()
    other = torch.arange(model.token_embedding.num_embeddings)
    other[occurring] = occurring[torch.randperm(len(occurring), generator=generator(seed, HELD_OUT, 9))]
    return losses(predict(model, other[batch.tokens]), batch)


def slope(predictions: Float[Tensor, "*condition matrix pos"], batch: Batch) -> Float[np.ndarray, "*condition"]:
    """Σ prediction · truth / Σ truth² over hidden entries: 1 where they are completed, 0 where the predictions have
    nothing to do with them, whatever their size."""
    truth = torch.where(batch.observed, 0.0, batch.values).double()
    return ((predictions.double() * truth).sum((-1, -2)) / truth.square().sum()).numpy()


def draw_order(kind: str, size: tuple[int, int], random: torch.Generator) -> Int[Tensor, " place"]:
    """A permutation of the places of a matrix, not the identity, of one of the `KINDS`.

    Raises `ConfigError` for a kind that does not exist and for matrices of one row or one column.
    """
    if kind not in KINDS:
        raise ConfigError(f"no permutation {kind!r}; {choice(kind, KINDS)}")
    if min(size) < 2:
        raise ConfigError(f"permutations need two or more rows and columns, not {size[0]} × {size[1]}")
    places = torch.arange(math.prod(size)).view(size)
    while torch.equal(order := KINDS[kind](places, random), places):
        pass
    return order.flatten()


@torch.no_grad()
def permute(model: Encoder, order: Int[Tensor, " place"]) -> Encoder:
    """A copy of the model in which each place has the positional embedding of the place `order` names.

    Raises `ConfigError` for a model whose places share their embeddings.
    """
    if model.config.positions != "free":
        raise ConfigError(f"permutations need free positional embeddings, not {model.config.positions}")
    permuted = copy.deepcopy(model)
    embeddings = model.position_embedding.weight
    permuted.position_embedding.weight[: len(order)] = embeddings[order.to(embeddings.device)]
    return permuted


def _over_draws(estimate: Estimate) -> Estimate:
    draws = estimate.mean.shape[-1]
    mean = estimate.mean.mean(-1)
    spread = estimate.mean.std(-1, ddof=1) if draws > 1 else np.full_like(mean, np.nan)
    return Estimate(mean, spread / math.sqrt(draws))
