"""What is minimised and measured on every batch, for each kind of model.

A metric is a sum over a batch, of one forward pass (`sums`), divided by how much it is over (`counts`). They are named
and ordered as `run.METRICS` has them; the first one is the loss. The sums of a batch's parts add up to the batch's, so
a step may go through its batch in parts.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from abruptlab.config import RunConfig
from abruptlab.task.matrices import Batch
from abruptlab.task.sequences import sequences
from abruptlab.task.vocabulary import Vocabulary


class Regression:
    """The encoder's: squared error over all, the observed and the hidden entries; |prediction| at hidden entries."""

    def sums(self, model: nn.Module, batch: Batch) -> Float[Tensor, " metric"]:
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


@dataclass(frozen=True)
class NextToken:
    """The decoder's: cross-entropy (in nats) of the next token over the whole of [masked X, SEP, X], as the paper
    trains it; apart, that of the prompt's tokens and of the answer's observed and hidden entries; and the accuracy of
    the answer's observed and hidden entries, each given the true ones before it."""

    vocabulary: Vocabulary

    def sums(self, model: nn.Module, batch: Batch) -> Float[Tensor, " metric"]:
        tokens = sequences(batch, self.vocabulary)
        following, entries = tokens[:, 1:], batch.tokens.shape[1]
        logits = model(tokens[:, :-1]).float()
        losses = F.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="none").view_as(following)
        answer = losses[:, entries:]
        right = (logits[:, entries:].argmax(-1) == following[:, entries:]).float()
        observed, hidden = batch.observed, ~batch.observed
        return torch.stack(
            [
                losses.sum(),
                losses[:, :entries].sum(),
                (answer * observed).sum(),
                (answer * hidden).sum(),
                (right * observed).sum(),
                (right * hidden).sum(),
            ]
        )

    def counts(self, batch: Batch) -> Float[Tensor, " metric"]:
        observed = batch.observed.float().sum()
        entries = torch.full_like(observed, batch.observed.numel())
        return torch.stack([2 * entries, entries, observed, entries - observed, observed, entries - observed])


def objective_of(config: RunConfig) -> Regression | NextToken:
    """The objective of a run."""
    return Regression() if config.model.kind == "encoder" else NextToken(Vocabulary.of(config.task))
