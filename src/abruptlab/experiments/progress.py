"""Hidden states over the training: representation collapse and attention progress, and when they first move.

The measures of the follow-up paper (arXiv 2506.13688), for any task. *Representation collapse* of a layer is the mean
cosine similarity of its outputs at two places of an example (of the answer, for a decoder); that of the run is the last
layer's, the states that the read-out sees, as in the authors' code. *Attention progress* is Σ|A|·M / Σ|A| with M the
useful places of each query, which the task names (`Objective.useful`); that of the run is the mean over all heads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from abruptlab.experiments.evaluation import Estimate, held_out_examples, over_matrices, parts
from abruptlab.experiments.losses import Curves, measure_curves
from abruptlab.experiments.result import Outlined
from abruptlab.model import sites
from abruptlab.model.build import Model
from abruptlab.system.devices import choose_device

if TYPE_CHECKING:
    from abruptlab.run.run import Run
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
    uniform: Float[np.ndarray, ""]  # attention progress of attending to all places alike


def measure_progress(
    run: "Run", steps: Sequence[int | str] | None = None, matrices: int = 256, seed: int = 0
) -> Progress:
    """Both measures at the given checkpoints (all, unless told otherwise) on held-out matrices, always the same.

    A measure *first moves* at the first checkpoint after mid-plateau (the milestone `before-drop`) that differs from it
    by more than `MOVED` of the largest such difference and by more than `ERRORS` standard errors of the difference.

    Raises `CheckpointError` for a step without a checkpoint, `RunError` if the run has made no step yet.
    """
    curves, objective = measure_curves(run), run.objective
    batch = held_out_examples(run, matrices, seed)
    at = sorted({run.resolve(step) for step in (run.steps or ["final"] if steps is None else steps)})
    each = [hidden_and_attention(run.load(step).to(choose_device()), batch, objective) for step in at]
    collapse, attention = (torch.stack(measure) for measure in zip(*each, strict=True))
    before = run.milestones.get("before-drop")
    plateau = at.index(before) if before in at else None
    return Progress(
        curves=curves,
        step=np.array(at),
        collapse=_measure(collapse, collapse[:, -1], at, plateau),
        attention=_measure(attention.mean(2), attention.mean((1, 2)), at, plateau),
        heads=over_matrices(attention),
        uniform=_uniform(batch, objective).numpy(),
    )


def hidden_and_attention(
    model: Model, batch: "Examples", objective: "Objective"
) -> tuple[Float[Tensor, "layer matrix"], Float[Tensor, "layer head matrix"]]:
    """Representation collapse of each layer and attention progress of each head, for each example, on the CPU."""
    useful = _asked(objective.useful(batch), objective)
    collapse = torch.empty(model.config.layers, len(useful), dtype=torch.float64)
    attention = torch.empty(model.config.layers, model.config.heads, len(useful), dtype=torch.float64)

    def see_states(layer: int, where: slice, states: Tensor) -> Tensor:
        collapse[layer, where] = mean_cosine(_asked(states, objective)).cpu()
        return states

    def see_pattern(layer: int, where: slice, pattern: Tensor) -> Tensor:
        size = _asked(pattern.abs(), objective, -2)
        inside = (size * useful[where, None].to(size.device)).sum((-2, -1)) / size.sum((-2, -1))
        attention[layer, :, where] = inside.T.cpu()
        return pattern

    # each activation is replaced by itself and measured as it passes: one layer's attention is in memory at a time
    for where, tokens in parts(model, objective.inputs(batch)):
        seen: dict[str, Callable[[Tensor], Tensor]] = {}
        for layer in range(model.config.layers):
            seen[f"blocks.{layer}.resid_post"] = partial(see_states, layer, where)
            seen[f"blocks.{layer}.attn.pattern"] = partial(see_pattern, layer, where)
        with torch.no_grad(), sites.replace(model, seen):
            model(tokens)
    return collapse, attention


def mean_cosine(states: Float[Tensor, "matrix pos width"]) -> Float[Tensor, " matrix"]:
    """The mean cosine similarity of the states at two different places; NaN if there is only one."""
    unit = torch.nn.functional.normalize(states.double(), dim=-1)
    places = states.shape[1]
    return (unit.sum(1).square().sum(-1) - places) / (places * (places - 1))  # |Σu|² holds each pair twice, and itself


def _uniform(batch: "Examples", objective: "Objective") -> Float[Tensor, ""]:
    """The progress of attending alike to all places that a query sees: all of them, or for a decoder those up to it."""
    useful = _asked(objective.useful(batch), objective).double()
    if objective.answer == 0:
        return useful.mean()
    seen = objective.answer + torch.arange(useful.shape[1])
    return (useful.sum(-1) / seen).mean()


def _asked(values: Tensor, objective: "Objective", axis: int = 1) -> Tensor:
    """Of the places along an axis, those of which something is asked: all of a matrix, an encoder's; from the
    separator on, a decoder's."""
    first = max(0, objective.answer - 1)
    return values.narrow(axis, first, values.shape[axis] - first)


def _measure(
    layers: Float[Tensor, "step layer matrix"],
    run: Float[Tensor, "step matrix"],
    steps: Sequence[int],
    plateau: int | None,
) -> Measure:
    moved = np.nan if plateau is None else first_move(run[plateau:], steps[plateau:])
    return Measure(over_matrices(layers), over_matrices(run), np.array(moved))


def first_move(values: Float[Tensor, "step matrix"], steps: Sequence[int]) -> float:
    """The first step at which the mean over matrices has moved away from that of the first one; NaN if it does not."""
    change = over_matrices(values - values[0])  # matrix by matrix: what they share is no error
    size = np.abs(change.mean)
    moved = (size > MOVED * size.max()) & (size > ERRORS * change.error)
    return float(steps[moved.argmax()]) if moved.any() else np.nan
