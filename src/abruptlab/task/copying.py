"""A sequence again, or backwards: the easy tasks of the follow-up paper (arXiv 2506.13688)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abruptlab.arguments import require, require_types
from abruptlab.task.sequence import SequenceTask

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Copy(SequenceTask):
    """Numbers, and after a separator the same once more, or from the last to the first."""

    kind = "copy"

    length: int = 16
    """How many numbers."""
    numbers: int = 16
    """They are 1 to this, each as likely."""
    backwards: bool = False
    """Whether the answer goes from the last to the first."""

    def __post_init__(self) -> None:
        require_types(self)
        require(self.length >= 1, "length", "at least 1", self.length)
        require(self.numbers >= 2, "numbers", "at least 2", self.numbers)

    @property
    def summary(self) -> str:
        return f"{self.length} numbers {'backwards' if self.backwards else 'once more'}"

    @property
    def separator(self) -> int:
        return self.numbers + 1

    @property
    def prompt_length(self) -> int:
        return self.length

    @property
    def level(self) -> float:
        return math.log(self.numbers)

    def draw(self, count: int, random: "torch.Generator") -> "tuple[Tensor, Tensor]":
        import torch

        numbers = torch.randint(1, self.numbers + 1, (count, self.length), generator=random, device=random.device)
        return numbers, numbers.flip(-1) if self.backwards else numbers

    def needs(self, prompts: "Tensor") -> "Tensor":
        import torch

        same = torch.eye(self.length, dtype=torch.bool, device=prompts.device)
        return (same.flip(0) if self.backwards else same).expand(len(prompts), -1, -1)
