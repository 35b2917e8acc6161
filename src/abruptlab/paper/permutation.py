"""Positional permutation (in the paper's text)."""

from abruptlab.experiments.permutation import measure_permutation, measure_relabelled
from abruptlab.figures.permutation import draw_permutation
from abruptlab.paper.claim import TRAINED, UNTRAINED, Bound, Claim, Number, inside, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import COPIED, SAME, zero_level

BEFORE, AFTER = 0, -1  # of the checkpoints, which may be one

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


def _left(findings: Findings, *kinds: str) -> Number:
    """How much of the completion after the drop is left under the kind that hurts least; none if there was hardly
    any."""
    result = findings.of(measure_permutation)
    intact = float(result.intact_slope[AFTER])
    if intact < COMPLETES:
        return None
    return float(max(result.slope[AFTER, result.kinds.index(kind)] for kind in kinds)) / intact


def _observed(findings: Findings) -> Number:
    """L_obs under random permutations, over E[x²]; none if there was no completion to be taken away."""
    result = findings.of(measure_permutation)
    if result.intact_slope[AFTER] < COMPLETES:
        return None
    return float(result.mean["loss_observed"].mean[AFTER, result.kinds.index("random")]) / result.zero_level


def _observed_relabelled(findings: Findings) -> Number:
    """The same with the embeddings of the tokens shuffled in place of those of the positions."""
    relabelled = findings.of(measure_relabelled)
    return float(relabelled["loss_observed"].mean) / zero_level(findings)


def _moved_before(findings: Findings) -> Number:
    """How far random permutations move L_mask or L_obs of the model of mid-plateau, the larger change, over E[x²]; none
    unless that model copies, or an untrained one would seem to stand on a plateau."""
    result, intact = findings.of(measure_permutation), findings.of(measure_permutation).intact
    if intact["loss_observed"].mean[BEFORE] > COPIED * result.zero_level:
        return None
    place = BEFORE, result.kinds.index("random")
    masked = result.mean["loss_masked"].mean[place] - intact["loss_masked"].mean[BEFORE]
    observed = result.mean["loss_observed"].mean[place] - intact["loss_observed"].mean[BEFORE]
    return float(max(abs(masked), abs(observed))) / result.zero_level


CONTROL = null("whole rows and columns", lambda findings: _left(findings, "keep-rows-and-columns"))

CLAIMS: dict[str, Claim] = {
    "permutation-completion": inside(
        "Without the right positions, nothing is completed.",
        "text",
        "slope of predictions on true values at hidden places, under random permutations / intact",
        Bound(-LEFT, LEFT),
        lambda findings: _left(findings, "random"),
        CONTROL,
        figures=("permutation",),
    ),
    "permutation-rows-and-columns": inside(
        "To complete, the model needs both rows and columns.",
        "ours",
        "the same, the larger of row- and column-preserving permutations",
        Bound(-LEFT, LEFT),
        lambda findings: _left(findings, "keep-rows", "keep-columns"),
        CONTROL,
        figures=("permutation",),
    ),
    "permutation-copying": inside(
        "To copy, it needs no positions.",
        "text",
        "L_obs after the drop under random permutations / E[x²]; judged where hidden entries are completed",
        Bound(high=COPIED),
        _observed,
        null("token embeddings shuffled", _observed_relabelled),
        figures=("permutation",),
    ),
    "permutation-before": Claim(
        "Before the drop, positions hardly matter.",
        "text",
        "change of L_mask or L_obs of mid-plateau (the larger) under random permutations / E[x²]; judged where the "
        "model copies",
        Bound(high=SAME),
        _moved_before,
        (UNTRAINED, TRAINED),
        figures=("permutation",),
    ),
}
