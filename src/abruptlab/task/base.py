"""What a task is: all that the rest of the laboratory asks of one.

A task's file holds its configuration (the `[task]` table), so nothing at its top may import PyTorch: the command line
must answer at once.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from abruptlab.arguments import require

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from abruptlab.task.examples import Examples

SHARE = "share"  # the unit of a metric that counts how many are right
NATS = "cross-entropy (nats)"
STRICT = {"extra": "forbid"}  # pydantic: an unknown field is an error


@dataclass(frozen=True)
class Metric:
    """One number that is measured on every batch."""

    name: str  # in the metrics file
    symbol: str  # short, where there is little room
    label: str  # in words; up to a comma, enough to name it
    unit: str

    @property
    def title(self) -> str:
        """Its name."""
        return self.label.partition(",")[0]

    @property
    def subject(self) -> str:
        """Its name at the beginning of a sentence."""
        return self.title if self.title.startswith("L_") else f"The {self.title}"


@dataclass(frozen=True)
class Segment:
    """Some places of what a model sees, which lie as a grid, row by row."""

    name: str
    start: int  # its first place
    rows: int
    columns: int


class Objective(ABC):
    """How a kind of model learns a task: what it sees, what is minimised and measured, where it has to look.

    A metric is the mean of a number (`values`) over some places of a batch's examples (`chosen`); the first one is the
    loss. It is kept as a sum and a count: those of a batch's parts add up to the batch's, so a step may go through its
    batch in parts.
    """

    kind: ClassVar[str]  # encoder and decoder: those of matrices; sequence: that of a task of sequences
    metrics: ClassVar[tuple[Metric, ...]]
    falling: ClassVar[str]  # the metric whose drop is looked for
    kept: ClassVar[str]  # the one that stays low once it has fallen; if it rises for good, the run has diverged
    trivial: ClassVar[str]  # what the trivial solution does, whose value of the metric that falls is `level`
    story: ClassVar[str]  # what is learnt and how it drops: HTML for those who see a run for the first time

    @property
    @abstractmethod
    def level(self) -> float | None:
        """That metric's value for the trivial solution; None where nobody knows it."""

    @property
    @abstractmethod
    def vocabulary_size(self) -> int:
        """How many token ids there are."""

    @property
    @abstractmethod
    def segments(self) -> tuple[Segment, ...]:
        """What the places that the model sees are."""

    @abstractmethod
    def inputs(self, batch: Any) -> "Tensor":
        """The tokens that the model is given, `[example, place]`."""

    @abstractmethod
    def useful(self, batch: Any) -> "Tensor":
        """Which keys each query needs, `[example, query, key]`, bool; a query of which nothing is asked has none."""

    @abstractmethod
    def values(self, outputs: "Tensor", batch: Any) -> "tuple[Tensor, ...]":
        """The number of each metric at every place, `[example, place]` each, from what the model makes of `inputs`."""

    @abstractmethod
    def chosen(self, batch: Any) -> "tuple[Tensor, ...]":
        """The places that each metric is over, `[example, place]` each, bool."""

    def sums(self, model: "nn.Module", batch: Any) -> "Tensor":
        """The metrics, not yet divided, `[metric]`, of one forward pass."""
        import torch

        values = self.values(model(self.inputs(batch)).float(), batch)
        return torch.stack([(each * mask).sum() for each, mask in zip(values, self.chosen(batch), strict=True)])

    def counts(self, batch: Any) -> "Tensor":
        """What they are divided by, `[metric]`."""
        import torch

        return torch.stack([mask.sum() for mask in self.chosen(batch)]).float()

    @property
    def places(self) -> int:
        """How many tokens the model sees at most."""
        return sum(segment.rows * segment.columns for segment in self.segments)

    @property
    def answer(self) -> int:
        """The first place of the answer; all of a matrix is one, for an encoder."""
        return self.segments[-1].start

    @property
    def untrained(self) -> float:
        """What the metric `kept` is where nothing has been learnt: the trivial solution's, or of any token alike."""
        return math.log(self.vocabulary_size) if self.level is None else self.level

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the metrics, in their order."""
        return tuple(metric.name for metric in self.metrics)

    @property
    def drops(self) -> Metric:
        """The metric whose drop is looked for."""
        return self.metric(self.falling)

    def metric(self, name: str) -> Metric:
        """The metric of that name."""
        return next(metric for metric in self.metrics if metric.name == name)

    @property
    def curves(self) -> tuple[Metric, ...]:
        """The metrics that one axis has room for: those in the unit of the one that drops."""
        return tuple(metric for metric in self.metrics if metric.unit == self.drops.unit)


@dataclass(frozen=True)
class Task(ABC):
    """What is learnt. Its fields are the `[task]` table of a configuration; `kind` says which task it is."""

    __pydantic_config__: ClassVar = STRICT

    kind: ClassVar[str]  # which task it is: a key of `task.TASKS`, and the field `kind` of the table

    @abstractmethod
    def require_model(self, causal: bool, positions: str) -> None:
        """Raises `ConfigError` unless a model that writes (`causal`) or reads all at once, with such positional
        embeddings, can learn the task."""

    def require_used(self) -> None:  # noqa: B027 - most tasks use all their fields
        """Raises `ConfigError` for a field that would change nothing."""

    @abstractmethod
    def objective(self, causal: bool) -> Objective:
        """How a model learns it: one that writes (`causal`), or one that reads all at once."""

    @abstractmethod
    def stream(
        self, batch: int, seed: int, start: int = 0, device: "torch.device | str" = "cpu"
    ) -> "Iterator[Examples]":
        """The batches of `batch` examples of the steps from `start` on, without end, on `device`.

        A batch depends on the task, the size, the seed and the step alone (`task.counter`).
        """

    @property
    @abstractmethod
    def summary(self) -> str:
        """What the examples are, in a few words."""

    pair: ClassVar[tuple[str, str]] = ("the examples", "others")  # what examples and their `contrast` are called

    def contrast(self, batch: Any) -> "Examples":
        """Other examples of the same form, one for each of a batch, which activation patching starts from: unless a
        task has better ones, those of the batch, each the next one's. Raises `ConfigError` where there is no next."""
        require(len(batch.tokens) > 1, "examples", "at least 2, as each is compared with the next", len(batch.tokens))
        return batch.map(lambda tensor: tensor.roll(-1, 0))

    @abstractmethod
    def text(self, batch: Any, index: int) -> str:
        """One example of a batch, to be read by people."""

    def of_one_size(self) -> Self:
        """The same task with examples of one size alone, its largest: those that can be put together."""
        return self
