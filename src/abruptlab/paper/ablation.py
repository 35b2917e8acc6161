"""Constant-attention ablation: which heads complete the matrix (the text's "uniform ablation")."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jaxtyping import Float

from abruptlab.errors import RunError
from abruptlab.experiments.ablation import (
    REPLACEMENTS,
    measure_ablation,
    measure_greedy_ablation,
    measure_other_damage,
    measure_single_ablations,
    plateau_level,
)
from abruptlab.experiments.ablation_groups import GROUPS, REPLACEMENTS as ABLATED, measure_group_ablation
from abruptlab.experiments.estimate import Losses
from abruptlab.figures.ablation import draw_greedy_ablation, draw_group_ablation, draw_single_ablations
from abruptlab.paper.claim import TRAINED, UNTRAINED, Bound, Claim, Number, inside, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import COPIED, SAME, zero_level

ALL_BEFORE = partial(measure_ablation, step="before-drop")
ALL_AFTER = partial(measure_ablation, step="final")

FIGURES: Figures = {
    "ablation": FigureSpec(
        "Each head's attention replaced",
        "text, uniform ablation",
        "L_mask (above) and L_obs (below) with the attention of one head replaced by a constant map: uniform 1/(m·n), "
        "the head's mean map over the matrices, or zero, so that the head gives nothing. Bars: one standard error "
        "over matrices. Solid lines: the intact model; dashed: the plateau before the drop.",
        measure_single_ablations,
        draw_single_ablations,
    ),
    "ablation-sets": FigureSpec(
        "Sets of heads ablated",
        "text, uniform ablation",
        "Heads ablated one after another, chosen greedily. Left: each next head is the one that raises L_mask most, "
        "until it is back within 10 % of the plateau (dashed). Right: each next head is the one that raises L least, "
        "until L is more than 10 % (dashed) above the intact model's. Bars: one standard error over matrices, on the "
        "right of the paired difference.",
        measure_greedy_ablation,
        draw_greedy_ablation,
    ),
    "ablation-groups": FigureSpec(
        "Groups of heads ablated",
        "public code, ablation",
        "L_mask and L_obs with all row heads, all column heads, and all heads of both kinds replaced by uniform maps "
        "or by their mean maps over the matrices, as figure 4 labels them; small dots: as many other heads, drawn at "
        "random, where there are as many, and L_mask. Bars: one standard error over matrices. Solid lines: the intact "
        "model; dashed: the plateau before the drop.",
        measure_group_ablation,
        draw_group_ablation,
    ),
}

CLEARLY = 3.0  # spreads over draws of other heads
RAISED = 2.0  # of the intact L_mask: a doubling is no fluctuation between heads
RESTORED = (0.9, 1.1)  # of the way back to the plateau: the width of its band
UNIFORM, MEAN = (REPLACEMENTS.index(name) for name in ("uniform", "mean"))


def _masked(findings: Findings, replacement: int) -> Float[np.ndarray, "layer head"]:
    """L_mask with each single head replaced / intact."""
    check = findings.of(measure_single_ablations)
    return check.ablated["loss_masked"].mean[replacement] / check.intact["loss_masked"].mean


def _of_worst(number: Callable[[Findings, tuple[int, int]], float]) -> Callable[[Findings], Number]:
    """A number of the layer and the head whose uniform attention raises L_mask most; none if no head matters."""

    def of_worst(findings: Findings) -> Number:
        harm = _masked(findings, UNIFORM)
        layer, head = np.unravel_index(harm.argmax(), harm.shape)
        return number(findings, (int(layer), int(head))) if harm.max() >= RAISED else None

    return of_worst


@_of_worst
def _observed(findings: Findings, worst: tuple[int, int]) -> float:
    """L_obs with the attention of the most important head uniform, over E[x²]."""
    check = findings.of(measure_single_ablations)
    return float(check.ablated["loss_observed"].mean[UNIFORM][worst]) / zero_level(findings)


@_of_worst
def _observed_without_mlp(findings: Findings, worst: tuple[int, int]) -> float:
    """The same without the MLP of that head's layer, through which the copying goes."""
    damaged = findings.of(_other_damage(worst))["no MLP"]
    return float(damaged["loss_observed"].mean) / zero_level(findings)


@_of_worst
def _by_its_own_mean(findings: Findings, worst: tuple[int, int]) -> float:
    """What the head that matters most loses by its own mean map, of what it loses by a uniform one."""
    uniform, mean = (_masked(findings, replacement)[worst] for replacement in (UNIFORM, MEAN))
    return float((mean - 1) / (uniform - 1))


@_of_worst
def _by_the_next_map(findings: Findings, worst: tuple[int, int]) -> float:
    """The same by the map of the layer's next head."""
    damage = findings.of(_other_damage(worst))
    raised = float(damage["next map"]["loss_masked"].mean / damage["intact"]["loss_masked"].mean)
    return float((raised - 1) / (_masked(findings, UNIFORM)[worst] - 1))


def _other_damage(head: tuple[int, int]) -> "partial[dict[str, Losses]]":
    return partial(measure_other_damage, head=head)


def _restored(findings: Findings) -> float:
    """How far all heads' attention uniform takes L_mask back to the plateau: 0 not at all, 1 exactly there."""
    ablation, level = findings.of(ALL_AFTER), plateau_level(findings.run)
    intact = float(ablation.intact["loss_masked"].mean)
    return (float(ablation.ablated["loss_masked"].mean) - intact) / (level - intact)


def _moved_before(findings: Findings) -> Number:
    """How far all attention uniform moves L_mask or L_obs of the model of mid-plateau, the larger change, over E[x²];
    none unless that model copies, or an untrained one would seem to stand on a plateau."""
    ablation, level = findings.of(ALL_BEFORE), zero_level(findings)
    if ablation.intact["loss_observed"].mean > COPIED * level:
        return None
    changes = (ablation.difference["loss_masked"], ablation.difference["loss_observed"])
    return max(abs(float(each.mean)) for each in changes) / level


def _group(group: str, replacement: str, typical: bool = False) -> Callable[[Findings], Number]:
    """How far L_mask with a group ablated, or with the `typical` (median) draw of as many other heads, lies above that
    with all draws of them, in spreads of log L_mask over these. Raises `RunError` without such a group, or without more
    heads that are not in it."""

    def above_others(findings: Findings) -> Number:
        result = findings.of(measure_group_ablation)
        place = ABLATED.index(replacement), result.groups.index(group)
        heads = result.heads[place[1]]
        if not 0 < heads.sum() < (~heads).sum():
            raise RunError(f"expected {group}, and more heads beside them, got {heads.sum()} and {(~heads).sum()}")
        others, chosen = np.log(result.random_masked[place]), np.log(result.ablated["loss_masked"].mean[place])
        return float(((np.median(others) if typical else chosen) - others.mean()) / others.std(ddof=1))

    return above_others


def _of_group(group: str, replacement: str) -> Claim:
    how = {"uniform": "uniform", "mean": "that of its mean map over the matrices"}[replacement]
    return inside(
        f"Without the patterns of all {group} ({replacement} maps), L_mask rises more than without as many others.",
        "code",
        f"log L_mask with the attention of all {group} {how} − mean of that with as many other heads, in spreads of "
        f"the latter over draws",
        Bound(low=CLEARLY),
        _group(group, replacement),
        null("other heads", _group(group, replacement, typical=True)),
        figures=("ablation-groups",),
    )


CLAIMS: dict[str, Claim] = {
    "ablation-raises": inside(
        "After the drop, a single head without its attention pattern (uniform map) raises L_mask.",
        "text",
        "largest L_mask with one head's attention uniform / intact",
        Bound(low=RAISED),
        lambda findings: float(_masked(findings, UNIFORM).max()),
        null("the median head", lambda findings: float(np.median(_masked(findings, UNIFORM)))),
        figures=("ablation",),
    ),
    "ablation-raises-by-mean": inside(
        "After the drop, a single head with its own mean map raises L_mask.",
        "code",
        "largest L_mask with one head's attention its mean map over the matrices / intact",
        Bound(low=RAISED),
        lambda findings: float(_masked(findings, MEAN).max()),
        null("the median head", lambda findings: float(np.median(_masked(findings, MEAN)))),
        figures=("ablation",),
    ),
    "ablation-by-position": inside(
        "The head that matters most looks at places, whatever stands there: its own mean map does for its attention.",
        "ours",
        "rise of L_mask with that head's mean map / with a uniform one",
        Bound(high=0.1),
        _by_its_own_mean,
        null("the next head's map", _by_the_next_map),
        figures=("ablation",),
    ),
    "ablation-spares-copying": inside(
        "Without the head that matters most for L_mask, L_obs stays small.",
        "text",
        f"L_obs with that head's attention uniform / E[x²]; judged where a head raises L_mask {RAISED:g}-fold",
        Bound(high=COPIED),
        _observed,
        null("without its layer's MLP", _observed_without_mlp),
        figures=("ablation",),
    ),
    **{
        f"ablation-of-{group.replace(' ', '-')}-{replacement}": _of_group(group, replacement)
        for group in GROUPS
        for replacement in ABLATED
    },
    "ablation-restores": inside(
        "After the drop, L_mask is back at the plateau, and not elsewhere, with all attention uniform.",
        "text",
        "rise of L_mask with all heads' attention uniform / rise to the plateau",
        Bound(*RESTORED),
        _restored,
        figures=("ablation-sets",),
    ),
    "ablation-before": Claim(
        "Before the drop, attention does not matter.",
        "text",
        "change of L_mask or L_obs of mid-plateau (the larger) with all heads' attention uniform / E[x²]; judged where "
        "the model copies",
        Bound(high=SAME),
        _moved_before,
        (UNTRAINED, TRAINED),
        figures=("ablation",),
    ),
}
