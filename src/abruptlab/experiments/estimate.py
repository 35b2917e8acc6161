"""Means over held-out examples, with error bars."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from abruptlab.arguments import checked, require, shown
from abruptlab.experiments.result import Outlined
from abruptlab.task.matrices import Batch


@dataclass(frozen=True)
class Estimate(Outlined):
    """Means and their standard errors over examples."""

    mean: Float[np.ndarray, "*condition"]
    error: Float[np.ndarray, "*condition"]

    def __getitem__(self, index: Any) -> "Estimate":
        """Those of some of the conditions, chosen as NumPy does it."""
        return Estimate(np.asarray(self.mean[index]), np.asarray(self.error[index]))


class Losses(dict[str, Estimate], Outlined):
    """The metrics of a task by their names (`Objective.metrics`; of matrices: loss, loss_observed, loss_masked), for
    one or many conditions."""


def pooled(values: Float[Tensor, "*condition example pos"], chosen: Bool[Tensor, "example pos"]) -> Estimate:
    """The mean of `values` over the chosen places of all examples.

    Its standard error takes the examples as independent, not the places of one of them (a ratio of two means over
    examples). NaN where no place is chosen, and an error of NaN for a single example.
    """
    return of_sums(torch.where(chosen, values.double(), 0.0).sum(-1), chosen.double().sum(-1))


def of_sums(totals: Float[Tensor, "*condition example"], counts: Float[Tensor, "*#condition example"]) -> Estimate:
    """The same from each example's sum over its chosen places, and their number (or whatever its sum is a part of)."""
    mean = totals.sum(-1) / counts.sum(-1)
    spread = (totals - mean.unsqueeze(-1) * counts).square().sum(-1).sqrt() / counts.sum(-1)
    examples = counts.shape[-1]
    correction = math.sqrt(examples / (examples - 1)) if examples > 1 else math.nan
    return Estimate(mean.cpu().numpy(), (spread * correction).cpu().numpy())


def over_matrices(values: Float[Tensor, "*condition matrix"]) -> Estimate:
    """The mean of a number that each matrix has."""
    return pooled(values.unsqueeze(-1), torch.ones(values.shape[-1], 1, dtype=torch.bool))


@checked
def losses(predictions: Float[Tensor, "*condition matrix pos"], batch: Batch) -> Losses:
    """L, L_obs and L_mask of predictions, with standard errors over matrices. Raises `ConfigError` for predictions of
    other matrices, or for what are none."""
    fit = predictions.shape[-2:] == batch.values.shape
    require(fit, "predictions", f"numbers [..., {', '.join(map(str, batch.values.shape))}]", shown(predictions))
    return _by_place((predictions - batch.values).square(), batch)


def differences(
    predictions: Float[Tensor, "*condition matrix pos"], reference: Float[Tensor, "matrix pos"], batch: Batch
) -> Losses:
    """How far L, L_obs and L_mask of predictions lie above those of `reference`; the errors are those of pairs."""
    return _by_place((predictions - batch.values).square() - (reference - batch.values).square(), batch)


def _by_place(errors: Float[Tensor, "*condition matrix pos"], batch: Batch) -> Losses:
    places = {
        "loss": torch.ones_like(batch.observed),
        "loss_observed": batch.observed,
        "loss_masked": ~batch.observed,
    }
    return Losses({name: pooled(errors, chosen) for name, chosen in places.items()})
