"""Ablation by groups: all heads that look along rows, all that look along columns, and both.

The heads are grouped by where they look (`attention.label_heads`), on the same matrices. Beside each
group stands what as many heads drawn at random from the others do, so that a group's effect is not that of its size.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped

from abruptlab.experiments.ablation import Head, constant_maps, plateau_level
from abruptlab.experiments.attention import mean_attention
from abruptlab.experiments.estimate import Losses
from abruptlab.experiments.forward import loaded
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.result import Outlined, stack
from abruptlab.experiments.scores import score
from abruptlab.run.run import Run
from abruptlab.system.tracking import track
from abruptlab.task.counter import generator
from abruptlab.task.held_out import HELD_OUT

GROUPS: dict[str, tuple[str, ...]] = {  # → the labels of its heads
    "row heads": ("row",),
    "column heads": ("column",),
    "row and column heads": ("row", "column", "row and column"),
}
REPLACEMENTS = ("uniform", "mean")


@dataclass(frozen=True)
class GroupAblation(Outlined):
    """A checkpoint with each group of heads ablated, by each of `REPLACEMENTS`."""

    step: int
    plateau: float  # L_mask before the drop
    groups: tuple[str, ...]  # as GROUPS
    labels: Shaped[np.ndarray, "layer head"]
    heads: Bool[np.ndarray, "group layer head"]  # the group's
    intact: Losses
    ablated: Losses  # [replacement, group]; of an empty group, the intact losses
    random_masked: Float[np.ndarray, "replacement group draw"]  # L_mask with as many others ablated; NaN: none


def measure_group_ablation(
    run: Run, step: int | str = "final", matrices: int = 256, draws: int = 16, seed: int = 0
) -> GroupAblation:
    """L, L_obs and L_mask with all row heads, all column heads, and both ablated, and L_mask with random others.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    resolved, model = loaded(run, step)
    batch = held_out(run, matrices, seed)
    labels = mean_attention(model, batch, resolved).label
    groups = [np.isin(labels, kinds) for kinds in GROUPS.values()]
    random = generator(seed, HELD_OUT, 4)
    others = [_drawn(~chosen, int(chosen.sum()), draws, random) for chosen in groups]

    def ablated(heads: list[Head], replacement: str) -> Losses:
        return score(model, batch, run.objective, constant_maps(model, heads, replacement)).losses

    def masked(heads: list[Head] | None, replacement: str) -> float:
        return float("nan") if heads is None else float(ablated(heads, replacement)["loss_masked"].mean)

    return GroupAblation(
        resolved,
        plateau_level(run),
        tuple(GROUPS),
        labels,
        np.stack(groups),
        score(model, batch, run.objective).losses,
        stack([stack([ablated(_heads(chosen), way) for chosen in groups]) for way in REPLACEMENTS]),
        np.array([[[masked(drawn, way) for drawn in each] for each in others] for way in track(REPLACEMENTS, "ways")]),
    )


def _heads(chosen: Bool[np.ndarray, "layer head"]) -> list[Head]:
    return [(layer, head) for layer, head in np.argwhere(chosen).tolist()]


def _drawn(
    allowed: Bool[np.ndarray, "layer head"], count: int, draws: int, random: torch.Generator
) -> list[list[Head] | None]:
    """Several sets of `count` of the allowed heads; None for a count of 0, or of more than there are."""
    heads = _heads(allowed)
    if not 0 < count <= len(heads):
        return [None] * draws
    orders = [torch.randperm(len(heads), generator=random)[:count].tolist() for _ in range(draws)]
    return [[heads[index] for index in order] for order in orders]
