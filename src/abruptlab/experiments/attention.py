"""Attention maps and where each head looks (figures 4, 5, 22 and 23)."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.experiments.estimate import Estimate, over_matrices
from abruptlab.experiments.forward import load, loaded, recorded
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.result import Outlined, stack
from abruptlab.model.encoder import Encoder
from abruptlab.run.run import Run, Steps
from abruptlab.system.tracking import track
from abruptlab.task.matrices import Batch

Mask = Literal["random", "rows", "columns", "single"]

# The places (keys) a head may look at. Four are relative to the query, which belongs to its own row and column; four
# follow from the mask, the last two being observed places whose whole row, or column, is hidden otherwise.
KINDS = ("itself", "row", "column", "row and column", "observed", "hidden", "alone in row", "alone in column")
NO_LABEL = "–"

# A head is labelled by a kind that gets most of its attention: at least this part of what uniform attention would
# spend elsewhere. Half is the least for which "it attends to the row" is true of most of what it does, and the excess
# over uniform attention lets one rule serve for few places (the row) and for many (the observed ones).
LOOKS_AT = 0.5  # of its attention, on places of one kind: a head has that label

RANDOM: dict[str, Any] = {"mask": "random", "hidden_rows": (), "hidden_columns": (), "kept": ()}


@dataclass(frozen=True)
class Attention(Outlined):
    """The attention of every head, averaged over matrices."""

    step: int
    size: tuple[int, int]  # rows, columns
    hidden: Bool[np.ndarray, " pos"] | None  # the hidden places, if they are those of all matrices
    maps: Float[np.ndarray, "layer head query key"]
    share: Estimate  # [layer, head, kind] of the attention, mean over queries; kinds as in KINDS
    uniform: Float[np.ndarray, " kind"]  # the share that uniform attention would give
    score: Estimate  # [layer, head, kind] share − uniform, matrix by matrix
    label: Shaped[np.ndarray, "layer head"]  # one of the first six KINDS, or NO_LABEL


@dataclass(frozen=True)
class AttentionOverTime(Outlined):
    """The attention of every head at several checkpoints, on the same matrices."""

    step: Int[np.ndarray, " step"]
    size: tuple[int, int]
    maps: Float[np.ndarray, "step layer head query key"]
    share: Estimate  # [step, layer, head, kind]
    uniform: Float[np.ndarray, " kind"]
    label: Shaped[np.ndarray, "step layer head"]


@checked
def measure_attention(
    run: Run, step: int | str = "final", mask: Mask = "random", matrices: int = 512, seed: int = 0
) -> Attention:
    """The mean maps of a checkpoint and the shares of its heads.

    Masks: `random` ones (figure 4); the paper's fixed one of hidden `rows` or `columns` (figure 5, `lines_hidden`); a
    `single` random one for all matrices (figure 23). Raises `CheckpointError` for a step without a checkpoint and
    `ConfigError` for another mask.
    """
    resolved, model = loaded(run, step)
    return mean_attention(model, _batch(run, mask, matrices, seed), resolved)


@checked
def measure_attention_over_time(
    run: Run, steps: Steps | None = None, matrices: int = 512, seed: int = 0
) -> AttentionOverTime:
    """The same at several checkpoints with random masks (figure 22), by default at all milestones that the run has.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    resolved = run.resolve_all((run.milestones or ["final"]) if steps is None else steps)
    batch = _batch(run, "random", matrices, seed)
    taken = [mean_attention(load(run, step), batch, step) for step in track(resolved, "checkpoints")]
    return AttentionOverTime(
        np.array(resolved),
        batch.size,
        np.stack([attention.maps for attention in taken]),
        stack([attention.share for attention in taken]),
        taken[0].uniform,
        np.stack([attention.label for attention in taken]),
    )


def mean_attention(model: Encoder, batch: Batch, step: int) -> Attention:
    """The attention of a model, after `step` updates, on the matrices of a batch."""
    layers, heads, places = model.config.layers, model.config.heads, batch.values.shape[1]
    by_query, by_mask = places_by_query(batch.size), places_by_mask(batch)
    split = len(by_query)
    maps = torch.zeros(layers, heads, places, places, dtype=torch.float64)
    shares = torch.zeros(layers, heads, len(KINDS), len(batch.values), dtype=torch.float64)
    for where, activations in recorded(model, batch.tokens, ["blocks.*.attn.pattern"]):
        for layer, pattern in enumerate(activations.values()):  # [matrix, head, query, key]
            relative, masked = (kinds.to(pattern) for kinds in (by_query, by_mask[where]))
            maps[layer] += pattern.sum(0).cpu()
            on_relative = torch.einsum("bhqk,tqk->htb", pattern, relative) / places
            on_masked = torch.einsum("bhk,btk->htb", pattern.mean(2), masked)
            shares[layer, :, :split, where] = on_relative.cpu()
            shares[layer, :, split:, where] = on_masked.cpu()
    constant = by_query.double().mean((-2, -1)).expand(len(by_mask), -1)
    uniform = torch.cat([constant, by_mask.double().mean(-1)], -1).T  # [kind, matrix]
    score, expected = over_matrices(shares - uniform), over_matrices(uniform).mean
    observed = batch.observed
    return Attention(
        step,
        batch.size,
        (~observed[0]).numpy() if (observed == observed[0]).all() else None,
        (maps / len(observed)).numpy(),
        over_matrices(shares),
        expected,
        score,
        label_heads(score.mean, expected),
    )


def label_heads(
    score: Float[np.ndarray, "*heads kind"], uniform: Float[np.ndarray, " kind"]
) -> Shaped[np.ndarray, "*heads"]:
    """The label of each head: the narrowest kind that gets LOOKS_AT of its attention, NO_LABEL if there is none.

    `row and column` is a head with both, or with neither alone but with the two together.
    """
    most = (score >= LOOKS_AT * (1 - uniform)) & (uniform < 1)
    itself, row, column, either, observed, hidden = (most[..., kind] for kind in range(6))
    labels = ["itself", "row and column", "row", "column", "row and column", "observed", "hidden"]
    return np.select([itself, row & column, row, column, either, observed, hidden], labels, NO_LABEL)


def places_by_query(size: tuple[int, int]) -> Bool[Tensor, "4 query key"]:
    """Whether a key is the query itself, in its row, in its column, in its row or column."""
    rows, columns = size
    place = torch.arange(rows * columns)
    i, j = place // columns, place % columns
    row, column = i.unsqueeze(-1) == i, j.unsqueeze(-1) == j
    return torch.stack([row & column, row, column, row | column])


def places_by_mask(batch: Batch) -> Bool[Tensor, "matrix 4 key"]:
    """Whether a key is observed, hidden, the only observed one of its row, the only observed one of its column."""
    observed = batch.observed.unflatten(-1, batch.size)
    alone = [
        observed & (observed.sum(line, keepdim=True) == 1) & (observed.shape[line] > 1)
        for line in (2, 1)  # along the columns of a row, along the rows of a column
    ]
    return torch.stack([observed, ~observed, *alone], 1).flatten(2)


def lines_hidden(size: tuple[int, int], mask: Literal["rows", "columns"]) -> dict[str, Any]:
    """The changes to a task that hide the middle and the last row (or column), but for one entry of each.

    The entries kept are the second of the middle line and the last but one of the last line: in a 7×7 matrix rows 3
    and 6 are hidden except (3, 1) and (6, 5), as in figure 5.
    """
    lines, length = size if mask == "rows" else size[::-1]
    kept = {lines // 2: min(1, length - 1), lines - 1: max(length - 2, 0)}
    if mask == "rows":
        return {"hidden_rows": (*kept,), "hidden_columns": (), "kept": (*kept.items(),)}
    return {"hidden_rows": (), "hidden_columns": (*kept,), "kept": (*((i, j) for j, i in kept.items()),)}


def _batch(run: Run, mask: Mask, matrices: int, seed: int) -> Batch:
    if mask == "random":
        return held_out(run, matrices, seed, **RANDOM)
    first = held_out(run, 1, seed, **RANDOM)
    rows, columns = first.size
    if mask == "single":  # as a fixed one: all rows hidden, but for what is observed
        kept = tuple(divmod(place, columns) for place in first.observed[0].nonzero().flatten().tolist())
        lines = {"hidden_rows": (*range(rows),), "hidden_columns": (), "kept": kept}
    else:
        lines = lines_hidden(first.size, mask)
    return held_out(run, matrices, seed, mask="fixed", **lines)
