"""Tasks of sequences: a prompt, a separator and an answer, which a decoder learns to write.

Such a task says how its examples are drawn and what each place of the answer needs; all else is the same for all.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abruptlab.arguments import require, require_types
from abruptlab.task.base import Objective, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from abruptlab.task.answers import SequenceBatch


@dataclass(frozen=True)
class SequenceTask(Task):
    """A task whose examples are [prompt, separator, answer], each as long as the others. The token ids are 0 to that of
    the separator, which is the largest."""

    @property
    @abstractmethod
    def separator(self) -> int:
        """The id of the separator."""

    @property
    @abstractmethod
    def prompt_length(self) -> int:
        """The number of tokens before the separator."""

    @property
    def answer_length(self) -> int:
        """The number of tokens after it: as many as before it, unless a task says otherwise."""
        return self.prompt_length

    @property
    @abstractmethod
    def level(self) -> float | None:
        """The loss over the answer (nats a token) of who reads nothing, but knows how often each token stands at each
        place; None where nobody knows it."""

    @abstractmethod
    def draw(self, count: int, random: "torch.Generator") -> "tuple[Tensor, Tensor]":
        """So many prompts and their answers, `[example, place]` each, as token ids on the generator's device."""

    @abstractmethod
    def needs(self, prompts: "Tensor") -> "Tensor":
        """For each place of the answers to some prompts (`[example, place]`, without the separator) the places of the
        prompt from which it is made, `[example, answer, prompt]`, bool."""

    def require_model(self, causal: bool, positions: str) -> None:
        """Only a decoder writes."""
        require(causal, "model.kind", "decoder (the task is to write an answer)", "one that reads all at once")

    def objective(self, causal: bool) -> Objective:
        """The next token over the whole sequence."""
        from abruptlab.task.answers import Answer

        return Answer(self)

    def stream(
        self, batch: int, seed: int, start: int = 0, device: "torch.device | str" = "cpu"
    ) -> "Iterator[SequenceBatch]":
        """Never ends; no batch is another one's."""
        from abruptlab.task.answers import stream

        return stream(self, batch, seed, start, device)

    def text(self, batch: "SequenceBatch", index: int) -> str:
        """The ids of the prompt, a bar, those of the answer."""
        tokens = [str(token) for token in batch.tokens[index].tolist()]
        return " ".join([*tokens[: self.prompt_length], "|", *tokens[self.prompt_length + 1 :]])


@dataclass(frozen=True)
class NumbersTask(SequenceTask):
    """A task whose prompt is numbers of 1 to modulus − 1, and whose answer is made of them, modulo it."""

    length: int = 16
    """How many numbers."""
    modulus: int = 17
    """The numbers are 1 to modulus − 1, each as likely, the answer's 0 to modulus − 1."""

    def __post_init__(self) -> None:
        require_types(self)
        require(self.length >= 1, "length", "at least 1", self.length)
        require(self.modulus >= 3, "modulus", "at least 3", self.modulus)

    @property
    def separator(self) -> int:
        return self.modulus

    @property
    def prompt_length(self) -> int:
        return self.length

    @abstractmethod
    def made_of(self, numbers: "Tensor") -> "Tensor":
        """The answers to some prompts (`[example, number]`), `[example, place]`, before the modulo is taken."""

    def draw(self, count: int, random: "torch.Generator") -> "tuple[Tensor, Tensor]":
        import torch

        numbers = torch.randint(1, self.modulus, (count, self.length), generator=random, device=random.device)
        return numbers, self.made_of(numbers) % self.modulus
