"""Plateaus side by side: the runs of one family of a sweep over a task of sequences (the follow-up paper, arXiv
2506.13688)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from abruptlab.arguments import checked
from abruptlab.experiments.family import ByLabel, Family
from abruptlab.experiments.plateau import Plateau, measure_plateau
from abruptlab.sweep.file import Sweep

POINTS = 200  # of a curve


@dataclass(frozen=True)
class Plateaus(Family):
    """What was measured in the trainings of a family."""

    accuracy: Float[np.ndarray, "label run point"]  # share of the written tokens that are right
    loss_answer: Float[np.ndarray, "label run point"]  # running mean, nats a token
    fall: Float[np.ndarray, "label run"]  # steps of the drop of the loss / steps before it; inf if there is none yet
    learnt: Float[np.ndarray, "label run"]  # first step with half of the tokens right; inf if there is none
    before: Float[np.ndarray, "label run"]  # steps before the accuracy has covered a tenth of its rise
    rise: Float[np.ndarray, "label run"]  # steps from there to nine tenths
    repetition: Float[np.ndarray, "label run"]  # the largest repetition bias on the way to `learnt`
    collapse: Float[np.ndarray, "label run"]  # the largest representation collapse


@checked
def measure_plateaus(sweep: Sweep, family: str) -> Plateaus:
    """What was measured in the trainings of the finished runs of a family.

    Raises `ConfigError` for a family that the sweep does not have and `RunError` if none of its runs is finished, or
    one of them has no measures.
    """
    runs = ByLabel(sweep.finished(family), sweep.planned(family))
    plateaus = runs.map(measure_plateau)
    step = plateaus.steps(_last, POINTS)
    return Plateaus(
        labels=runs.labels,
        planned=runs.planned,
        seed=runs.of_runs(lambda run: run.config.seed),
        steps=plateaus.of_labels(_last),
        step=step,
        accuracy=plateaus.curves(step, lambda each: (each.step, each.accuracy)),
        loss_answer=plateaus.curves(step, lambda each: (each.curves.step, each.curves.smooth[each.curves.falling])),
        fall=plateaus.of_runs(_fall),
        learnt=plateaus.of_runs(lambda each: each.learnt),
        before=plateaus.of_runs(lambda each: each.rise[0]),
        rise=plateaus.of_runs(_rise),
        repetition=plateaus.of_runs(lambda each: _largest(each.repetition, each)),
        collapse=plateaus.of_runs(lambda each: _largest(each.collapse, each)),
    )


def _last(plateau: Plateau) -> int:
    return int(plateau.step[-1])


def _rise(plateau: Plateau) -> float:
    start, stop = plateau.rise
    return stop - start if np.isfinite(stop) else np.inf


def _fall(plateau: Plateau) -> float:
    drop = plateau.curves.drop
    return np.inf if drop is None or drop.width is None else drop.width / drop.onset


def _largest(values: Float[np.ndarray, " time"], plateau: Plateau) -> float:
    """The largest value until the task is half learnt."""
    return float(values[plateau.step <= plateau.learnt].max())
