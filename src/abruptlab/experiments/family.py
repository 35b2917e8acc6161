"""The runs of one family of a sweep side by side: a row a label, a column a run; NaN where a label has fewer."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float, Int, Shaped

from abruptlab.errors import RunError
from abruptlab.experiments.limits import AtLeast
from abruptlab.experiments.result import Outlined

T = TypeVar("T")
Measured = TypeVar("Measured")
Curve = tuple[Shaped[np.ndarray, " step"], Float[np.ndarray, " step"]]  # steps and values


@dataclass(frozen=True)
class Family(Outlined):
    """The finished runs of a family: what all such results have."""

    labels: Shaped[np.ndarray, " label"]
    planned: Int[np.ndarray, " label"]  # runs that the sweep has, finished or not
    seed: Float[np.ndarray, "label run"]
    steps: Float[np.ndarray, " label"]  # of a run
    step: Float[np.ndarray, "label point"]  # of the curves

    def by_seed(self, quantity: str, label: str) -> dict[int, float]:
        """A quantity of the finished runs with a label; a step that did not come is at least the last one, and so is
        the length of a fall that did not come, over what comes before it: a claim that there is a fall fails then.

        Raises `RunError` if the family has no such label.
        """
        rows = np.flatnonzero(self.labels == label)
        if not len(rows):
            raise RunError(f"the sweep has no runs {label!r}")
        [row] = rows
        known = np.isfinite(self.seed[row])
        values = getattr(self, quantity)[row]
        last = float(self.steps[row])
        return {
            int(seed): AtLeast(last) if math.isinf(value) else float(value)
            for seed, value in zip(self.seed[row][known], values[known], strict=True)
        }


class ByLabel(Generic[T]):
    """Runs, or what was measured of them, by their label, and the number of runs planned for each."""

    def __init__(self, by_label: Mapping[str, Sequence[T]], planned: Mapping[str, int]) -> None:
        self.by_label = by_label
        self.labels = np.array([*by_label])
        self.planned = np.array([planned[label] for label in by_label])
        self._of_all = planned  # of those too that have no finished run

    def map(self, measure: Callable[[T], Measured]) -> "ByLabel[Measured]":
        """What is measured of each."""
        measured = {label: [measure(each) for each in of_label] for label, of_label in self.by_label.items()}
        return ByLabel(measured, self._of_all)

    def of_runs(self, number: Callable[[T], float]) -> Float[np.ndarray, "label run"]:
        """A number of every run."""
        table = np.full((len(self.labels), max(self._of_all.values())), np.nan)
        for row, of_label in enumerate(self.by_label.values()):
            table[row, : len(of_label)] = [number(each) for each in of_label]
        return table

    def of_labels(self, number: Callable[[T], float | None]) -> Float[np.ndarray, " label"]:
        """A number that the runs of a label share, read off the first; NaN where that has none, or there is no run."""
        known = [number(of_label[0]) if of_label else None for of_label in self.by_label.values()]
        return np.array([np.nan if value is None else float(value) for value in known])

    def steps(self, last: Callable[[T], float], points: int) -> Float[np.ndarray, "label point"]:
        """As many steps for the curves of each label, from 0 to the last one."""
        return np.linspace(0, self.of_labels(last), points, axis=1)

    def curves(
        self, steps: Float[np.ndarray, "label point"], curve: Callable[[T], Curve]
    ) -> Float[np.ndarray, "label run point"]:
        """A curve of every run at the steps of its label."""
        table = np.full((len(steps), max(self._of_all.values()), steps.shape[1]), np.nan)
        for row, of_label in enumerate(self.by_label.values()):
            for column, each in enumerate(of_label):
                table[row, column] = np.interp(steps[row], *curve(each))
        return table
