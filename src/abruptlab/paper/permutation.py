"""Positional permutation (in the paper's text)."""

from abruptlab.experiments.ablation import plateau
from abruptlab.experiments.permutation import measure_permutation
from abruptlab.figures.permutation import draw_permutation
from abruptlab.paper.claim import INSIDE, TRAINED, UNTRAINED, Bound, Claim, Number, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import COPIED, SAME, plateau_level

BEFORE, AFTER = 0, 1

FIGURES: Figures = {
    "permutation": FigureSpec(
        "Shuffled positional embeddings",
        "text, positional permutation",
        "L_mask and L_obs before and after the drop with the positional embeddings shuffled: whole rows and whole "
        "columns, the places within each row, those within each column, or all. Each faint dot is one permutation, "
        "each strong one their mean (± one standard error over permutations); the lines are the intact model (± one "
        "standard error over matrices, as a band) and the L_mask of predicting zero (dashed). Whole rows and columns "
        "are a control: as they are exchangeable in the task, that shuffle changes no model's expected losses.",
        measure_permutation,
        draw_permutation,
    ),
}

LEFT = 0.1  # of the completion: a tenth, as the size up to which a prediction counts as zero
COMPLETES = 0.5  # slope of predictions on true values: more than half of an entry is predicted


def _left(found: Findings, *kinds: str) -> Number:
    """How much of the completion after the drop is left under the kind that hurts least; none if there was hardly
    any."""
    result = found.of(measure_permutation)
    intact = float(result.intact_slope[AFTER])
    if intact < COMPLETES:
        return None
    return float(max(result.slope[AFTER, result.kinds.index(kind)] for kind in kinds)) / intact


def _observed(found: Findings) -> Number:
    """L_obs under random permutations, over E[x²]; none if there was no completion to be taken away."""
    result = found.of(measure_permutation)
    if result.intact_slope[AFTER] < COMPLETES:
        return None
    return float(result.mean.loss_observed.mean[AFTER, result.kinds.index("random")]) / result.zero_level


def _moved_before(found: Findings) -> float:
    """How far random permutations take the model of mid-plateau from the plateau of the training: L_mask or L_obs, the
    larger change, over E[x²]."""
    result = found.of(measure_permutation)
    observed = plateau_level(found, "loss_observed") if len(found.run.metrics["step"]) else 0.0
    at = BEFORE, result.kinds.index("random")
    masked = abs(result.mean.loss_masked.mean[at] - plateau(found.run))
    return float(max(masked, abs(result.mean.loss_observed.mean[at] - observed))) / result.zero_level


CONTROL = null("whole rows and columns", lambda found: _left(found, "keep-rows-and-columns"))

CLAIMS: dict[str, Claim] = {
    "permutation-completion": Claim(
        "Without the right positions, nothing is completed.",
        "text",
        "slope of predictions on true values at hidden places, under random permutations / intact",
        Bound(-LEFT, LEFT),
        lambda found: _left(found, "random"),
        (*INSIDE, CONTROL),
        figures=("permutation",),
        final=True,
    ),
    "permutation-rows-and-columns": Claim(
        "To complete, the model needs both rows and columns.",
        "ours",
        "the same, the larger of row- and column-preserving permutations",
        Bound(-LEFT, LEFT),
        lambda found: _left(found, "keep-rows", "keep-columns"),
        (*INSIDE, CONTROL),
        figures=("permutation",),
        final=True,
    ),
    "permutation-copying": Claim(
        "To copy, it needs no positions.",
        "text",
        "L_obs after the drop under random permutations / E[x²]; judged where hidden entries are completed",
        Bound(high=COPIED),
        _observed,
        INSIDE,
        figures=("permutation",),
        final=True,
    ),
    "permutation-before": Claim(
        "Before the drop, positions hardly matter.",
        "text",
        "L_mask or L_obs of mid-plateau under random permutations, its distance to the plateau's (the larger) / E[x²]",
        Bound(high=SAME),
        _moved_before,
        (UNTRAINED, TRAINED),
        figures=("permutation",),
    ),
}
