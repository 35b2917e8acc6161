"""Addition of numbers of several digits, a task of the follow-up paper (arXiv 2506.13688)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abruptlab.arguments import require, require_types
from abruptlab.task.sequence import SequenceTask

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PLUS, EQUALS = 10, 11


@dataclass(frozen=True)
class Addition(SequenceTask):
    """a + b =, both with leading zeros, and the sum from its least significant digit to its most significant one, so
    that each digit needs only what stands before it."""

    kind = "addition"

    digits: int = 4
    """Of either number; the sum has one more."""

    def __post_init__(self) -> None:
        require_types(self)
        require(1 <= self.digits <= 17, "digits", "1 to 17", self.digits)

    @property
    def summary(self) -> str:
        return f"sums of two numbers of {self.digits} digits"

    @property
    def separator(self) -> int:
        return EQUALS

    @property
    def prompt_length(self) -> int:
        return 2 * self.digits + 1

    @property
    def answer_length(self) -> int:
        return self.digits + 1

    @property
    def level(self) -> float:
        carry = (1 - 10.0**-self.digits) / 2  # the chance that the most significant digit is 1, not 0
        entropy = -(carry * math.log(carry) + (1 - carry) * math.log(1 - carry))
        return (self.digits * math.log(10) + entropy) / (self.digits + 1)

    def draw(self, count: int, random: "torch.Generator") -> "tuple[Tensor, Tensor]":
        import torch

        a, b = torch.randint(10, (2, count, self.digits), generator=random, device=random.device)
        powers = 10 ** torch.arange(self.digits + 1, device=random.device)
        total = ((a + b) * powers[:-1].flip(0)).sum(-1, keepdim=True)
        return torch.cat([a, torch.full_like(a[:, :1], PLUS), b], 1), total // powers % 10

    def needs(self, prompts: "Tensor") -> "Tensor":
        """The digits of both numbers that count as much as that of the sum, or less: they make the carry."""
        import torch

        power = torch.arange(self.digits + 1, device=prompts.device)
        digits = power[:-1].flip(0)
        of_prompt = torch.cat([digits, power[-1:] + 1, digits])  # the sign is no digit: more than any of them
        return (of_prompt <= power[:, None]).expand(len(prompts), -1, -1)
