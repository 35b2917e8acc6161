"""One model trained on matrices of several sizes (figure 16): the losses of each size over the steps."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float

from abruptlab.arguments import checked, require
from abruptlab.experiments.result import Outlined
from abruptlab.experiments.variants import LOSSES, Series, Variants, series, side_by_side
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep
from abruptlab.task.matrices import BLOCK, size_choices

FAMILY = "mixture"


@dataclass(frozen=True)
class Mixture(Outlined):
    """What figure 16 shows."""

    sizes: Variants  # a row a size, a column a run
    order: Float[np.ndarray, "run size"]  # the sizes (rows of `sizes`) of a run by their onset; NaN: no such drop


@checked
def measure_mixture(sweep: Sweep) -> Mixture:
    """Figure 16: the losses and drops of each size of the sweep's mixture, and the order in which the sizes drop.

    Training loss is test loss, and each step has one size: the steps of a size are its test losses. Raises
    `ConfigError` for a sweep without one mixture and `RunError` if no run of it is finished.
    """
    planned = sweep.planned(FAMILY)
    require(len(planned) < 2, "figure 16", f"one variant in the family {FAMILY!r}", ", ".join(planned))
    [(label, runs)] = sweep.finished(FAMILY).items()
    names = [f"{rows}×{columns}" for rows, columns in runs[0].config.matrices.sizes]
    of_runs = [steps_of_sizes(run) for run in runs]
    of_sizes = {name: [of_run[index] for of_run in of_runs] for index, name in enumerate(names)}
    sizes = side_by_side(of_sizes, dict.fromkeys(names, planned[label]))
    return Mixture(sizes, order_of(sizes.onset.each[:, : len(runs)]))


def steps_of_sizes(run: Run) -> list[Series]:
    """The losses of a run apart by the size of the step's matrices."""
    whole, task = series(run), run.config.matrices
    choices = torch.cat([size_choices(task, run.config.seed, block) for block in range(len(whole.step) // BLOCK + 1)])
    choice = choices.numpy()[whole.step]
    return [_of_size(whole, choice == index) for index in range(len(task.sizes))]


def order_of(onset: Float[np.ndarray, "size run"]) -> Float[np.ndarray, "run size"]:
    """Of each run, the rows of the sizes that drop, by their onset; then NaN."""
    ranked = np.argsort(onset.T, axis=1, kind="stable").astype(np.float64)
    return np.where(np.isfinite(np.sort(onset.T, axis=1)), ranked, np.nan)


def _of_size(whole: Series, chosen: Bool[np.ndarray, " step"]) -> Series:
    return replace(whole, **{name: getattr(whole, name)[chosen] for name in LOSSES})
