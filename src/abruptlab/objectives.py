"""What is minimised and measured on every batch, for each kind of model.

A metric is a sum over a batch divided by a count; the first one is the loss. The sums of a batch's parts add up to the
batch's, so a step may go through its batch in parts.
"""

from abc import abstractmethod
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from abruptlab.encoder import Encoder
from abruptlab.matrices import Batch


class Objective(Protocol):
    """The metrics of one kind of model, named and ordered as `runs.METRICS` has them."""

    @abstractmethod
    def sums(self, model: Encoder, batch: Batch) -> Float[Tensor, " metric"]:
        """One forward pass, summed for each metric over what `counts` counts."""

    @abstractmethod
    def counts(self, batch: Batch) -> Float[Tensor, " metric"]:
        """Over how much each metric is a mean."""


class Regression:
    """The encoder's: squared error over all, the observed and the hidden entries; |prediction| at hidden entries."""

    def sums(self, model: Encoder, batch: Batch) -> Float[Tensor, " metric"]:
        predictions = model(batch.tokens).float()
        squared, hidden = (predictions - batch.values).square(), ~batch.observed
        return torch.stack(
            [
                squared.sum(),
                (squared * batch.observed).sum(),
                (squared * hidden).sum(),
                (predictions.abs() * hidden).sum(),
            ]
        )

    def counts(self, batch: Batch) -> Float[Tensor, " metric"]:
        observed = batch.observed.float().sum()
        entries = torch.full_like(observed, batch.observed.numel())
        return torch.stack([entries, observed, entries - observed, entries - observed])


OBJECTIVES: dict[str, Objective] = {"encoder": Regression()}
