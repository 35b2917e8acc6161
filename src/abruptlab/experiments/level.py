"""What the trivial solution of a run's task has: the level of the plateau."""

import math

from abruptlab.experiments.held_out import held_out
from abruptlab.run.run import Run

SAMPLED = 16_384  # matrices, for a level that has no formula: its standard error is about a hundredth of it


def trivial_level(run: Run) -> float:
    """The value of the trivial solution for the metric that drops (of an encoder, `hidden_level`); NaN if unknown."""
    if run.objective.level is None:
        return math.nan
    return hidden_level(run) if run.objective.kind == "encoder" else run.objective.level


def hidden_level(run: Run) -> float:
    """E[x²] of a hidden entry of a run's matrices, the mean squared error of predicting zero there.

    That is E[x²] of any entry unless the mask looks at the matrix, as entries of high coherence are larger, or entries
    are rounded to whole numbers; then it is measured, on held-out matrices. Raises `ConfigError` for another task.
    """
    task = run.config.matrices
    if task.mask != "coherence" and task.decimals > 0:
        return task.copying_level
    batch = held_out(run, SAMPLED)
    return float(batch.values[~batch.observed].square().mean())


def loss_of_zero(run: Run) -> float | None:
    """L of copying the observed entries and predicting zero at the hidden ones: p_mask · E[x²].

    None for fixed masks, which hide entries without a probability. Raises `ConfigError` as `hidden_level`.
    """
    task = run.config.matrices
    return None if task.mask == "fixed" else task.mask_probability * hidden_level(run)
