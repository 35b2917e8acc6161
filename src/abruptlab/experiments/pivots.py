"""Does the model complete by way of fixed rows or columns, its pivots? Each one hidden in turn, whole.

All rows are alike in the task, and all columns. Whoever has no favourites loses as much with one as with any other, as
nuclear-norm minimisation does, on the same matrices.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abruptlab.arguments import checked
from abruptlab.baselines.nuclear import NuclearNorm
from abruptlab.experiments.forward import loaded, predict
from abruptlab.experiments.held_out import completed, held_out
from abruptlab.experiments.result import Outlined
from abruptlab.run.run import Run
from abruptlab.system.tracking import track
from abruptlab.task.matrices import Batch
from abruptlab.task.vocabulary import MASK

METHODS = ("BERT", "nuclear norm")
SOME = 0.1  # of what predicting zero has: who completes less has nothing to lose
Predict = Callable[[Batch], Float[Tensor, "matrix pos"]]


@dataclass(frozen=True)
class Pivots(Outlined):
    """How much of a method's completion is lost with each row, or column, at the hidden entries outside it.

    0: as much is completed as with it; 1: no more than by predicting zero; NaN where hardly anything is completed with
    it, as on the plateau. The methods are those of METHODS.
    """

    step: int
    size: tuple[int, int]  # rows, columns
    intact: Float[np.ndarray, " method"]  # L_mask / that of predicting zero
    rows: Float[np.ndarray, "method row"]
    columns: Float[np.ndarray, "method column"]

    def favour(self, method: int) -> float:
        """By how much more is lost with the most important row, or column, than with the typical one."""
        return float(max((lost[method] - np.median(lost[method])).max() for lost in (self.rows, self.columns)))


@checked
def measure_pivots(run: Run, step: int | str = "final", matrices: int = 512, seed: int = 0) -> Pivots:
    """Each row and each column of held-out matrices hidden in turn, beside what is hidden at random.

    Raises `CheckpointError` for a step without a checkpoint.
    """
    resolved, model = loaded(run, step)
    batch = held_out(run, matrices, seed)
    solver = NuclearNorm()
    methods: list[Predict] = [lambda given: predict(model, given.tokens), lambda given: completed(solver, given)]
    intact = [method(batch) for method in methods]
    places = torch.arange(batch.tokens.shape[1]).unflatten(0, batch.size)

    def lost(lines: Int[Tensor, "line place"]) -> Float[np.ndarray, "method line"]:
        losses = [
            [_lost(method, predictions, batch, line) for method, predictions in zip(methods, intact, strict=True)]
            for line in track([*lines], "lines")
        ]
        return np.array(losses).T

    return Pivots(
        step=resolved,
        size=batch.size,
        intact=np.array([float(_left(predictions, batch, ~batch.observed)) for predictions in intact]),
        rows=lost(places),
        columns=lost(places.T),
    )


def _lost(method: Predict, intact: Float[Tensor, "matrix pos"], batch: Batch, line: Int[Tensor, " place"]) -> float:
    outside = ~batch.observed
    outside[:, line] = False
    observed = batch.observed.clone()
    observed[:, line] = False
    without = replace(batch, tokens=torch.where(observed, batch.tokens, MASK), observed=observed)
    before, after = (_left(predictions, batch, outside) for predictions in (intact, method(without)))
    return float((after - before) / (1 - before)) if before < 1 - SOME else math.nan


def _left(
    predictions: Float[Tensor, "matrix pos"], batch: Batch, chosen: Bool[Tensor, "matrix pos"]
) -> Float[Tensor, ""]:
    """The squared error at the chosen places over that of predicting zero."""
    squared = (predictions - batch.values).square()[chosen]
    return squared.mean() / batch.values[chosen].square().mean()
