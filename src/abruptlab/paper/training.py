"""The run itself: its losses, its drop, and a matrix before and after it (figures 1 and 2)."""

import math
from typing import TYPE_CHECKING

import numpy as np

from abruptlab.experiments.losses import final_value, loss_of_zero, smooth
from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, later

if TYPE_CHECKING:
    from abruptlab.run.drop import Drop

FIGURES: dict[str, FigureSpec] = {
    "1": FigureSpec(
        "Matrix completion and its two phases",
        "figure 1",
        "(A) Masked language modelling beside matrix completion: a typical held-out matrix, hidden entries hatched, "
        "part of one of its rows as tokens, and both as the trained model completes them (hidden entries outlined). "
        "(B) The loss L over training: a copying phase in which hidden entries are predicted as zero, then the "
        "completion phase.",
        later("experiments.overview", "measure_overview"),
        later("figures.overview", "draw_overview"),
    ),
    "2": FigureSpec(
        "The losses over training",
        "figure 2",
        "L over all, L_obs over the observed and L_mask over the hidden entries, on logarithmic and on linear axes; "
        "faint the value of each step, on fresh matrices, strong their running mean. L_obs falls early; L_mask stays "
        "at the level of predicting zero (dashed) until the drop (yellow band, from onset to end).",
        later("experiments.losses", "measure_loss_curves"),
        later("figures.loss", "draw_loss_curves"),
    ),
    "matrices": FigureSpec(
        "One matrix before and after the drop",
        "beside figure 1",
        "A typical held-out matrix (of 256, the one with the median final L_mask): the input, the predictions before "
        "and after the drop, the truth and the errors, on one colour scale. Hidden entries are hatched in the input "
        "and outlined elsewhere.",
        later("experiments.examples", "measure_examples"),
        later("figures.matrices", "draw_examples"),
    ),
}

COPIED = 0.01  # of E[x²]: an error a tenth of an entry's size is a copy, not an estimate
SAME = 0.05  # relative: several times the noise of a median over a plateau, far less than any progress would make
ZERO = 0.1  # of √E[x²]: the size of the noise of predictions, a seventh of the mean |x|
FAST = 1.0  # of the steps before it: a fall as long as the plateau would be a slope
EARLY = 0.5  # of the onset: copying is learnt while most of the plateau is still to come
WAITS = 0.9  # of the plateau: where the detector puts the edge of the plateau
FALLEN = 0.2  # of the plateau: more than the unpredictable part of hidden entries, less than a partial improvement
APPEARED = 0.5  # of √E[x²]: most of the mean |x|, which is 0.75 of it at rank 1 and tends to 0.8


def plateau_level(found: Findings, drop: "Drop", metric: str) -> float:
    """Median over the last half of the steps before the onset."""
    steps = found.run.metrics["step"]
    return float(np.nanmedian(found.run.metrics[metric][(steps >= drop.onset / 2) & (steps < drop.onset)]))


def _final(found: Findings, drop: "Drop", metric: str) -> float | None:
    """Median over the last steps; None for a run that has been stopped while it falls."""
    falling = drop.end is None and not found.run.finished
    return None if falling else final_value(found.run.metrics[metric])


def _over(number: int | float | None, unit: int | float) -> float | None:
    return None if number is None else number / unit


def _level(found: Findings) -> float:
    return found.run.config.matrices.copying_level


def _fallen(found: Findings, drop: "Drop") -> float | None:
    """How much is left at the end of the metric whose drop is looked for."""
    metric = found.run.objective.falling
    return _over(_final(found, drop, metric), plateau_level(found, drop, metric))


def _plateau_loss(found: Findings, drop: "Drop") -> float | None:
    zero = loss_of_zero(found.run.config.matrices)
    return plateau_level(found, drop, "loss") / zero if zero else None


def _copied_at(found: Findings, drop: "Drop") -> float:
    below = smooth(found.run.metrics["loss_observed"]) < COPIED * _level(found)
    steps = found.run.metrics["step"]
    return float(steps[below.argmax()] if below.any() else steps[-1]) / drop.onset


def _masked_halfway(found: Findings, drop: "Drop") -> float:
    halfway = np.searchsorted(found.run.metrics["step"], drop.onset / 2)
    return float(smooth(found.run.metrics["loss_masked"])[halfway]) / plateau_level(found, drop, "loss_masked")


def _rate_change(found: Findings, drop: "Drop") -> float:
    steps = found.run.metrics["step"]
    end = steps[-1] if drop.end is None else drop.end
    rates = found.run.metrics["learning_rate"][(steps >= drop.onset / 2) & (steps <= end)]
    return float(rates.max() / rates.min())


CLAIMS: dict[str, Claim] = {
    "drop": Claim(
        "A plateau, then a sudden drop.",
        "figure 1",
        "steps of the fall / steps before it",
        Bound(high=FAST),
        lambda found, drop: _over(drop.width, drop.onset),
        needs_drop=False,
    ),
    "same-training": Claim(
        "Nothing in the training changes at the drop.",
        "figure 1",
        "largest / smallest learning rate, from half the onset to the end of the drop",
        Bound(1.0, 1.0),
        _rate_change,
    ),
    "copying": Claim(
        "Before the drop, observed entries are copied.",
        "text, figure 2",
        "L_obs on the plateau / E[x²]",
        Bound(high=COPIED),
        lambda found, drop: plateau_level(found, drop, "loss_observed") / _level(found),
    ),
    "zero-level": Claim(
        "On the plateau, L_mask is that of predicting zero.",
        "text, figure 2",
        "L_mask on the plateau / E[x²]",
        Bound(1 - SAME, 1 + SAME),
        lambda found, drop: plateau_level(found, drop, "loss_masked") / _level(found),
    ),
    "zero-predictions": Claim(
        "On the plateau, hidden entries are predicted as about zero.",
        "text, table 1",
        "mean |prediction| at hidden entries on the plateau / √E[x²]",
        Bound(high=ZERO),
        lambda found, drop: plateau_level(found, drop, "mean_abs_masked") / math.sqrt(_level(found)),
    ),
    "plateau-loss": Claim(
        "On the plateau, L is p_mask times L_mask.",
        "text, figure 1",
        "L on the plateau / (p_mask E[x²])",
        Bound(1 - SAME, 1 + SAME),
        _plateau_loss,
    ),
    "observed-first": Claim(
        "L_obs falls early.",
        "figure 2",
        f"first step with L_obs below {COPIED:g} E[x²] (the last step if there is none) / onset",
        Bound(high=EARLY),
        _copied_at,
    ),
    "masked-waits": Claim(
        "L_mask falls only at the drop.",
        "figure 2",
        "L_mask at half the onset / plateau",
        Bound(low=WAITS),
        _masked_halfway,
    ),
    "completion": Claim(
        "After the drop, hidden entries are completed.",
        "figure 2",
        "final L_mask / plateau",
        Bound(high=FALLEN),
        _fallen,
    ),
    "predictions-appear": Claim(
        "After the drop, predictions at hidden entries are of the entries' size.",
        "text",
        "final mean |prediction| at hidden entries / √E[x²]",
        Bound(low=APPEARED),
        lambda found, drop: _over(_final(found, drop, "mean_abs_masked"), math.sqrt(_level(found))),
    ),
}
