"""Columns of different units: how far each spreads, and whether a matrix is to be completed column by column alike.

A method that counts all entries alike hears only the column of the largest numbers: age, income and height completed
together are income. So where the columns' spreads differ by more than `DIFFERENT`, each is divided by its own first.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

Scale = Literal["auto", "columns", "none"]
DIFFERENT = 10.0  # largest spread over smallest
ENOUGH = 3  # observed entries, without which a column's spread says nothing about its unit
EXTREME = 1e100  # beyond it, or below its inverse, squares overflow or vanish


@dataclass(frozen=True)
class Units:
    """Zero and unit of every column, in which a method sees it."""

    zero: Float[Tensor, "batch 1 n"]
    unit: Float[Tensor, "batch 1 n"]  # 0 for a column whose entries are all at its zero

    def into(self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]) -> Tensor:
        """The observed entries in these units, zero elsewhere."""
        return torch.where(observed & (self.unit != 0), (values - self.zero) / self.unit, 0.0)

    def back(self, estimates: Float[Tensor, "batch m n"]) -> Tensor:
        """What `into` was given."""
        return self.zero + self.unit * estimates


def choose_units(
    values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"], scale: Scale, centred: bool
) -> Units:
    """The units for each matrix of a batch: those of its columns, or one for all, which is 1 but for extreme numbers.

    `centred` columns have their mean as zero and their standard deviation as unit; others, of which the rank must stay
    what it is, their root mean square.
    """
    common = _power_of_two(values)
    values = values / common
    mean, deviation = moments(values, observed)
    chosen = torch.full((len(values), 1, 1), scale == "columns")
    if scale == "auto":
        chosen = differ(values, observed)
    size = deviation if centred else (deviation.square() + mean.square()).sqrt()
    zero = torch.where(chosen, mean, 0.0) if centred else torch.zeros_like(mean)
    return Units(common * zero, common * torch.where(chosen, size, 1.0))


def moments(
    values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
) -> tuple[Float[Tensor, "batch 1 n"], Float[Tensor, "batch 1 n"]]:
    """Mean and standard deviation of the observed entries of each column; 0 where there is none."""
    count = observed.sum(1, keepdim=True).clamp(min=1)
    mean = (values * observed).sum(1, keepdim=True) / count
    return mean, (((values - mean) * observed).square().sum(1, keepdim=True) / count).sqrt()


def differ(values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]) -> Bool[Tensor, "batch 1 1"]:
    """Whether the spreads of a matrix's columns differ by more than `DIFFERENT`; constant columns have none."""
    deviation = moments(values, observed)[1]
    told = (deviation > 0) & (observed.sum(1, keepdim=True) >= ENOUGH)
    largest = torch.where(told, deviation, 0.0).amax(2, keepdim=True)
    return largest > DIFFERENT * torch.where(told, deviation, torch.inf).amin(2, keepdim=True)


def columns_differ(given: Float[np.ndarray, "m n"]) -> bool:
    """`differ` of a matrix with NaN where an entry is missing."""
    values, observed = observed_of(given)
    return bool(differ(values / _power_of_two(values), observed))


def observed_of(
    given: Float[np.ndarray, "*batch m n"],
) -> tuple[Float[Tensor, "some m n"], Bool[Tensor, "some m n"]]:
    """Matrices with NaN where an entry is missing as a batch, in float64: zero there, and where it is not."""
    values = torch.tensor(given, dtype=torch.float64).view(-1, *given.shape[-2:])
    return values.nan_to_num(0.0), ~values.isnan()


def _power_of_two(values: Float[Tensor, "batch m n"]) -> Float[Tensor, "batch 1 1"]:
    """The size of extreme matrices, whose division by it is exact; 1 for others."""
    largest = values.abs().amax((1, 2), keepdim=True)
    extreme = (largest > EXTREME) | ((largest > 0) & (largest < 1 / EXTREME))
    power = torch.frexp(largest).exponent.double() - 1
    return torch.where(extreme, torch.exp2(power), 1.0)
