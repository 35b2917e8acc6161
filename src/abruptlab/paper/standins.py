"""What stands in a run's place for the null of a claim: the same configuration, and no completion learnt.

A claim says something of a trained model. Where its number is within the bound on one of these, the claim says
nothing: `claim.Null` judges them all.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from abruptlab.config import RunConfig
from abruptlab.errors import CheckpointError
from abruptlab.experiments.copying import moments_before
from abruptlab.model.build import Model, new_model
from abruptlab.run.run import Run
from abruptlab.task.counter import generator

NULL = 7  # key of the weights of untrained models; the training and the held-out matrices have 0 to 3


class StandIn(Run):
    """A run with other weights at its checkpoints, or another curve; its moments stay those of the run.

    Of the checkpoints there are the milestones and the moments of the copying check alone, so that a measure over all
    of them is no work.
    """

    def __init__(
        self,
        run: Run,
        weights: Callable[[int], Model] | None = None,
        metrics: Mapping[str, Shaped[np.ndarray, " time"]] | None = None,
    ) -> None:
        self.folder: Path = run.folder
        self.config: RunConfig = run.config
        self._run, self._weights = run, weights or run.load
        self.__dict__["metrics"] = dict(metrics or run.metrics)
        self.__dict__["drop"] = run.drop

    @property
    def steps(self) -> list[int]:
        try:
            copying = moments_before(self._run).values()
        except CheckpointError:
            copying = ()
        return sorted({*self._run.milestones.values(), *copying})

    @property
    def finished(self) -> bool:
        return self._run.finished

    @property
    def milestones(self) -> dict[str, int]:
        return self._run.milestones

    def load(self, step: int | str) -> Model:
        return self._weights(self.resolve(step)).eval()


def untrained(run: Run) -> StandIn:
    """Weights as at the start of a training, drawn anew at every checkpoint."""

    def weights(step: int) -> Model:
        model = new_model(run.config)
        model.initialise(generator(run.config.seed, NULL, step))
        return model

    return StandIn(run, weights)


def smooth_curve(run: Run) -> StandIn:
    """The run's curve without phases: losses, and the size of predictions, go from their first to their last level by a
    constant factor a step, 0 taken for the least that is above it; other metrics stay."""
    metrics = dict(run.metrics)
    for name, values in run.metrics.items():
        known = values[np.isfinite(values)]
        above = known[known > 0]
        if len(above) and (name.startswith("loss") or name == "mean_abs_masked"):
            least, last = above.min(), np.median(known[-max(1, len(known) // 20) :])
            metrics[name] = np.geomspace(max(known[0], least), max(last, least), len(values))
    return StandIn(run, metrics=metrics)


def stopped(run: Run) -> StandIn:
    """The run's curve as if nothing had happened after the onset: every later step is one of the plateau's."""
    drop, steps = run.drop, run.metrics["step"]
    if drop is None:
        return StandIn(run)
    before = np.flatnonzero((steps >= drop.onset / 2) & (steps < drop.onset))
    chosen = np.where(steps < drop.onset, np.arange(len(steps)), before[np.arange(len(steps)) % len(before)])
    return StandIn(run, metrics={name: run.metrics[name][chosen] for name in run.metrics} | {"step": steps})


STANDINS: dict[str, Callable[[Run], StandIn]] = {
    "untrained": untrained,
    "plateau": lambda run: StandIn(run, lambda step: run.load("before-drop")),
    "trained": lambda run: StandIn(run, lambda step: run.load("final")),  # the null of what is claimed of the plateau
    "smooth curve": smooth_curve,
    "stopped": stopped,
}
