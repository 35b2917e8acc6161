"""Model switching (in the paper's text)."""

import math
from functools import partial

from abruptlab.experiments.switching import measure_switching
from abruptlab.figures.switching import draw_switching
from abruptlab.paper.claim import Bound, Claim, inside, null
from abruptlab.paper.findings import Findings
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

OUT = partial(measure_switching, groups=("attention-qkv", "not-attention"))
ALIKE = 0.1  # of E[x²]: the width of the plateau's band
HALF = 0.5  # of the distance: less than half


def _distance(findings: Findings, group: str, transplant: str) -> float:
    """How far the model after the drop, with a group of another one, is from the model before it: L_mask or L_obs, the
    larger distance, over E[x²]. NaN unless L_mask is lower after the drop by more than that."""
    result = findings.of(OUT)
    level = zero_level(findings)
    masked, observed = result.intact["loss_masked"].mean, result.intact["loss_observed"].mean
    if masked[AFTER] > masked[BEFORE] - 2 * ALIKE * level:
        return math.nan
    index, switched = result.groups.index(group), getattr(result, transplant)
    changes = (
        switched["loss_masked"].mean[AFTER, index] - masked[BEFORE],
        switched["loss_observed"].mean[AFTER, index] - observed[BEFORE],
    )
    return float(max(map(abs, changes)) / level)


CLAIMS: dict[str, Claim] = {
    "switching-attention-out": inside(
        "Query, key and value of before the drop, put into the model after it, make it the model before the drop, more "
        "nearly than an untrained model's do.",
        "text",
        "distance to the model before the drop, in L_mask or L_obs, the larger, / the same with an untrained model's",
        Bound(high=HALF),
        lambda findings: (
            _distance(findings, "attention-qkv", "switched") / _distance(findings, "attention-qkv", "random")
        ),
        null("another untrained model's", lambda findings: 1.0),
        figures=("switching",),
    ),
    "switching-rest-out": inside(
        "All that the public code does not count as attention, of before the drop, put into the model after it, makes "
        "it the model before the drop.",
        "code",
        "distance to the model before the drop, in L_mask or L_obs, the larger, / E[x²]",
        Bound(high=ALIKE),
        lambda findings: _distance(findings, "not-attention", "switched"),
        null("an untrained model's", lambda findings: _distance(findings, "not-attention", "random")),
        figures=("switching",),
    ),
}
