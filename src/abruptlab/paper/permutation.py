"""Positional permutation (in the paper's text)."""

from typing import TYPE_CHECKING

import numpy as np

from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, later
from abruptlab.paper.training import COPIED, SAME

if TYPE_CHECKING:
    from abruptlab.experiments.permutation import Permutation

PERMUTATION = later("experiments.permutation", "measure_permutation")
BEFORE, AFTER = 0, 1
LOST = 0.9  # of E[x²]: predicting zero, or worse, up to the noise of a few hundred matrices

FIGURES: dict[str, FigureSpec] = {
    "permutation": FigureSpec(
        "Shuffled positional embeddings",
        "text, positional permutation",
        "L_mask and L_obs before and after the drop with the positional embeddings shuffled: whole rows and whole "
        "columns, the places within each row, those within each column, or all. Each faint dot is one permutation, "
        "each strong one their mean (± one standard error over permutations); the lines are the intact model (± one "
        "standard error over matrices, as a band) and the L_mask of predicting zero (dashed). Whole rows and columns "
        "are a control: as they are exchangeable in the task, that shuffle changes no model's expected losses.",
        PERMUTATION,
        later("figures.permutation", "draw_permutation"),
    ),
}


def _smallest_masked(found: Findings, *kinds: str) -> float:
    """L_mask after the drop under the kind that hurts least, over E[x²]."""
    result: Permutation = found.of(PERMUTATION)
    masked = result.mean.loss_masked.mean[AFTER]
    return float(min(masked[result.kinds.index(kind)] for kind in kinds)) / result.zero_level


def _random_observed(found: Findings) -> float:
    result: Permutation = found.of(PERMUTATION)
    return float(result.mean.loss_observed.mean[AFTER, result.kinds.index("random")]) / result.zero_level


def _change_before(found: Findings) -> float:
    """The larger change of L_obs and L_mask under random permutations, over E[x²]."""
    result: Permutation = found.of(PERMUTATION)
    changes = [
        abs(shuffled.mean[BEFORE, result.kinds.index("random")] - intact.mean[BEFORE])
        for shuffled, intact in (
            (result.mean.loss_observed, result.intact.loss_observed),
            (result.mean.loss_masked, result.intact.loss_masked),
        )
    ]
    return float(np.max(changes)) / result.zero_level


CLAIMS: dict[str, Claim] = {
    "permutation-completion": Claim(
        "Without the right positions, nothing is completed.",
        "text, positional permutation",
        "L_mask after the drop under random permutations / E[x²]",
        Bound(low=LOST),
        lambda found, drop: _smallest_masked(found, "random"),
    ),
    "permutation-rows-and-columns": Claim(
        "To complete, the model needs both rows and columns.",
        "text, positional permutation",
        "L_mask after the drop / E[x²], the smaller of row- and column-preserving permutations",
        Bound(low=LOST),
        lambda found, drop: _smallest_masked(found, "keep-rows", "keep-columns"),
    ),
    "permutation-copying": Claim(
        "To copy, it needs no positions.",
        "text, positional permutation",
        "L_obs after the drop under random permutations / E[x²]",
        Bound(high=COPIED),
        lambda found, drop: _random_observed(found),
    ),
    "permutation-before": Claim(
        "Before the drop, positions hardly matter.",
        "text, positional permutation",
        "change of L_obs or L_mask, the larger, before the drop under random permutations / E[x²]",
        Bound(high=SAME),
        lambda found, drop: _change_before(found),
    ),
}
