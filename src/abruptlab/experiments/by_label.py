"""What was measured of each run of a family, as tables: a row a label, a column a run; NaN where a label has fewer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float, Shaped

T = TypeVar("T")
Measured = TypeVar("Measured")
Curve = tuple[Shaped[np.ndarray, " step"], Float[np.ndarray, " step"]]  # steps and values


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
