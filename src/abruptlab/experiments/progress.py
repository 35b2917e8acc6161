"""Hidden states over the training: representation collapse and attention progress, and when they first move.

The measures of the follow-up paper (arXiv 2506.13688), for any task. *Representation collapse* of a layer is the mean
cosine similarity of its outputs at two places of an example (of the answer, for a decoder); that of the run is the last
layer's, the states that the read-out sees, as in the authors' code. *Attention progress* is Σ|A|·M / Σ|A| with M the
useful places of each query, which the task names (`Objective.useful`); that of the run is the mean over all heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.experiments.estimate import Estimate, over_matrices
from abruptlab.experiments.forward import loaded_model, parts, recorded
from abruptlab.experiments.held_out import held_out_examples
from abruptlab.experiments.losses import Curves, measure_curves
from abruptlab.experiments.result import Outlined
from abruptlab.experiments.scores import Shown
from abruptlab.model.build import Model
from abruptlab.model.collapse import asked, collapse_and_attention, mean_cosine
from abruptlab.run.run import Run, Steps
from abruptlab.system.tracking import track
from abruptlab.task.base import Objective
from abruptlab.task.examples import Examples

MOVED = 0.1  # of the largest later change: as much of it as L_mask has fallen at the onset
ERRORS = 3  # and this many standard errors, so that no noise moves it


@dataclass(frozen=True)
class Measure(Outlined):
    """A measure at every checkpoint."""

    layers: Estimate  # [step, layer]
    run: Estimate  # [step], the one number for all layers
    moved: Float[np.ndarray, ""]  # step at which that first moves; NaN if it does not, or there is no plateau


@dataclass(frozen=True)
class Progress(Outlined):
    """Both measures beside the loss."""

    curves: Curves
    step: Int[np.ndarray, " step"]
    collapse: Measure
    attention: Measure  # of a layer: mean over its heads
    heads: Estimate  # [step, layer, head], attention progress
    apart: dict[str, Estimate]  # [step] by loss, of a matrix the last layer's collapse at the places that it is over
    uniform: Float[np.ndarray, ""]  # attention progress of attending to all places alike


@checked
def measure_progress(run: Run, steps: Steps | None = None, matrices: int = 256, seed: int = 0) -> Progress:
    """Both measures at the given checkpoints (all, unless told otherwise) on held-out matrices, always the same.

    A measure *first moves* at the first checkpoint after mid-plateau (the milestone `before-drop`) from which on, until
    the drop's end (the milestone `after-drop`, else the last checkpoint), it has gone `MOVED` of its way to there, and
    more than `ERRORS` standard errors. A measure whose whole way is less than that many does not move.

    Raises `CheckpointError` for a step without a checkpoint, `RunError` if the run has made no step yet.
    """
    curves, objective = measure_curves(run), run.objective
    batch = held_out_examples(run, matrices, seed)
    resolved = run.resolve_all((run.steps or ["final"]) if steps is None else steps)
    each = []
    for step in track(resolved, "checkpoints"):
        _, model = loaded_model(run, step)
        apart = collapse_apart(model, batch, objective) if _parts(objective) else []
        each.append((*hidden_and_attention(model, batch, objective), *apart))
    collapse, attention, *apart = (torch.stack(measure) for measure in zip(*each, strict=True))
    before = run.milestones.get("before-drop")
    after = run.milestones.get("after-drop", resolved[-1])
    moving = (
        slice(resolved.index(before), resolved.index(after) + 1) if before in resolved and after in resolved else None
    )
    return Progress(
        curves=curves,
        step=np.array(resolved),
        collapse=_measure(collapse, collapse[:, -1], resolved, moving),
        attention=_measure(attention.mean(2), attention.mean((1, 2)), resolved, moving),
        heads=over_matrices(attention),
        apart={name: _over_those_with_two(values) for name, values in zip(_parts(objective), apart, strict=True)},
        uniform=uniform_attention(batch, objective).numpy(),
    )


def _parts(objective: Objective) -> tuple[str, ...]:
    """The losses at whose places the collapse is measured apart: of a matrix, of which all places are asked."""
    return () if objective.answer else Shown.of(objective).names


def _over_those_with_two(values: Float[Tensor, "step matrix"]) -> Estimate:
    """The mean over the matrices that have two such places, and so a collapse."""
    return over_matrices(values[:, values.isfinite().all(0)])


def collapse_apart(model: Model, batch: Examples, objective: Objective) -> list[Float[Tensor, " matrix"]]:
    """The last layer's collapse at the places of each of `_parts`, for each matrix, on the CPU."""
    chosen = dict(zip(objective.names, objective.chosen(batch), strict=True))
    name = f"blocks.{model.config.layers - 1}.resid_post"
    states = torch.cat([activations[name].cpu() for _, activations in recorded(model, objective.inputs(batch), [name])])
    return [mean_cosine(states, chosen[loss]) for loss in _parts(objective)]


def hidden_and_attention(
    model: Model, batch: Examples, objective: Objective
) -> tuple[Float[Tensor, "layer matrix"], Float[Tensor, "layer head matrix"]]:
    """Representation collapse of each layer and attention progress of each head, for each example, on the CPU."""
    each = [
        collapse_and_attention(model, batch[where].to(tokens.device), objective)
        for where, tokens in parts(model, batch.tokens)
    ]
    collapse, attention = (torch.cat(measure, -1).cpu().double() for measure in zip(*each, strict=True))
    return collapse, attention


def uniform_attention(batch: Examples, objective: Objective) -> Float[Tensor, ""]:
    """The progress of attending alike to all places that a query sees: all of them, or for a decoder those up to it."""
    useful = asked(objective.useful(batch), objective).double()
    if objective.answer == 0:
        return useful.mean()
    seen = objective.answer + torch.arange(useful.shape[1])
    return (useful.sum(-1) / seen).mean()


def _measure(
    layers: Float[Tensor, "step layer matrix"],
    run: Float[Tensor, "step matrix"],
    steps: Sequence[int],
    moving: slice | None,
) -> Measure:
    moved = np.nan if moving is None else first_move(run[moving], steps[moving])
    return Measure(over_matrices(layers), over_matrices(run), np.array(moved))


def first_move(values: Float[Tensor, "step matrix"], steps: Sequence[int]) -> float:
    """The first step from which on the mean over matrices has left that of the first one for that of the last; NaN if
    it does not, or the last one hardly differs."""
    change = over_matrices(values - values[0])  # matrix by matrix: what they share is no error
    way = change.mean[-1]
    gone = (change.mean * np.sign(way) > MOVED * abs(way)) & (np.abs(change.mean) > ERRORS * change.error)
    stays = np.logical_and.accumulate(gone[::-1])[::-1]
    return float(steps[int(stays.argmax())]) if stays.any() else np.nan
