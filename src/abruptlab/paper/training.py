"""The run itself: its losses, its drop, and a matrix before and after it (figures 1 and 2)."""

import math
from functools import partial

import numpy as np

from abruptlab.errors import RunError
from abruptlab.experiments.examples import measure_examples
from abruptlab.experiments.level import hidden_level, loss_of_zero
from abruptlab.experiments.losses import final_value, measure_loss_curves, smooth
from abruptlab.experiments.overview import measure_overview
from abruptlab.figures.loss import draw_loss_curves
from abruptlab.figures.matrices import draw_examples
from abruptlab.figures.overview import draw_overview
from abruptlab.paper.claim import SMOOTH, STOPPED, Bound, Claim, Number, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.run.drop import LANDING, ONSET, Drop, find_drop

FIGURES: Figures = {
    "1": FigureSpec(
        "Matrix completion and its two phases",
        "figure 1",
        "(A) Masked language modelling beside matrix completion: a typical held-out matrix, hidden entries hatched, "
        "part of one of its rows as tokens, and both as the trained model completes them (hidden entries outlined). "
        "(B) The loss L over training: a copying phase in which hidden entries are predicted as zero, then the "
        "completion phase.",
        measure_overview,
        draw_overview,
    ),
    "2": FigureSpec(
        "The losses over training",
        "figure 2",
        "L over all, L_obs over the observed and L_mask over the hidden entries, on logarithmic and on linear axes; "
        "faint the value of each step, on fresh matrices, strong their running mean. L_obs falls early; L_mask stays "
        "at the level of predicting zero (dashed) until the drop (yellow band, from onset to end).",
        measure_loss_curves,
        draw_loss_curves,
    ),
    "matrices": FigureSpec(
        "One matrix before and after the drop",
        "beside figure 1",
        "A typical held-out matrix (of 256, the one with the median final L_mask): the input, the predictions before "
        "and after the drop, the truth and the errors, on one colour scale. Hidden entries are hatched in the input "
        "and outlined elsewhere.",
        measure_examples,
        draw_examples,
    ),
}

COPIED = 0.01  # of E[x²]: an error a tenth of an entry's size is a copy, not an estimate
SAME = 0.05  # relative: several times the noise of a median over a plateau, far less than any progress would make
ZERO = 0.1  # of √E[x²]: the size of the noise of predictions, a seventh of the mean |x|
FAST = 1.0  # of the steps before it: a fall as long as the plateau would be a slope
EARLY = 0.5  # of the onset: copying is learnt while most of the plateau is still to come
WAITS = 0.9  # of E[x²]: where the detector puts the edge of a plateau
FALLEN = 0.2  # of the plateau: more than the unpredictable part of hidden entries, less than a partial improvement


def plateau_level(findings: Findings, metric: str) -> float:
    """Median over the last half of the steps before the onset."""
    drop, steps = known_drop(findings), findings.run.metrics["step"]
    values = findings.run.metrics[metric][(steps >= drop.onset / 2) & (steps < drop.onset)]
    return float(np.nanmedian(values)) if np.isfinite(values).any() else math.nan


def known_drop(findings: Findings) -> Drop:
    """The drop of a run that has one. Raises `RunError` for another."""
    if findings.run.drop is None:
        raise RunError("the run has no drop")
    return findings.run.drop


def zero_level(findings: Findings) -> float:
    """E[x²] of a hidden entry, the loss of predicting zero."""
    return hidden_level(findings.run)


def fall_width(findings: Findings) -> Number:
    """Steps from the onset to the end of the drop over the steps before it; None without a drop, or while it falls."""
    metrics = findings.run.metrics
    drop = find_drop(metrics["step"], metrics[findings.run.objective.falling])
    return None if drop is None or drop.width is None else drop.width / drop.onset


def _steady_fall(findings: Findings) -> Number:
    """The same of a loss that falls by a constant factor a step, from its first level to its last: its steps from a
    tenth of the way to nine tenths, over those before them."""
    values = findings.on("smooth curve").run.metrics[findings.run.objective.falling]
    way = (values[0] - values) / (values[0] - values[-1]) if len(values) and values[0] > values[-1] else np.zeros(1)
    begun, ended = (int((way >= part).argmax()) for part in (ONSET, LANDING))
    return (ended - begun) / begun if begun else None


STEADY_FALL = null("a steady fall", _steady_fall)


def fallen(findings: Findings) -> float:
    """How much is left at the end of the metric whose drop is looked for."""
    metric = findings.run.objective.falling
    return final_value(findings.run.metrics[metric]) / plateau_level(findings, metric)


def _over_zero(findings: Findings, loss: float) -> Number:
    """L over that of copying the observed entries and predicting zero elsewhere; none where that is nothing."""
    zero = loss_of_zero(findings.run)
    return loss / zero if zero else None


def _copied_at(findings: Findings) -> int:
    """The first row of the metrics with L_obs below COPIED; the last one if there is none."""
    below = smooth(findings.run.metrics["loss_observed"]) < COPIED * zero_level(findings)
    return int(below.argmax()) if below.any() else len(below) - 1


_claim = partial(Claim, curve=True)

CLAIMS: dict[str, Claim] = {
    "drop": _claim(
        "A plateau, then a sudden drop.",
        "caption",
        "steps of the fall / steps before it",
        Bound(high=FAST),
        fall_width,
        (STEADY_FALL, STOPPED),
        figures=("1",),
        fails_without_drop=True,
    ),
    "copying": _claim(
        "Before the drop, observed entries are copied.",
        "caption",
        "L_obs on the plateau / E[x²]",
        Bound(high=COPIED),
        lambda findings: plateau_level(findings, "loss_observed") / zero_level(findings),
        (SMOOTH,),
        figures=("2",),
    ),
    "zero-level": _claim(
        "On the plateau, L_mask is that of predicting zero.",
        "text",
        "L_mask on the plateau / E[x²]",
        Bound(1 - SAME, 1 + SAME),
        lambda findings: plateau_level(findings, "loss_masked") / zero_level(findings),
        (SMOOTH,),
        figures=("2",),
    ),
    "zero-predictions": _claim(
        "On the plateau, hidden entries are predicted as about zero.",
        "text",
        "mean |prediction| at hidden entries on the plateau / √E[x²]",
        Bound(high=ZERO),
        lambda findings: plateau_level(findings, "mean_abs_masked") / math.sqrt(zero_level(findings)),
        (
            null(
                "at the end",
                lambda findings: final_value(findings.run.metrics["mean_abs_masked"]) / math.sqrt(zero_level(findings)),
            ),
        ),
        figures=("2",),
    ),
    "plateau-loss": _claim(
        "On the plateau, L is p_mask times E[x²].",
        "caption",
        "L on the plateau / (p_mask E[x²])",
        Bound(1 - SAME, 1 + SAME),
        lambda findings: _over_zero(findings, plateau_level(findings, "loss")),
        (null("at the end", lambda findings: _over_zero(findings, final_value(findings.run.metrics["loss"]))),),
        figures=("1",),
    ),
    "observed-first": _claim(
        "L_obs falls early.",
        "caption",
        f"first step with L_obs below {COPIED:g} E[x²] (the last step if there is none) / onset",
        Bound(high=EARLY),
        lambda findings: float(findings.run.metrics["step"][_copied_at(findings)]) / known_drop(findings).onset,
        (SMOOTH,),
        figures=("2",),
    ),
    "masked-waits": _claim(
        "When the observed entries are copied, L_mask has not begun to fall.",
        "caption",
        f"L_mask at the first step with L_obs below {COPIED:g} E[x²] / E[x²]",
        Bound(low=WAITS),
        lambda findings: (
            float(smooth(findings.run.metrics["loss_masked"])[_copied_at(findings)]) / zero_level(findings)
        ),
        (SMOOTH,),
        figures=("2",),
    ),
    "completion": _claim(
        "After the drop, hidden entries are completed.",
        "caption",
        "final L_mask / plateau",
        Bound(high=FALLEN),
        fallen,
        (STOPPED,),
        figures=("2",),
        final=True,
    ),
}
