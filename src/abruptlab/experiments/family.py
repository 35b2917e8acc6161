"""The runs of one family of a sweep side by side: what all such results have."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from abruptlab.errors import RunError
from abruptlab.experiments.limits import AtLeast
from abruptlab.experiments.result import Outlined


@dataclass(frozen=True)
class Family(Outlined):
    """The finished runs of a family: a row a label, a column a run; NaN where a label has fewer."""

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
