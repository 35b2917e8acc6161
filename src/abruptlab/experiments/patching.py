"""Activation patching: what of the clean run on X, put into the run on −X, makes the prediction that of X again.

Both inputs have the same mask. Any activation can be patched, at all or some of the heads and positions; the paper
patches the heads' outputs z of one layer. The effect of a patch is 0 where the predictions stay those of −X and 1
where they become those of X. In the place of −X, other tasks have other examples (`Task.contrast`), and in that of
predictions a decoder has logits.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abruptlab.arguments import checked, require, require_types
from abruptlab.errors import SiteError
from abruptlab.experiments.estimate import Estimate, Losses, of_sums
from abruptlab.experiments.forward import loaded, loaded_model, parts, predict, recorded
from abruptlab.experiments.held_out import held_out, held_out_examples
from abruptlab.experiments.result import Outlined
from abruptlab.experiments.scores import Scores, joined, score_of, stacked
from abruptlab.model.build import Model
from abruptlab.model.sites import Site
from abruptlab.run.run import Run
from abruptlab.system.tracking import track
from abruptlab.task.base import Objective
from abruptlab.task.examples import Examples
from abruptlab.task.matrices import Batch, negated

AXES = {"head": ("head",), "position": ("pos", "query")}  # what a site's declaration calls them


@dataclass(frozen=True)
class Patch:
    """What is taken from the clean run: the activation at a site, or that of some heads and positions alone."""

    site: str
    heads: Sequence[int] | None = None  # None: all
    positions: Sequence[int] | None = None  # None: all

    def __post_init__(self) -> None:
        require_types(self)
        require("*" not in self.site, "site", "the name of one site", repr(self.site))


@dataclass(frozen=True)
class Patching(Outlined):
    """The run on −X (or other examples), the same with patches, and the run on X: three conditions, in this order."""

    step: int
    to_clean: Losses  # [condition] the metrics of the task, with X as what is asked for
    to_corrupted: Losses  # [condition] with −X
    effect: dict[str, Estimate]  # of the patches, at the places that each metric is over


@dataclass(frozen=True)
class LayerPatching(Outlined):
    """The heads' outputs z of one layer patched, in units of the truth: see `turn`."""

    step: int
    masked: Estimate  # [layer] at the hidden places
    observed: Estimate  # [layer] at the observed ones
    stream_observed: Estimate  # [layer] at these with all that leaves the layer patched in place of z


@dataclass(frozen=True)
class EntryPatching(Outlined):
    """What enters the first layer at one place patched: the effect on the prediction at each hidden place."""

    step: int
    size: tuple[int, int]  # rows, columns
    between: Estimate  # [patched, read]


@dataclass(frozen=True)
class PatchingMaps(Outlined):
    """The effects of single patches: of the heads' outputs z, and of one position's residual stream."""

    step: int
    size: tuple[int, int]  # rows, columns
    head_masked: Estimate  # [layer, head] z of one head, the effect at the hidden places
    head_observed: Estimate
    layer_masked: Estimate  # [layer] z of all heads of the layer
    layer_observed: Estimate
    elsewhere: Estimate  # [layer, patched] what enters the layer at one position; the effect at all other hidden places
    between: Estimate  # [layer, patched, read] the same at one hidden place


@checked
def measure_patching(
    run: Run, patches: Sequence[Patch], step: int | str = "final", matrices: int = 256, seed: int = 0
) -> Patching:
    """The metrics against X and against −X (or other examples), with the patches made together, and without.

    Raises `SiteError` for a site, head or position and `CheckpointError` for a checkpoint that does not exist.
    """
    (resolved, model), objective = loaded_model(run, step), run.objective
    batch = held_out_examples(run, matrices, seed)
    other = run.config.task.contrast(batch)
    each = [
        _patch_part(model, batch[where], other[where], patches, objective)
        for where, _ in parts(model, batch.tokens)  # no more logits than theirs are in memory at a time
    ]
    to_clean, to_corrupted, effects = (joined(scores).losses for scores in zip(*each, strict=True))
    return Patching(resolved, to_clean, to_corrupted, dict(effects))


def _patch_part(
    model: Model, batch: Examples, other: Examples, patches: Sequence[Patch], objective: Objective
) -> tuple[Scores, Scores, Scores]:
    """The scores of the three conditions against either examples, and how far each metric's outputs go, of how far."""
    inputs, others = objective.inputs(batch), objective.inputs(other)
    clean, corrupted = predict(model, inputs), predict(model, others)
    (patched,) = predict_patched(model, inputs, others, [patches])
    conditions = corrupted, patched, clean
    to_clean, to_corrupted = (
        stacked([score_of(outputs, asked, objective) for outputs in conditions]) for asked in (batch, other)
    )
    numbers = math.prod(clean.shape[2:])  # at each place
    before, after, way = _told(corrupted), _told(patched), _told(clean) - _told(corrupted)
    chosen = dict(zip(objective.metrics, objective.chosen(batch), strict=True))
    sums = {}
    for metric in objective.curves:
        places = chosen[metric].repeat_interleave(numbers, 1)
        sums[metric.name] = _covered(torch.where(places, way.double(), 0.0), after - before)
    return to_clean, to_corrupted, Scores(tuple(sums), *zip(*sums.values(), strict=True))


@checked
def measure_patching_maps(run: Run, step: int | str = "final", matrices: int = 256, seed: int = 0) -> PatchingMaps:
    """The effect of every single head, layer and position.

    For a position, what enters a layer there is patched: all that the place knows by then. It acts on other places
    only through the heads of that layer and of those above, so the maps show from where, and until which layer,
    a prediction is still to be put together; z would show only what a place has fetched, not where from.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    resolved, model = loaded(run, step)
    batch = held_out(run, matrices, seed)
    opposite = negated(batch, run.config.matrices)
    clean, corrupted = predict(model, batch.tokens), predict(model, opposite.tokens)
    layers, heads, positions = range(model.config.layers), range(model.config.heads), range(batch.tokens.shape[1])
    hidden = ~batch.observed

    def patched(patches: list[Patch], *shape: int) -> Float[Tensor, "*shape matrix pos"]:
        each = predict_patched(model, batch.tokens, opposite.tokens, [[patch] for patch in patches])
        return each.unflatten(0, shape)

    by_head = patched([Patch(_z(i), heads=[head]) for i in layers for head in heads], len(layers), len(heads))
    by_layer = patched([Patch(_z(i)) for i in layers], len(layers))
    entering = [Patch(_entering(i), positions=[place]) for i in layers for place in positions]
    by_place = patched(entering, len(layers), len(positions))
    return PatchingMaps(
        resolved,
        batch.size,
        effect(by_head, corrupted, clean, hidden),
        effect(by_head, corrupted, clean, batch.observed),
        effect(by_layer, corrupted, clean, hidden),
        effect(by_layer, corrupted, clean, batch.observed),
        elsewhere=effect(by_place, corrupted, clean, hidden & ~torch.eye(len(positions), dtype=torch.bool)[:, None]),
        between=effect(*(each.mT.unsqueeze(-1) for each in (by_place, corrupted, clean, hidden))),
    )


def measure_layer_patching(run: Run, step: int | str = "final", matrices: int = 256, seed: int = 0) -> LayerPatching:
    """How far all heads of one layer, patched, turn the predictions from −X to X.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    resolved, model = loaded(run, step)
    batch = held_out(run, matrices, seed)
    opposite = negated(batch, run.config.matrices)
    layers, corrupted = range(model.config.layers), predict(model, opposite.tokens)
    patches = [*([Patch(_z(layer))] for layer in layers), *([Patch(_entering(layer + 1))] for layer in layers)]
    heads, stream = predict_patched(model, batch.tokens, opposite.tokens, patches).chunk(2)
    turns = ((heads, ~batch.observed), (heads, batch.observed), (stream, batch.observed))
    return LayerPatching(resolved, *(turn(patched, corrupted, batch, places) for patched, places in turns))


def measure_entry_patching(run: Run, step: int | str = "final", matrices: int = 256, seed: int = 0) -> EntryPatching:
    """The effect of each place's embedding on each hidden place, as in the first row of `PatchingMaps.between`.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    resolved, model = loaded(run, step)
    batch = held_out(run, matrices, seed)
    opposite = negated(batch, run.config.matrices)
    clean, corrupted = predict(model, batch.tokens), predict(model, opposite.tokens)
    places = [[Patch(_entering(0), positions=[place])] for place in range(batch.tokens.shape[1])]
    patched = predict_patched(model, batch.tokens, opposite.tokens, places)
    of_each = (each.mT.unsqueeze(-1) for each in (patched, corrupted, clean, ~batch.observed))
    return EntryPatching(resolved, batch.size, effect(*of_each))


def predict_patched(
    model: Model,
    clean: Int[Tensor, "example pos"],
    corrupted: Int[Tensor, "example pos"],
    interventions: Sequence[Sequence[Patch]],
) -> Float[Tensor, "intervention example pos *token"]:
    """The outputs for the corrupted tokens with activations from the run on the clean ones.

    Each intervention is a run of its own, with all its patches made together.

    Raises `SiteError`, saying which there are, for a site, head or position that does not exist.
    """
    names = sorted({patch.site for patches in interventions for patch in patches})
    predictions = []
    for where, activations in recorded(model, clean, names):
        each = [
            predict(model, corrupted[where], _grafts(model, activations, patches))
            for patches in track(interventions, "patches")
        ]
        predictions.append(torch.stack(each))
    return torch.cat(predictions, dim=1)


def _grafts(
    model: Model, activations: dict[str, Tensor], patches: Sequence[Patch]
) -> dict[str, Callable[[Tensor], Tensor]]:
    """What `sites.replace` takes to make these patches with the clean run's activations."""
    chosen: dict[str, Tensor] = {}
    for patch in patches:
        axes = cast(Site, model.get_submodule(patch.site)).shape.split(", ")
        own = _chosen(patch, axes, activations[patch.site])
        chosen[patch.site] = own | chosen.get(patch.site, own)
    return {site: partial(torch.where, places, activations[site]) for site, places in chosen.items()}


def _chosen(patch: Patch, axes: Sequence[str], activation: Tensor) -> Bool[Tensor, "..."]:
    """Which of an activation's numbers, along the axes of its site, a patch takes, in a shape that broadcasts to it."""
    chosen = torch.ones([1] * activation.ndim, dtype=torch.bool, device=activation.device)
    for name, indices in (("head", patch.heads), ("position", patch.positions)):
        if indices is None:
            continue
        axis = next((dimension for dimension, called in enumerate(axes) if called in AXES[name]), None)
        if axis is None:
            raise SiteError(f"site {patch.site} has no {name}s: it is [{', '.join(axes)}]")
        count = activation.shape[axis]
        for index in indices:
            if not 0 <= index < count:
                raise SiteError(f"site {patch.site}: no {name} {index}; there are 0 to {count - 1}")
        along = torch.zeros(count, dtype=torch.bool, device=activation.device)
        along[[*indices]] = True
        chosen = chosen & along.view([-1 if dimension == axis else 1 for dimension in range(activation.ndim)])
    return chosen


def _told(outputs: Float[Tensor, "example pos *token"]) -> Float[Tensor, "example number"]:
    """The numbers that say what a model makes of each example: values, or logits, of which a constant says nothing."""
    return (outputs if outputs.ndim == 2 else outputs - outputs.mean(-1, keepdim=True)).flatten(1)


def effect(
    patched: Float[Tensor, "*condition matrix pos"],
    corrupted: Float[Tensor, "*#condition matrix pos"],
    clean: Float[Tensor, "*#condition matrix pos"],
    chosen: Bool[Tensor, "*#condition matrix pos"],
) -> Estimate:
    """How far the predictions at the chosen places went from the corrupted run's (0) to the clean run's (1).

    Their change is projected on that way, Σ (patched − corrupted)(clean − corrupted) / Σ (clean − corrupted)², with a
    standard error over matrices. NaN where the two runs agree or no place is chosen.
    """
    return of_sums(*_covered(torch.where(chosen, (clean - corrupted).double(), 0.0), patched - corrupted))


def turn(
    patched: Float[Tensor, "*condition matrix pos"],
    corrupted: Float[Tensor, "matrix pos"],
    batch: Batch,
    chosen: Bool[Tensor, "matrix pos"],
) -> Estimate:
    """How far patches turn the predictions at the chosen places from −X (0) to X (1), X being the true matrices.

    Unlike `effect`, it is about 0 in a model whose predictions have nothing to do with X, whatever they do.
    """
    return of_sums(*_covered(torch.where(chosen, 2 * batch.values.double(), 0.0), patched - corrupted))


def _covered(
    way: Float[Tensor, "*#condition example number"], gone: Float[Tensor, "*condition example number"]
) -> tuple[Float[Tensor, "*condition example"], Float[Tensor, "*#condition example"]]:
    """How far a change goes along a way, and how long that is, of each example."""
    return (way * gone).sum(-1), way.square().sum(-1)


def _z(layer: int) -> str:
    return f"blocks.{layer}.attn.z"


def _entering(layer: int) -> str:
    return f"blocks.{layer - 1}.resid_post" if layer else "embed"
