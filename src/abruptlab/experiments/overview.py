"""The whole story at a glance (figure 1): one matrix completed, and the loss that led there."""

from dataclasses import dataclass

from abruptlab.arguments import checked
from abruptlab.experiments.examples import ExampleMatrices, before_and_after, measure_examples
from abruptlab.experiments.losses import LossCurves, measure_loss_curves
from abruptlab.experiments.result import Outlined
from abruptlab.run.run import Run


@dataclass(frozen=True)
class Overview(Outlined):
    """What figure 1 shows."""

    example: ExampleMatrices  # with one prediction, of the last checkpoint
    curves: LossCurves


@checked
def measure_overview(run: Run, seed: int = 0) -> Overview:
    """A typical held-out matrix as the last checkpoint completes it, and the loss curves (figure 1)."""
    return Overview(measure_examples(run, before_and_after(run)[-1:], seed), measure_loss_curves(run))
