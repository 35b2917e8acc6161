"""The first number repeated: from the easiest task of the follow-up paper (arXiv 2506.13688) to harder ones."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abruptlab.arguments import require
from abruptlab.task.sequence import NumbersTask

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Repeat(NumbersTask):
    """Numbers x₁ … x_n and, after a separator, n places in equal blocks: x₁, then x₁ + 1, and so on, modulo
    `modulus`."""

    kind = "repeat"

    blocks: int = 1
    """Of how many blocks the answer is; with one, x₁ is all that is asked."""

    def __post_init__(self) -> None:
        super().__post_init__()
        divides = self.blocks >= 1 and self.length % self.blocks == 0
        require(divides, "blocks", f"a divisor of length ({self.length})", self.blocks)

    @property
    def summary(self) -> str:
        return f"the first of {self.length} numbers, repeated in {self.blocks} block{'s' * (self.blocks > 1)}"

    @property
    def level(self) -> float:
        return math.log(self.modulus - 1)

    def made_of(self, numbers: "Tensor") -> "Tensor":
        import torch

        block = torch.arange(self.length, device=numbers.device) * self.blocks // self.length
        return numbers[:, :1] + block

    def needs(self, prompts: "Tensor") -> "Tensor":
        import torch

        first = torch.arange(self.length, device=prompts.device) == 0
        return first.expand(len(prompts), self.length, -1)
