"""The loss over the training steps (figures 1B and 2)."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from abruptlab.arguments import checked
from abruptlab.errors import RunError
from abruptlab.experiments.level import hidden_level, loss_of_zero, trivial_level
from abruptlab.experiments.result import Outlined
from abruptlab.run.drop import Drop
from abruptlab.run.run import Run

SMOOTHING = 1 / 200  # width of the running mean as a share of the run: well below the width of a drop
LATE = 0.05  # share of the run, at its end, over which the final values are read
EARLY = 1 / 2  # and at most this share of the step itself, so that the first steps are not smeared


@dataclass(frozen=True)
class LossCurves(Outlined):
    """The mean squared errors on fresh matrices, one value a step, and what they are compared with."""

    step: Int[np.ndarray, " step"]
    loss: Float[np.ndarray, " step"]  # L, over all entries
    loss_observed: Float[np.ndarray, " step"]  # L_obs
    loss_masked: Float[np.ndarray, " step"]  # L_mask
    smooth_loss: Float[np.ndarray, " step"]  # running means of the three
    smooth_observed: Float[np.ndarray, " step"]
    smooth_masked: Float[np.ndarray, " step"]
    copying_level: float  # L_mask of predicting zero
    loss_of_zero: float | None  # L of copying what is observed and predicting zero elsewhere
    drop: Drop | None


@dataclass(frozen=True)
class Curves(Outlined):
    """The losses of a run of any task, one value a step: the metrics in the unit of the one that drops."""

    step: Int[np.ndarray, " step"]
    name: Shaped[np.ndarray, " metric"]
    label: Shaped[np.ndarray, " metric"]
    unit: str
    value: Float[np.ndarray, "metric step"]
    smooth: Float[np.ndarray, "metric step"]  # running means
    falling: int  # which of them is the one that drops
    trivial: str  # what the trivial solution does
    level: float  # the falling metric's value for it; NaN where nobody knows it
    drop: Drop | None


def measure_curves(run: Run) -> Curves:
    """The losses over the steps of a run, raw and smoothed. Raises `RunError` if the run has made no step yet."""
    metrics, objective = run.metrics, run.objective
    if not len(metrics["step"]):
        raise RunError(f"{run.folder} has no metrics yet")
    value = np.stack([metrics[metric.name] for metric in objective.curves])
    names = [metric.name for metric in objective.curves]
    return Curves(
        step=metrics["step"],
        name=np.array(names),
        label=np.array([metric.label for metric in objective.curves]),
        unit=objective.drops.unit,
        value=value,
        smooth=np.stack([smooth(values) for values in value]),
        falling=names.index(objective.falling),
        trivial=objective.trivial,
        level=trivial_level(run),
        drop=run.drop,
    )


@checked
def measure_loss_curves(run: Run) -> LossCurves:
    """L, L_obs and L_mask over the steps of a run, raw and smoothed (figures 1B and 2).

    Raises `RunError` if the run has made no step yet, or its model is a decoder.
    """
    run.require("encoder")
    curves = measure_curves(run)
    return LossCurves(
        curves.step,
        *curves.value,
        *curves.smooth,
        copying_level=hidden_level(run),
        loss_of_zero=loss_of_zero(run),
        drop=curves.drop,
    )


def first_step(steps: Int[np.ndarray, " time"], there: Bool[np.ndarray, " time"]) -> float:
    """The first step at which something is so; inf if there is none."""
    return float(steps[there.argmax()]) if there.any() else np.inf


def final_value(values: Float[np.ndarray, " step"]) -> float:
    """The median over the last steps, `LATE` of them; NaN (a step without such entries) is left out."""
    last = values[-max(1, round(LATE * len(values))) :]
    known = last[np.isfinite(last)]
    return float(np.median(known)) if len(known) else math.nan


def smooth(values: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """The running mean, centred, over `SMOOTHING` of the run; NaN (a step without such entries) is left out."""
    index = np.arange(len(values))
    half = np.minimum(int(len(values) * SMOOTHING / 2), (index * EARLY / 2).astype(int))
    first, past = index - half, np.minimum(index + half + 1, len(values))
    there = np.isfinite(values)
    total = np.concatenate([[0.0], np.cumsum(np.where(there, values, 0.0), dtype=np.float64)])
    count = np.concatenate([[0], np.cumsum(there)])
    with np.errstate(invalid="ignore"):  # a window of nothing but NaN stays NaN
        return (total[past] - total[first]) / (count[past] - count[first])
