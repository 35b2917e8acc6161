"""Sums over windows of several lengths, one after another, a task of the follow-up paper (arXiv 2506.13688): its loss
falls in stages."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from abruptlab.arguments import require
from abruptlab.task.sequence import NumbersTask
from abruptlab.task.window_sum import sum_entropies

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ConcatenatedWindows(NumbersTask):
    """Numbers x₁ … x_n and, after a separator, pieces of answers: in each of them, y_i is the sum of the last numbers
    up to x_i, as many as the piece's window, modulo `modulus`."""

    kind = "concatenated-windows"

    windows: tuple[int, ...] = (1, 2, 3)
    """The window of each piece."""
    places: tuple[int, ...] = (4, 5, 4)
    """How many places each piece has; numbers after those of the last piece are not asked for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        fit = all(1 <= window <= self.length for window in self.windows)
        require(bool(self.windows) and fit, "windows", f"one or more of 1 to length ({self.length})", self.windows)
        known = len(self.places) == len(self.windows) and all(places >= 1 for places in self.places)
        require(known, "places", f"as many positive numbers as windows ({len(self.windows)})", self.places)
        asked = sum(self.places)
        require(asked <= self.length, "places", f"together at most length ({self.length})", self.places)

    @property
    def summary(self) -> str:
        windows = ", ".join(map(str, self.windows))
        return f"sums of {windows} neighbours of {self.length} numbers, one after another, modulo {self.modulus}"

    @property
    def answer_length(self) -> int:
        return sum(self.places)

    @property
    def level(self) -> float:
        entropies = sum_entropies(max(self.windows), self.modulus)
        summed = [min(window, place + 1) for place, window in enumerate(self._window_of_place)]
        return sum(entropies[numbers - 1] for numbers in summed) / len(summed)

    @property
    def _window_of_place(self) -> list[int]:
        return [window for window, places in zip(self.windows, self.places, strict=True) for _ in range(places)]

    def made_of(self, numbers: "Tensor") -> "Tensor":
        return (self.needs(numbers) * numbers[:, None]).sum(-1)

    def needs(self, prompts: "Tensor") -> "Tensor":
        import torch

        place = torch.arange(self.answer_length, device=prompts.device)[:, None]
        number = torch.arange(self.length, device=prompts.device)
        window = torch.tensor(self._window_of_place, device=prompts.device)[:, None]
        return ((number <= place) & (number > place - window)).expand(len(prompts), -1, -1)
