"""Norms of a model's weights and of their gradients, by group of parameters."""

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from abruptlab.model.build import Model
from abruptlab.model.groups import SINGLE, parameters_of


class Norms:
    """The norms that a model has; everything stays on the device."""

    def __init__(self, model: Model) -> None:
        self._groups = {name: list(parameters_of(model, [name]).values()) for name in SINGLE}

    @torch.no_grad()
    def weights(self) -> dict[str, Tensor]:
        """Of every group, as `weight_norm/GROUP`."""
        return {f"weight_norm/{name}": get_total_norm(group) for name, group in self._groups.items() if group}

    @torch.no_grad()
    def gradients(self) -> dict[str, Tensor]:
        """Of every group that is trained, as `grad_norm/GROUP`: the gradients of the last step, as the optimiser saw
        them."""
        known = {name: [each.grad for each in group if each.grad is not None] for name, group in self._groups.items()}
        return {f"grad_norm/{name}": get_total_norm(group) for name, group in known.items() if group}
