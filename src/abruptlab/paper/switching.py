"""Model switching (in the paper's text)."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from abruptlab.experiments.switching import Switching, measure_switching
from abruptlab.figures.switching import draw_switching
from abruptlab.paper.claim import Bound, Claim, inside, null
from abruptlab.paper.findings import FEW, Findings
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import zero_level

BEFORE, AFTER = 0, 1

FIGURES: Figures = {
    "switching": FigureSpec(
        "Parts of one model in the other",
        "text, model switching",
        "L_mask and L_obs of the model before the drop with one group of parameters of the model after it, and the "
        "other way round, against the two intact models (± one standard error over matrices, as bars and bands). Below "
        "the rule, combinations: 'layers but QKV' is what the paper's text means by all that is not attention, 'not "
        "attention' what its public code takes, which leaves the attention's output projection and the LayerNorm "
        "behind it in their places.",
        measure_switching,
        draw_switching,
    ),
}

REST = partial(measure_switching, groups=("not-attention",))
# each with another untrained model, and other matrices
ATTENTION = [partial(measure_switching, groups=("attention-qkv",), matrices=FEW, seed=seed) for seed in range(10)]
ALIKE = 0.1  # of E[x²]: the width of the plateau's band
SELDOM = 0.1  # of the untrained models: one of ten


def _distance(findings: Findings, measure: Callable[..., Switching], transplant: str) -> float:
    """How far the model after the drop, with a group of another one, is from the model before it: L_mask or L_obs, the
    larger distance, over E[x²]. NaN unless L_mask is lower after the drop by more than that."""
    result = findings.of(measure)
    level = zero_level(findings)
    masked, observed = result.intact["loss_masked"].mean, result.intact["loss_observed"].mean
    if masked[AFTER] > masked[BEFORE] - 2 * ALIKE * level:
        return math.nan
    switched = getattr(result, transplant)
    changes = (
        switched["loss_masked"].mean[AFTER, 0] - masked[BEFORE],
        switched["loss_observed"].mean[AFTER, 0] - observed[BEFORE],
    )
    return float(max(map(abs, changes)) / level)


def _as_near(findings: Findings) -> float:
    """The share of untrained models whose attention brings the model as near to that before the drop."""
    pairs = [[_distance(findings, measure, which) for which in ("random", "switched")] for measure in ATTENTION]
    return float(np.mean([math.nan if math.isnan(one) else one <= own for one, own in pairs]))


def _as_near_as_another(findings: Findings) -> float:
    """The same of one untrained model among the others, typically: of them all the median."""
    each = np.array([_distance(findings, measure, "random") for measure in ATTENTION])
    as_near = (each[None] <= each[:, None]).sum(1) - 1  # but for itself
    return math.nan if np.isnan(each).any() else float(np.median(as_near) / (len(each) - 1))


CLAIMS: dict[str, Claim] = {
    "switching-attention-out": inside(
        "Query, key and value of before the drop, put into the model after it, make it the model before the drop, more "
        "nearly than an untrained model's do.",
        "text",
        "share of ten untrained models with which the distance to the model before the drop, in L_mask or L_obs, the "
        "larger, is as small",
        Bound(high=SELDOM),
        _as_near,
        null("another untrained model's", _as_near_as_another),
        figures=("switching",),
    ),
    "switching-rest-out": inside(
        "All that the public code does not count as attention, of before the drop, put into the model after it, makes "
        "it the model before the drop.",
        "code",
        "distance to the model before the drop, in L_mask or L_obs, the larger, / E[x²]",
        Bound(high=ALIKE),
        lambda findings: _distance(findings, REST, "switched"),
        null("an untrained model's", lambda findings: _distance(findings, REST, "random")),
        figures=("switching",),
    ),
}
