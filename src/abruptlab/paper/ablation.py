"""Constant-attention ablation: which heads complete the matrix (the text's "uniform ablation")."""

from typing import TYPE_CHECKING

from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, later

if TYPE_CHECKING:
    from abruptlab.experiments.ablation import Ablation, SingleAblations

SINGLE = later("experiments.ablation", "measure_single_ablations")
ALL_BEFORE = later("experiments.ablation", "measure_ablation", step="before-drop")
ALL_AFTER = later("experiments.ablation", "measure_ablation", step="final")

RAISED = 2.0  # of the intact L_mask: a doubling is no fluctuation between heads
COPIED = 0.01  # of E[x²], as for the intact model: still a copy
RESTORED = 0.9  # of the plateau: the edge of its band, where the detector puts the onset of the drop
SAME = 0.05  # relative, as for the levels of the plateau

FIGURES: dict[str, FigureSpec] = {
    "ablation": FigureSpec(
        "Each head's attention replaced",
        "text, uniform ablation",
        "L_mask (above) and L_obs (below) with the attention of one head replaced by a constant map: uniform 1/(m·n), "
        "the head's mean map over the matrices, or zero, so that the head gives nothing. Bars: one standard error "
        "over matrices. Solid lines: the intact model; dashed: the plateau before the drop.",
        SINGLE,
        later("figures.ablation", "draw_single_ablations"),
    ),
    "ablation-sets": FigureSpec(
        "Sets of heads ablated",
        "text, uniform ablation",
        "Heads ablated one after another, chosen greedily. Left: each next head is the one that raises L_mask most, "
        "until it is back within 10 % of the plateau (dashed). Right: each next head is the one that raises L least, "
        "until L is more than 10 % (dashed) above the intact model's. Bars: one standard error over matrices, on the "
        "right of the paired difference.",
        later("experiments.ablation", "measure_greedy_ablation"),
        later("figures.ablation", "draw_greedy_ablation"),
    ),
}


def _harm(found: Findings) -> float:
    """The largest L_mask with one head's attention uniform, over the intact one."""
    check: SingleAblations = found.of(SINGLE)
    return float(check.ablated.loss_masked.mean[0].max() / check.intact.loss_masked.mean)


def _observed(found: Findings) -> float:
    """L_obs with that head's attention uniform, over E[x²]."""
    check: SingleAblations = found.of(SINGLE)
    worst = check.ablated.loss_masked.mean[0].argmax()
    return float(check.ablated.loss_observed.mean[0].flat[worst]) / found.run.config.matrices.copying_level


def _masked(ablation: "Ablation") -> float:
    return float(ablation.ablated.loss_masked.mean)


CLAIMS: dict[str, Claim] = {
    "ablation-raises": Claim(
        "After the drop, a single head without its attention pattern raises L_mask.",
        "text, uniform ablation",
        "largest L_mask with one head's attention uniform / intact",
        Bound(low=RAISED),
        lambda found, drop: _harm(found),
    ),
    "ablation-spares-copying": Claim(
        "Without the head that matters most for L_mask, L_obs stays small.",
        "text, uniform ablation",
        "L_obs with that head's attention uniform / E[x²]",
        Bound(high=COPIED),
        lambda found, drop: _observed(found),
    ),
    "ablation-restores": Claim(
        "After the drop, L_mask is back at the plateau with all attention uniform.",
        "text, uniform ablation",
        "L_mask with all heads' attention uniform / plateau",
        Bound(low=RESTORED),
        lambda found, drop: _masked(found.of(ALL_AFTER)) / drop.plateau,
    ),
    "ablation-before": Claim(
        "Before the drop, attention does not matter for hidden entries.",
        "text, uniform ablation",
        "L_mask before the drop with all heads' attention uniform / intact",
        Bound(1 - SAME, 1 + SAME),
        lambda found, drop: _masked(found.of(ALL_BEFORE)) / float(found.of(ALL_BEFORE).intact.loss_masked.mean),
    ),
}
