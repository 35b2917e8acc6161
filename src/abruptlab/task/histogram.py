"""Histograms, a task of the follow-up paper (arXiv 2506.13688)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abruptlab.arguments import require, require_types
from abruptlab.task.sequence import SequenceTask

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Histogram(SequenceTask):
    """Letters and, after a separator, how often each one's letter occurs among them."""

    kind = "histogram"

    length: int = 16
    """How many letters; the counts are 1 to this."""
    letters: int = 12
    """They are 1 to this, each as likely; a letter and a count of the same number share an id."""

    def __post_init__(self) -> None:
        require_types(self)
        require(self.length >= 1, "length", "at least 1", self.length)
        require(self.letters >= 2, "letters", "at least 2", self.letters)

    @property
    def summary(self) -> str:
        return f"how often each of {self.length} letters out of {self.letters} occurs"

    @property
    def separator(self) -> int:
        return max(self.length, self.letters) + 1

    @property
    def prompt_length(self) -> int:
        return self.length

    @property
    def level(self) -> float:
        others, share = self.length - 1, 1 / self.letters  # a count is 1 and, of the others, binomially many
        ways = (math.lgamma(others + 1) - math.lgamma(n + 1) - math.lgamma(others - n + 1) for n in range(self.length))
        logs = [way + n * math.log(share) + (others - n) * math.log1p(-share) for n, way in enumerate(ways)]
        return -sum(math.exp(log) * log for log in logs)

    def draw(self, count: int, random: "torch.Generator") -> "tuple[Tensor, Tensor]":
        import torch

        letters = torch.randint(1, self.letters + 1, (count, self.length), generator=random, device=random.device)
        return letters, self.needs(letters).sum(-1)

    def needs(self, prompts: "Tensor") -> "Tensor":
        """The places with the same letter: those are counted."""
        return prompts[:, :, None] == prompts[:, None, :]
