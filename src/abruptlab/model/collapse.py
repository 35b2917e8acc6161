"""Representation collapse and attention progress of a model on a batch: the follow-up paper's measures of what is
inside (arXiv 2506.13688)."""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from abruptlab.model import sites
from abruptlab.model.build import Model
from abruptlab.task.base import Objective
from abruptlab.task.examples import Examples


@torch.no_grad()
def collapse_and_attention(
    model: Model, batch: Examples, objective: Objective
) -> tuple[Float[Tensor, "layer example"], Float[Tensor, "layer head example"]]:
    """Representation collapse of each layer's output and attention progress of each head, of a batch on the model's
    device.

    *Collapse* is the mean cosine similarity of the states at two of the places of which something is asked; *attention
    progress* is Σ|A|·M / Σ|A| over those places' queries, with M their useful keys (`Objective.useful`).
    """
    useful = asked(objective.useful(batch), objective)
    collapse: dict[int, Tensor] = {}
    attention: dict[int, Tensor] = {}

    def see_states(layer: int, states: Tensor) -> Tensor:
        collapse[layer] = mean_cosine(asked(states, objective))
        return states

    def see_pattern(layer: int, pattern: Tensor) -> Tensor:
        size = asked(pattern.abs(), objective, -2)
        attention[layer] = ((size * useful[:, None]).sum((-2, -1)) / size.sum((-2, -1))).T
        return pattern

    # each activation is replaced by itself and measured as it passes: one layer's attention is in memory at a time
    seen: dict[str, Callable[[Tensor], Tensor]] = {}
    for layer in range(model.config.layers):
        seen[f"blocks.{layer}.resid_post"] = partial(see_states, layer)
        seen[f"blocks.{layer}.attn.pattern"] = partial(see_pattern, layer)
    with sites.replace(model, seen):
        model(objective.inputs(batch))
    return torch.stack([*collapse.values()]), torch.stack([*attention.values()])


def mean_cosine(
    states: Float[Tensor, "example pos width"], chosen: Bool[Tensor, "example pos"] | None = None
) -> Float[Tensor, " example"]:
    """The mean cosine similarity of the states at two different places, of all or of those chosen; NaN if there is only
    one."""
    exact = torch.float32 if states.device.type == "mps" else torch.float64  # which Metal does not have
    unit = torch.nn.functional.normalize(states.to(exact), dim=-1)
    places = torch.tensor(states.shape[1]) if chosen is None else chosen.sum(1)
    unit = unit if chosen is None else unit * chosen.unsqueeze(-1)
    return (unit.sum(1).square().sum(-1) - places) / (places * (places - 1))  # |Σu|² holds each pair twice, and itself


def asked(values: Tensor, objective: Objective, axis: int = 1) -> Tensor:
    """Of the places along an axis, those of which something is asked: all of a matrix, an encoder's; from the
    separator on, a decoder's."""
    first = max(0, objective.answer - 1)
    return values.narrow(axis, first, values.shape[axis] - first)
