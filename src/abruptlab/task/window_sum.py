"""Moving-window sums, the main task of the follow-up paper (arXiv 2506.13688); a window of all numbers gives its prefix
sums."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from abruptlab.arguments import require
from abruptlab.task.sequence import NumbersTask

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WindowSum(NumbersTask):
    """Numbers x₁ … x_n and, after a separator, the sums of the last `window` of them at each place: y₁ = x₁ and, for a
    window of two, y_i = x_{i−1} + x_i, modulo `modulus`."""

    kind = "window-sum"

    window: int = 2
    """How many of them a sum is of; those at the start are of as many as there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.window <= self.length, "window", f"1 to length ({self.length})", self.window)

    @property
    def summary(self) -> str:
        return f"sums of {self.window} neighbours of {self.length} numbers, modulo {self.modulus}"

    @property
    def level(self) -> float:
        entropies = sum_entropies(self.window, self.modulus)
        return (sum(entropies) + entropies[-1] * (self.length - self.window)) / self.length

    def made_of(self, numbers: "Tensor") -> "Tensor":
        import torch

        upto = torch.nn.functional.pad(numbers.cumsum(-1), (self.window, 0))
        return upto[:, self.window :] - upto[:, : -self.window]

    def needs(self, prompts: "Tensor") -> "Tensor":
        import torch

        pairs = torch.ones(self.length, self.length, dtype=torch.bool, device=prompts.device)
        return pairs.tril().triu(1 - self.window).expand(len(prompts), -1, -1)


def sum_entropies(most: int, modulus: int) -> list[float]:
    """The entropies (nats) of sums of 1 to `most` numbers of 1 to modulus − 1."""
    number = [0.0] + [1 / (modulus - 1)] * (modulus - 1)
    entropies, chances = [], [1.0] + [0.0] * (modulus - 1)  # of the sum of no number
    for _ in range(most):
        chances = [sum(chances[(total - x) % modulus] * number[x] for x in range(modulus)) for total in range(modulus)]
        entropies.append(-sum(chance * math.log(chance) for chance in chances if chance))
    return entropies
