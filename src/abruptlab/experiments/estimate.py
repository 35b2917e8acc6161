"""Means over held-out examples, with error bars."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from abruptlab.experiments.result import Outlined
from abruptlab.task.matrices import Batch


@dataclass(frozen=True)
class Estimate(Outlined):
    """Means and their standard errors over matrices."""

    mean: Float[np.ndarray, "*condition"]
    error: Float[np.ndarray, "*condition"]


@dataclass(frozen=True)
class Losses(Outlined):
    """Mean squared errors, for one or many conditions."""

    loss: Estimate  # L, over all entries
    loss_observed: Estimate  # L_obs
    loss_masked: Estimate  # L_mask


def pooled(values: Float[Tensor, "*condition matrix pos"], chosen: Bool[Tensor, "matrix pos"]) -> Estimate:
    """The mean of `values` over the chosen places of all matrices.

    Its standard error takes the matrices as independent, not the places of one matrix (a ratio of two means over
    matrices). NaN where no place is chosen, and an error of NaN for a single matrix.
    """
    values = values.double()
    totals, counts = torch.where(chosen, values, 0.0).sum(-1), chosen.double().sum(-1)
    mean = totals.sum(-1) / counts.sum()
    spread = (totals - mean.unsqueeze(-1) * counts).square().sum(-1).sqrt() / counts.sum()
    matrices = len(counts)
    correction = math.sqrt(matrices / (matrices - 1)) if matrices > 1 else math.nan
    return Estimate(mean.cpu().numpy(), (spread * correction).cpu().numpy())


def over_matrices(values: Float[Tensor, "*condition matrix"]) -> Estimate:
    """The mean of a number that each matrix has."""
    return pooled(values.unsqueeze(-1), torch.ones(values.shape[-1], 1, dtype=torch.bool))


def losses(predictions: Float[Tensor, "*condition matrix pos"], batch: Batch) -> Losses:
    """L, L_obs and L_mask of predictions, with standard errors over matrices."""
    squared = (predictions - batch.values).square()
    everywhere = torch.ones_like(batch.observed)
    return Losses(pooled(squared, everywhere), pooled(squared, batch.observed), pooled(squared, ~batch.observed))


def differences(
    predictions: Float[Tensor, "*condition matrix pos"], reference: Float[Tensor, "matrix pos"], batch: Batch
) -> Losses:
    """How far L, L_obs and L_mask of predictions lie above those of `reference`; the errors are those of pairs."""
    excess = (predictions - batch.values).square() - (reference - batch.values).square()
    everywhere = torch.ones_like(batch.observed)
    return Losses(pooled(excess, everywhere), pooled(excess, batch.observed), pooled(excess, ~batch.observed))
