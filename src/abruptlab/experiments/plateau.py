"""The loss plateau of a task of sequences: what was measured in the course of its training (the follow-up paper,
arXiv 2506.13688)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from abruptlab.arguments import checked
from abruptlab.errors import RunError
from abruptlab.experiments.losses import Curves, first_step, measure_curves
from abruptlab.experiments.progress import uniform_attention
from abruptlab.experiments.result import Outlined
from abruptlab.run.run import Run
from abruptlab.task.held_out import held_out_of

HALF = 0.5  # of the tokens of the answer: learnt
RISE = (0.1, 0.9)  # of the way of the accuracy from its first to its last value: the rise
EXAMPLES = 1024  # for what is known of the task without a model


@dataclass(frozen=True)
class Plateau(Outlined):
    """A run's measures beside its losses; `time` are the steps at which they were taken."""

    curves: Curves
    step: Int[np.ndarray, " time"]
    accuracy: Float[np.ndarray, " time"]  # share of the written tokens that are right
    whole: Float[np.ndarray, " time"]  # share of the answers that are right from end to end
    places: Float[np.ndarray, "time place"]  # accuracy of each place
    repetition: Float[np.ndarray, " time"]  # share of equal neighbours in what is written
    collapse: Float[np.ndarray, " time"]  # mean cosine similarity of the last layer's outputs at two answer places
    attention: Float[np.ndarray, " time"]  # share of the attention on what the answer needs
    repetition_of_truth: float  # in the true answers
    uniform: float  # attention progress of attending to all places alike

    @property
    def learnt(self) -> float:
        """The first step with half of the tokens right; inf if there is none."""
        return first_step(self.step, self.accuracy >= HALF)

    @property
    def rise(self) -> tuple[float, float]:
        """The steps between which the accuracy goes from a tenth to nine tenths of its way; inf if it does not rise."""
        return rise(self.step, self.accuracy)

    @property
    def last_half(self) -> Bool[np.ndarray, " time"]:
        """Which measures are of the last half of the steps before the onset of the drop. Raises `RunError` for a run
        without one."""
        if self.curves.drop is None:
            raise RunError("the run has no drop")
        onset = self.curves.drop.onset
        return (self.step >= onset / 2) & (self.step < onset)

    def on_plateau(self, values: Float[np.ndarray, "time *place"]) -> Float[np.ndarray, "*place"]:
        """The median of a measure over the `last_half`. Raises as that."""
        return np.asarray(np.median(values[self.last_half], 0))

    def at(self, step: int, values: Float[np.ndarray, " time"]) -> float:
        """A measure at a step, between those at which it was taken on a straight line."""
        return float(np.interp(step, self.step, values))


@checked
def measure_plateau(run: Run) -> Plateau:
    """What was measured during the training of a run. Nothing is computed anew.

    Raises `RunError` if nothing was (`training.measure_every`), or the run has made no step yet.
    """
    curves, measures, task = measure_curves(run), run.measures, run.config.task
    if not len(measures["step"]):
        measured = run.config.training.measure_every > 0
        expected = "rows in measures.jsonl" if measured else "training.measure_every above 0"
        raise RunError(f"{run.folder} has no measures: expected {expected}")
    batch = held_out_of(task, EXAMPLES)
    answers = batch.tokens[:, run.objective.answer :]
    return Plateau(
        curves=curves,
        **measures,
        repetition_of_truth=float((answers[:, 1:] == answers[:, :-1]).float().mean()),
        uniform=float(uniform_attention(batch, run.objective)),
    )


def rise(steps: Int[np.ndarray, " time"], values: Float[np.ndarray, " time"]) -> tuple[float, float]:
    """The first steps at which values have covered the two shares of `RISE` of their way up from the first to the last;
    inf if the last is no higher."""
    way = values[-1] - values[0]
    if not way > 0:
        return np.inf, np.inf
    start, stop = (first_step(steps, values - values[0] >= share * way) for share in RISE)
    return start, stop
