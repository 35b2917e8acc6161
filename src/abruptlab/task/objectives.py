"""How matrices are learnt: by an encoder that reads a value off every token, by a decoder that writes the next one."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abruptlab.task.answers import Writing
from abruptlab.task.base import NATS, SHARE, Metric, Objective, Segment
from abruptlab.task.matrices import Batch
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.sequences import sequences_known
from abruptlab.task.vocabulary import Vocabulary

SQUARED = "mean squared error"


@dataclass(frozen=True)
class Regression(Objective):
    """The encoder's: squared error over all, the observed and the hidden entries; |prediction| at hidden entries."""

    task: MatrixTask

    kind = "encoder"
    metrics = (
        Metric("loss", "L", "L, all entries", SQUARED),
        Metric("loss_observed", "L_obs", "L_obs, observed entries", SQUARED),
        Metric("loss_masked", "L_mask", "L_mask, hidden entries", SQUARED),
        Metric("mean_abs_masked", "|x̂|", "mean |prediction| at hidden entries", "size of an entry"),
    )
    falling = "loss_masked"
    kept = "loss_observed"
    trivial = "predicting zero"
    story = """A transformer sees matrices of low rank, entry by entry, with some entries hidden, and has to say all
of them. At first it learns to copy what it sees and says about 0 for what it does not. On this
<strong>plateau</strong> nothing seems to happen for a long time. Then, with nothing changed in the training, the
error at the hidden entries falls within a short time: the model has begun to compute them from the other entries of
their row and column. That is <strong>abrupt learning</strong>. Move the slider: all of the page, from the loss to the
inside of the model, goes to that moment."""

    @property
    def level(self) -> float:
        """L_mask of predicting zero, where entries are hidden whatever they are (else: `experiments.level`)."""
        return self.task.copying_level

    @property
    def vocabulary_size(self) -> int:
        return Vocabulary.of(self.task).size

    @property
    def segments(self) -> tuple[Segment, ...]:
        rows, columns = self.task.of_one_size().sizes[0]
        return (Segment("matrix", 0, rows, columns),)

    def inputs(self, batch: Batch) -> Int[Tensor, "batch place"]:
        return batch.tokens

    def useful(self, batch: Batch) -> Bool[Tensor, "batch query key"]:
        """The observed entries of the query's row and column, other than itself: attention to oneself is copying."""
        rows, columns = batch.size
        place = torch.arange(rows * columns, device=batch.tokens.device)
        row, column = place // columns, place % columns
        near = (row[:, None] == row) ^ (column[:, None] == column)  # not both: that is the place itself
        return near & batch.observed[:, None, :]

    def values(self, outputs: Float[Tensor, "batch place"], batch: Batch) -> tuple[Float[Tensor, "batch place"], ...]:
        squared = (outputs - batch.values).square()
        return squared, squared, squared, outputs.abs()

    def chosen(self, batch: Batch) -> tuple[Bool[Tensor, "batch place"], ...]:
        observed = batch.observed
        return torch.ones_like(observed), observed, ~observed, ~observed


@dataclass(frozen=True)
class NextToken(Writing):
    """The decoder's: cross-entropy (in nats) of the next token over the whole of [masked X, SEP, X], as the paper
    trains it; apart, that of the prompt's tokens and of the answer's observed and hidden entries; and the accuracy of
    the answer's observed and hidden entries, each given the true ones before it."""

    task: MatrixTask

    kind = "decoder"
    metrics = (
        Metric("loss", "L", "loss, all tokens", NATS),
        Metric("loss_prompt", "L_prompt", "loss over the prompt", NATS),
        Metric("loss_observed", "L_obs", "loss at observed entries, of the answer", NATS),
        Metric("loss_masked", "L_mask", "loss at hidden entries, of the answer", NATS),
        Metric("accuracy_observed", "right at observed", "observed entries of the answer that are right", SHARE),
        Metric("accuracy_masked", "right at hidden", "hidden entries of the answer that are right", SHARE),
    )
    falling = "loss_observed"  # a GPT's drop is the copying of what is observed
    kept = "loss_observed"
    trivial = "guessing"
    story = """A transformer reads a matrix of low rank with some entries hidden, and after it writes the whole
matrix, entry by entry. For a while it does neither better than chance; then, with nothing changed in the training,
the loss at the entries that it has seen falls within a short time: it has learned to copy them. That is
<strong>abrupt learning</strong>. Move the slider: the curve and the attention maps go to that moment."""

    @property
    def level(self) -> None:
        """Nobody has computed the entropy of a rounded entry."""
        return None

    @property
    def vocabulary_size(self) -> int:
        return Vocabulary.of(self.task).decoder_size

    @property
    def segments(self) -> tuple[Segment, ...]:
        (rows, columns), entries = self.task.sizes[0], self.task.positions
        return (
            Segment("prompt: the matrix with holes", 0, rows, columns),
            Segment("SEP", entries, 1, 1),
            Segment("answer: the whole matrix", entries + 1, rows, columns),
        )

    def sequences(self, batch: Batch) -> Int[Tensor, "batch place"]:
        return sequences_known(batch, Vocabulary.of(self.task))

    def sources(self, batch: Batch) -> Bool[Tensor, "batch answer prompt"]:
        """Of an entry that was observed, its place in the prompt."""
        return torch.diag_embed(batch.observed)

    def chosen(self, batch: Batch) -> tuple[Bool[Tensor, "batch place"], ...]:
        entries = batch.tokens.shape[1]
        every = torch.ones_like(batch.observed)
        observed, hidden = (F.pad(entry, (entries, 0)) for entry in (batch.observed, ~batch.observed))
        return torch.cat([every, every], 1), F.pad(every, (0, entries)), observed, hidden, observed, hidden
