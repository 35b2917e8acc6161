"""Permutations, a task of the follow-up paper (arXiv 2506.13688)."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abruptlab.arguments import require, require_types
from abruptlab.task.sequence import SequenceTask

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Permutation(SequenceTask):
    """Numbers x, a zero, a permutation π and, after a separator, the numbers in its order: y_i = x_{π(i)}, or with π
    applied several times."""

    kind = "permutation"

    length: int = 16
    """How many numbers; they are length + 1 to 2 length, each as likely, and the permutation is of 1 to length."""
    times: int = 1
    """How often the permutation is applied."""

    def __post_init__(self) -> None:
        require_types(self)
        require(self.length >= 2, "length", "at least 2", self.length)
        require(self.times >= 1, "times", "at least 1", self.times)

    @property
    def summary(self) -> str:
        return f"{self.length} numbers in the order of a permutation{f' applied {self.times} times' * (self.times > 1)}"

    @property
    def separator(self) -> int:
        return 2 * self.length + 1

    @property
    def prompt_length(self) -> int:
        return 2 * self.length + 1

    @property
    def answer_length(self) -> int:
        return self.length

    @property
    def level(self) -> float:
        return math.log(self.length)

    def draw(self, count: int, random: "torch.Generator") -> "tuple[Tensor, Tensor]":
        import torch

        numbers = torch.randint(
            self.length + 1, 2 * self.length + 1, (count, self.length), generator=random, device=random.device
        )
        order = torch.rand(count, self.length, generator=random, device=random.device).argsort(-1)
        place = order
        for _ in range(self.times - 1):
            place = order.gather(1, place)
        return torch.cat([numbers, torch.zeros_like(numbers[:, :1]), order + 1], 1), numbers.gather(1, place)

    def needs(self, prompts: "Tensor") -> "Tensor":
        """The entries of the permutation that lead to the number, and the number."""
        import torch

        order = prompts[:, self.length + 1 :] - 1
        needs = torch.zeros(len(prompts), self.length, prompts.shape[1], dtype=torch.bool, device=prompts.device)
        place = torch.arange(self.length, device=prompts.device).expand_as(order)
        for _ in range(self.times):
            needs.scatter_(2, (self.length + 1 + place)[..., None], True)
            place = order.gather(1, place)
        return needs.scatter_(2, place[..., None], True)
