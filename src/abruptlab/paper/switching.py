"""Model switching (in the paper's text)."""

from typing import TYPE_CHECKING

from abruptlab.model.groups import SINGLE
from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, later

if TYPE_CHECKING:
    from abruptlab.experiments.switching import Switching

SWITCHING = later("experiments.switching", "measure_switching")
BEFORE, AFTER = 0, 1
HALF = 0.5  # of the way between the two models: what lies beyond it is nearer to the other model

FIGURES: dict[str, FigureSpec] = {
    "switching": FigureSpec(
        "Parts of one model in the other",
        "text, model switching",
        "L_mask and L_obs of the model before the drop with one group of parameters of the model after it, and the "
        "other way round, against the two intact models (± one standard error over matrices, as bars and bands). Below "
        "the rule, combinations: 'layers but QKV' is what the paper's text means by all that is not attention, 'all "
        "but QKV' what its public code does.",
        SWITCHING,
        later("figures.switching", "draw_switching"),
    ),
}


def _furthest(found: Findings, model: int, *groups: str) -> float | None:
    """How far one of the groups, that which does most, takes L_mask of the model to that of the other one.

    0 is not at all, 1 all the way. None unless L_mask is lower after the drop.
    """
    result: Switching = found.of(SWITCHING)
    before, after = map(float, result.intact.loss_masked.mean)
    if not after < before:
        return None
    own, other = (before, after) if model == BEFORE else (after, before)
    switched = result.switched.loss_masked.mean[model]
    return max((float(switched[result.groups.index(group)]) - own) / (other - own) for group in groups)


CLAIMS: dict[str, Claim] = {
    "switching-attention-out": Claim(
        "The attention (query, key, value) of before the drop takes the completion away.",
        "text, model switching",
        "rise of L_mask after the drop with it / rise to the model before the drop",
        Bound(low=HALF),
        lambda found, drop: _furthest(found, AFTER, "attention-qkv"),
    ),
    "switching-attention-in": Claim(
        "The attention of after the drop, output projection included, does not complete by itself.",
        "text, model switching",
        "fall of L_mask before the drop with it / fall to the model after the drop",
        Bound(high=HALF),
        lambda found, drop: _furthest(found, BEFORE, "attention"),
    ),
    "switching-no-group-in": Claim(
        "No single group of parameters of after the drop brings the completion.",
        "text, model switching",
        "largest fall of L_mask before the drop with one of them / fall to the model after the drop",
        Bound(high=HALF),
        lambda found, drop: _furthest(found, BEFORE, *SINGLE),
    ),
}
