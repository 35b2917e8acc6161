"""When the loss of variants falls: the runs of one family of a sweep over any task whose trivial solution has a known
loss, such as matrices.

A plateau that is shortened until no detector calls it one still has a step at which half of it is gone.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from abruptlab.arguments import checked
from abruptlab.errors import RunError
from abruptlab.experiments.family import ByLabel, Family
from abruptlab.experiments.level import trivial_level
from abruptlab.experiments.losses import first_step, smooth
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep

POINTS = 400  # of a curve
HALF = 0.5


@dataclass(frozen=True)
class Falls(Family):
    """The losses of a family, and when they are halved."""

    ratio: Float[np.ndarray, "label run point"]  # running mean of the loss that falls / the trivial solution's
    halved: Float[np.ndarray, "label run"]  # first step with that at most a half; inf if there is none


@checked
def measure_falls(sweep: Sweep, family: str) -> Falls:
    """The losses of the finished runs of a family, and when they are halved.

    Raises `ConfigError` for a family that the sweep does not have, and `RunError` if none of its runs is finished or
    nobody knows the trivial solution's loss.
    """
    runs = ByLabel(sweep.finished(family), sweep.planned(family))
    step = runs.steps(_last, POINTS)
    return Falls(
        labels=runs.labels,
        planned=runs.planned,
        seed=runs.of_runs(lambda run: run.config.seed),
        steps=runs.of_labels(_last),
        step=step,
        ratio=runs.curves(step, lambda run: (run.metrics["step"], _over_level(run))),
        halved=runs.of_runs(lambda run: first_step(run.metrics["step"], _over_level(run) <= HALF)),
    )


def _last(run: Run) -> int:
    return int(run.metrics["step"][-1])


def _over_level(run: Run) -> Float[np.ndarray, " step"]:
    level = trivial_level(run)
    if math.isnan(level):
        raise RunError(f"{run.folder}: nobody knows the loss of {run.objective.trivial}, so nothing is half of it")
    return smooth(run.metrics[run.objective.falling]) / level
