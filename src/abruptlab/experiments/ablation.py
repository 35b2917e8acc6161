"""Constant-attention ablation (the text's "uniform ablation"): the losses once heads no longer choose where to look.

The attention map of a head gives way to one that is the same for all examples: `uniform`, the same to every place that
the query sees (of a matrix 1/(m·n) everywhere), as the text calls it; `mean`, the head's own mean map over the
examples, as in the authors' code; or `zero`, a map of zeros, so that the head's output z is zero. They say different
things: a head that looks at places, whatever stands there, loses nothing by its own mean map. As in the authors' code,
the mean is taken inside the ablated pass, where the layers below may be ablated already, over the examples of that pass
(`forward.PART`). A uniform map of linear attention has the sum over the places that the head's mean map has.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from abruptlab.arguments import checked, choice, require_count
from abruptlab.errors import ConfigError, SiteError
from abruptlab.experiments.estimate import Losses
from abruptlab.experiments.forward import loaded_model, recorded
from abruptlab.experiments.held_out import held_out_examples
from abruptlab.experiments.level import trivial_level
from abruptlab.experiments.result import Outlined
from abruptlab.experiments.scores import Scores, Shown, joined, score, score_of, stacked
from abruptlab.model import sites
from abruptlab.model.build import Model
from abruptlab.run.run import Run
from abruptlab.system.tracking import track
from abruptlab.task.base import Objective
from abruptlab.task.examples import Examples

Head = tuple[int, int]  # layer and head, both counted from 0

REPLACEMENTS = ("uniform", "mean", "zero")
RESTORED = 0.9  # of the plateau: the edge of its band, where the detector puts the onset of the drop
TOLERATED = 1.1  # of the intact loss L
SEARCHED = 128  # examples on which a greedy search compares heads; the chosen sets are then measured on others


@dataclass(frozen=True)
class Ablation(Outlined):
    """A checkpoint with a set of heads ablated, and without."""

    step: int
    replacement: str
    heads: Int[np.ndarray, "heads 2"]  # layer and head
    intact: Losses
    ablated: Losses
    difference: Losses  # ablated − intact, on the same examples


@dataclass(frozen=True)
class SingleAblations(Outlined):
    """A checkpoint with each single head ablated in each way; replacements in the order of `REPLACEMENTS`."""

    step: int
    shown: Shown
    plateau: float  # the metric whose drop is looked for (of matrices L_mask), before the drop
    intact: Losses
    ablated: Losses  # [replacement, layer, head]
    difference: Losses  # [replacement, layer, head] ablated − intact, on the same examples


@dataclass(frozen=True)
class Removal(Outlined):
    """Heads ablated one after another."""

    heads: Int[np.ndarray, "removed 2"]  # layer and head, in this order
    ablated: Losses  # [1 + removed] with the first 0, 1, 2, … of them ablated
    difference: Losses  # [1 + removed] ablated − intact, on the same examples


@dataclass(frozen=True)
class GreedyAblation(Outlined):
    """A checkpoint with greedy sets of heads ablated."""

    step: int
    replacement: str
    shown: Shown
    plateau: float  # the metric whose drop is looked for (of matrices L_mask), before the drop
    harmful: Removal  # each next head raises that metric most, until it is back at the plateau
    harmless: Removal  # each next head raises the loss least, until it is more than 10 % above the intact model's

    @property
    def fewest(self) -> int | None:
        """How many heads it takes to bring the metric back to the plateau; None if all of them do not."""
        enough = np.flatnonzero(_restored(self.harmful.ablated[self.shown.names[0]].mean, self.plateau))
        return int(enough[0]) if len(enough) else None

    @property
    def most(self) -> int:
        """How many heads may go with L within 10 % of the intact model's."""
        loss = self.harmless.ablated["loss"].mean
        return int((loss <= TOLERATED * loss[0]).sum()) - 1


@checked
def measure_ablation(
    run: Run,
    heads: Collection[Head] | Int[np.ndarray, "head 2"] | None = None,
    replacement: str = "uniform",
    step: int | str = "final",
    matrices: int = 512,
    seed: int = 0,
) -> Ablation:
    """The metrics of a run's task with a set of heads (None: all of them) ablated together, and without, on held-out
    matrices or other examples.

    Raises `SiteError` for a head and `ConfigError` for a replacement that does not exist, `CheckpointError` for a step
    without a checkpoint.
    """
    (resolved, model), objective = loaded_model(run, step), run.objective
    batch = held_out_examples(run, matrices, seed)
    heads = all_heads(model) if heads is None else sorted({(int(layer), int(head)) for layer, head in heads})
    ablated = score(model, batch, objective, constant_maps(model, heads, replacement))
    intact = score(model, batch, objective)
    return Ablation(resolved, replacement, _table(heads), intact.losses, ablated.losses, (ablated - intact).losses)


@checked
def measure_single_ablations(
    run: Run, step: int | str = "final", matrices: int = 256, seed: int = 0
) -> SingleAblations:
    """The metrics with each single head ablated, by each of the `REPLACEMENTS`.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    (resolved, model), objective = loaded_model(run, step), run.objective
    batch = held_out_examples(run, matrices, seed)
    intact = score(model, batch, objective)
    ablated = stacked([_score_each(model, batch, objective, replacement) for replacement in REPLACEMENTS])
    return SingleAblations(
        resolved, Shown.of(objective), plateau_level(run), intact.losses, ablated.losses, (ablated - intact).losses
    )


@checked
def measure_other_damage(
    run: Run, head: Head, step: int | str = "final", matrices: int = 256, seed: int = 0
) -> dict[str, Losses]:
    """What else can be done where a head's attention is replaced, so that the latter's effect can be told from any
    damage's: the metrics `intact`, with the `next map` in its place, that of the layer's next head on the same example,
    and with the layer's `no MLP`, whose output is zero.

    Raises `SiteError` for a head that does not exist, `CheckpointError` for a step without a checkpoint.
    """
    (_, model), objective, (layer, index) = loaded_model(run, step), run.objective, head
    require_head(model, (layer, index))
    batch = held_out_examples(run, matrices, seed)

    def next_map(pattern: Float[Tensor, "part head query key"]) -> Float[Tensor, "part head query key"]:
        pattern = pattern.clone()
        pattern[:, index] = pattern[:, (index + 1) % model.config.heads]
        return pattern

    damage = {
        "intact": {},
        "next map": {f"blocks.{layer}.attn.pattern": next_map},
        "no MLP": {f"blocks.{layer}.mlp.out": torch.zeros_like},
    }
    return {name: score(model, batch, objective, replaced).losses for name, replaced in damage.items()}


@checked
def measure_greedy_ablation(
    run: Run, replacement: str = "uniform", step: int | str = "final", matrices: int = 512, seed: int = 0
) -> GreedyAblation:
    """The fewest heads whose ablation restores the plateau's level of the metric that drops (of matrices, L_mask), and
    the most that may go with the loss within 10 %.

    Both are greedy: one head at a time, found on `SEARCHED` examples and measured on `matrices` others, so that the
    choice does not flatter the result. A better set may exist. It takes about (heads of the model) × (fewest + 5)
    forward passes.

    Raises `ConfigError` for a replacement that does not exist or less than one matrix, `CheckpointError` for a step
    without a checkpoint.
    """
    require_count(matrices, "matrices")
    (resolved, model), objective = loaded_model(run, step), run.objective
    both = held_out_examples(run, SEARCHED + matrices, seed)
    search, batch = both[:SEARCHED], both[SEARCHED:]
    level, falling, intact = plateau_level(run), objective.falling, score(model, batch, objective)

    def ablated(examples: Examples, heads: Collection[Head]) -> Scores:
        return score(model, examples, objective, constant_maps(model, heads, replacement))

    @cache
    def searched(*heads: Head) -> Losses:
        return ablated(search, heads).losses

    def most_harmful(removed: Sequence[Head]) -> Head:
        # All heads every time: one that does the same work as another hurts only once that one is gone.
        candidates = (head for head in all_heads(model) if head not in removed)
        return max(candidates, key=lambda head: float(searched(*removed, head)[falling].mean))

    harm = dict.fromkeys(all_heads(model), -math.inf)

    def least_harmful(removed: Sequence[Head]) -> Head:
        # Lazily (Minoux 1978): the fewer are left, the more a head's removal hurts, so what it did earlier is a
        # lower bound and only the heads that look best are looked at again. It spares most of the heads² evaluations.
        before, fresh = searched(*removed)["loss"].mean, set()
        while (head := min(harm, key=harm.__getitem__)) not in fresh:
            harm[head] = float(searched(*removed, head)["loss"].mean - before)
            fresh.add(head)
        del harm[head]
        return head

    def remove(choose: Callable[[Sequence[Head]], Head], enough: Callable[[Losses], bool]) -> Removal:
        removed: list[Head] = []
        curve = [intact]
        for _ in track(all_heads(model), "heads"):
            if enough(curve[-1].losses):
                break
            removed.append(choose(removed))
            curve.append(ablated(batch, removed))
        path = stacked(curve)
        return Removal(_table(removed), path.losses, (path - intact).losses)

    most = TOLERATED * intact.losses["loss"].mean
    return GreedyAblation(
        resolved,
        replacement,
        Shown.of(objective),
        level,
        harmful=remove(most_harmful, lambda losses: bool(_restored(losses[falling].mean, level))),
        harmless=remove(least_harmful, lambda losses: bool(losses["loss"].mean > most)),
    )


def constant_maps(model: Model, heads: Collection[Head], replacement: str) -> dict[str, Callable[[Tensor], Tensor]]:
    """What `sites.replace` takes to put constant maps (`REPLACEMENTS`) in the place of the heads' attention.

    Raises `SiteError`, saying which heads there are, for one that does not exist, and `ConfigError` likewise for a
    replacement.
    """
    for head in heads:
        require_head(model, head)
    if replacement not in REPLACEMENTS:
        raise ConfigError(f"no replacement {replacement!r}; {choice(replacement, REPLACEMENTS)}")
    causal, normalised = model.config.causal, model.config.attention == "softmax"

    def constant(pattern: Float[Tensor, "part some query key"]) -> Float[Tensor, "#some query key"]:
        if replacement == "zero":
            return torch.zeros_like(pattern[0])
        if replacement == "mean":
            return pattern.mean(0)
        seen = torch.ones_like(pattern[0, :1])
        seen = seen.tril() if causal else seen
        total = 1 if normalised else pattern.mean(0).sum(-1, keepdim=True)
        return seen / seen.sum(-1, keepdim=True) * total

    def swap(chosen: list[int], pattern: Float[Tensor, "part head query key"]) -> Float[Tensor, "part head query key"]:
        pattern = pattern.clone()
        pattern[:, chosen] = constant(pattern[:, chosen])
        return pattern

    by_layer = {layer: sorted(head for own, head in set(heads) if own == layer) for layer, _ in heads}
    return {f"blocks.{layer}.attn.pattern": partial(swap, chosen) for layer, chosen in by_layer.items()}


def _score_each(model: Model, batch: Examples, objective: Objective, replacement: str) -> Scores:
    """The metrics [layer, head] with every head alone ablated; the layers below it are run once for all, which saves
    half the time."""
    layers = range(model.config.layers)
    entering = ["embed", *(f"blocks.{layer}.resid_post" for layer in layers[:-1])]

    def alone(head: Head, states: Float[Tensor, "part pos width"], part: Examples) -> Scores:
        with torch.no_grad(), sites.replace(model, constant_maps(model, [head], replacement)):
            for block in list(model.blocks)[head[0] :]:
                states = block(states)
            return score_of(model.read(states).cpu(), part, objective)

    parts = []
    for where, activations in recorded(model, objective.inputs(batch), entering):
        each = [alone(head, activations[entering[head[0]]], batch[where]) for head in track(all_heads(model), "heads")]
        by_layer = [
            stacked(each[start : start + model.config.heads]) for start in range(0, len(each), model.config.heads)
        ]
        parts.append(stacked(by_layer))
    return joined(parts)


def require_head(model: Model, head: Head) -> None:
    """Raises `SiteError`, saying which heads there are, for one that does not exist."""
    if head not in all_heads(model):
        raise SiteError(
            f"no head {head!r}: expected pairs (layer, head), of layers 0 to {model.config.layers - 1} with heads "
            f"0 to {model.config.heads - 1} each"
        )


def all_heads(model: Model) -> list[Head]:
    """Every head of the model as (layer, head)."""
    return [(layer, head) for layer in range(model.config.layers) for head in range(model.config.heads)]


def plateau_level(run: Run) -> float:
    """The metric that drops, before the run's drop; if there is none, that of the trivial solution (NaN: unknown)."""
    return trivial_level(run) if run.drop is None else run.drop.plateau


def _table(heads: Sequence[Head]) -> Int[np.ndarray, "heads 2"]:
    return np.array(heads, dtype=np.int64).reshape(-1, 2)


def _restored(metric: Float[np.ndarray, "*sets"], level: float) -> np.ndarray:
    return np.asarray(metric >= RESTORED * level)
