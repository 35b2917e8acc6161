"""The first number repeated: from the easiest task of the follow-up paper (arXiv 2506.13688) to harder ones."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abruptlab.arguments import require, require_types
from abruptlab.task.sequence import SequenceTask

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Repeat(SequenceTask):
    """Numbers x₁ … x_n and, after a separator, n places in equal blocks: x₁, then x₁ + 1, and so on, modulo
    `modulus`."""

    kind = "repeat"

    length: int = 16
    """How many numbers."""
    blocks: int = 1
    """Of how many blocks the answer is; with one, x₁ is all that is asked."""
    modulus: int = 17
    """The numbers are 1 to modulus − 1, each as likely."""

    def __post_init__(self) -> None:
        require_types(self)
        require(self.length >= 1, "length", "at least 1", self.length)
        require(
            self.blocks >= 1 and self.length % self.blocks == 0,
            "blocks",
            f"a divisor of length ({self.length})",
            self.blocks,
        )
        require(self.modulus >= 3, "modulus", "at least 3", self.modulus)

    @property
    def summary(self) -> str:
        return f"the first of {self.length} numbers, repeated in {self.blocks} block{'s' * (self.blocks > 1)}"

    @property
    def separator(self) -> int:
        return self.modulus

    @property
    def prompt_length(self) -> int:
        return self.length

    @property
    def level(self) -> float:
        return math.log(self.modulus - 1)

    def draw(self, count: int, random: "torch.Generator") -> "tuple[Tensor, Tensor]":
        import torch

        numbers = torch.randint(1, self.modulus, (count, self.length), generator=random, device=random.device)
        block = torch.arange(self.length, device=random.device) * self.blocks // self.length
        return numbers, (numbers[:, :1] + block) % self.modulus

    def needs(self, prompts: "Tensor") -> "Tensor":
        import torch

        first = torch.arange(self.length, device=prompts.device) == 0
        return first.expand(len(prompts), self.length, -1)
