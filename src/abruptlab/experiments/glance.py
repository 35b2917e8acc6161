"""Where every head of a checkpoint looks, small enough for a terminal, and the signs of a drop to come; a few matrices
are enough to see it."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from abruptlab.experiments.attention import KINDS, NO_LABEL, RANDOM, mean_attention
from abruptlab.experiments.held_out import held_out, held_out_examples
from abruptlab.experiments.progress import hidden_and_attention, uniform_attention
from abruptlab.experiments.result import Outlined
from abruptlab.experiments.sequence_attention import attention_over_sequence
from abruptlab.model.decoder import Decoder
from abruptlab.run.run import Run

REACH = 4  # rows and columns around the query, beyond which few queries have a key at all
BLOCKS = 18  # a side of a decoder's map at most
USEFUL = "useful"
AROUND = "by the key's place around the query"


@dataclass(frozen=True)
class Glance(Outlined):
    """A picture of every head's attention, its label, and how clearly it has it."""

    step: int
    shown: str  # what the pictures are of
    pictures: Float[np.ndarray, "layer head height width"]  # shares of attention
    label: Shaped[np.ndarray, "layer head"]
    score: Float[np.ndarray, "layer head"]
    collapse: float  # of the last layer: how alike the states at two places are, as a cosine
    attention: float  # of the head with most of it, the attention to what is needed over that of uniform attention


def measure_glance(run: Run, step: int, matrices: int = 32, seed: int = 0) -> Glance:
    """The heads of the checkpoint of `step`, measured on the CPU.

    An encoder's pictures are `around_the_query`, its labels those of figure 4, each with its score (NO_LABEL: the
    largest of the scores). A decoder's are its maps `in_blocks`, and its score is the share of the attention on
    what the query needs (the entry to be copied).

    Raises `CheckpointError` for a step without a checkpoint.
    """
    model, batch, objective = run.load(step), held_out_examples(run, matrices, seed), run.objective
    collapse, progress = hidden_and_attention(model, batch, objective)
    uniform = float(uniform_attention(batch, objective))
    signs = float(collapse[-1].nanmean()), float(progress.nanmean(-1).max()) / uniform if uniform else math.nan
    if isinstance(model, Decoder):
        maps, useful = attention_over_sequence(model, batch, objective)
        parts = ", ".join(segment.name.partition(":")[0] for segment in objective.segments)
        shown = f"query ↓ key → over [{parts}]"
        return Glance(step, shown, in_blocks(maps), np.full(maps.shape[:2], USEFUL), useful.mean, *signs)
    attention = mean_attention(model, held_out(run, matrices, seed, **RANDOM), step)
    scores = attention.score.mean
    label = attention.label[..., None]
    score = scores.max(-1, where=(label == KINDS) | (label == NO_LABEL), initial=-np.inf)
    return Glance(step, AROUND, around_the_query(attention.maps, attention.size), attention.label, score, *signs)


def around_the_query(
    maps: Float[np.ndarray, "layer head pos pos"], size: tuple[int, int]
) -> Float[np.ndarray, "layer head height width"]:
    """Maps of matrices of a `size` as attention by where the key lies from the query, which is in the middle: rows
    below it below, columns to the right of it to the right; each the mean over the queries that have a key there."""
    rows, columns = size
    down, right = min(REACH, rows - 1), min(REACH, columns - 1)
    by_place = maps.reshape(*maps.shape[:2], rows, columns, rows, columns)
    picture = np.zeros((*maps.shape[:2], 2 * down + 1, 2 * right + 1))
    for y in range(-down, down + 1):
        for x in range(-right, right + 1):
            i = np.arange(max(0, -y), min(rows, rows - y))[:, None]
            j = np.arange(max(0, -x), min(columns, columns - x))
            picture[:, :, y + down, x + right] = by_place[:, :, i, j, i + y, j + x].mean((-2, -1))
    return picture


def in_blocks(maps: Float[np.ndarray, "layer head query key"]) -> Float[np.ndarray, "layer head height width"]:
    """Maps made small: the attention on each block of keys, mean over a block of queries."""
    width = -(-maps.shape[-1] // BLOCKS)
    edges = np.arange(0, maps.shape[-1], width)
    queries = np.diff(np.append(edges, maps.shape[-2]))
    on_keys = np.add.reduceat(maps, edges, -1)
    return np.add.reduceat(on_keys, edges, -2) / queries[:, None]
