"""Plateaus side by side: the runs of one family of a sweep over a task of sequences (the follow-up paper, arXiv
2506.13688)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from abruptlab.arguments import checked
from abruptlab.experiments.family import Family
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
    planned, finished = sweep.planned(family), sweep.finished(family)
    by_label = {label: [(run.config.seed, measure_plateau(run)) for run in runs] for label, runs in finished.items()}
    shape = len(by_label), max(planned.values())
    seed, fall, learnt, before, rises, repetition, collapse = (np.full(shape, np.nan) for _ in range(7))
    step = np.full((shape[0], POINTS), np.nan)
    accuracy, loss = np.full((*shape, POINTS), np.nan), np.full((*shape, POINTS), np.nan)
    steps = np.full(shape[0], np.nan)
    for row, of_label in enumerate(by_label.values()):
        for column, (of_seed, plateau) in enumerate(of_label):
            cell = row, column
            steps[row] = plateau.step[-1]
            step[row] = np.linspace(0, plateau.step[-1], POINTS)
            seed[cell], fall[cell], learnt[cell] = of_seed, _fall(plateau), plateau.learnt
            start, stop = plateau.rise
            before[cell], rises[cell] = start, stop - start if np.isfinite(stop) else np.inf
            accuracy[cell] = np.interp(step[row], plateau.step, plateau.accuracy)
            loss[cell] = np.interp(step[row], plateau.curves.step, plateau.curves.smooth[plateau.curves.falling])
            repetition[cell], collapse[cell] = (_largest(plateau, name) for name in ("repetition", "collapse"))
    return Plateaus(
        labels=np.array([*by_label]),
        planned=np.array([planned[label] for label in by_label]),
        seed=seed,
        steps=steps,
        step=step,
        accuracy=accuracy,
        loss_answer=loss,
        fall=fall,
        learnt=learnt,
        before=before,
        rise=rises,
        repetition=repetition,
        collapse=collapse,
    )


def _fall(plateau: Plateau) -> float:
    drop = plateau.curves.drop
    return np.inf if drop is None or drop.width is None else drop.width / drop.onset


def _largest(plateau: Plateau, name: str) -> float:
    """The largest value until the task is half learnt."""
    return float(getattr(plateau, name)[plateau.step <= plateau.learnt].max())
