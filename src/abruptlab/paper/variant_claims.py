"""What changes the drop (figures 13 to 18 and beyond): the claims on the sweep of variants.

The bounds were fixed when five short trials alone had been seen, none of them of the sweep: 4×4 at width 32 and rate
3e-3, with 4 layers (seed 0: onset 3,565, L_mask 0.032 at step 6,000; seed 1: 0.047 at 4,861), with 3 layers (onset
3,418, 0.038 at 6,000) and with 2 (falling from 5,300); and width 64 with 16 heads at rate 2e-3 (onset 2,671, 0.023 at
6,000).
"""

import math
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from abruptlab.errors import RunError
from abruptlab.experiments.limits import AtLeast
from abruptlab.experiments.mixture import measure_mixture
from abruptlab.experiments.variants import Variants
from abruptlab.paper.claim import Bound, Claim, Null, OverSeeds, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.over_seeds import Measured, another_seed, ratio, typical
from abruptlab.paper.variants import FIGURES, SWEEP

FAR_WORSE = 2.0  # a doubling: no fluctuation between seeds
WORSE = 1.5  # half as much again
EARLIER = 0.6  # of the steps: three times, in logarithms, what two seeds of one variant typically differ by (0.85)
LITTLE = (0.8, 1.25)  # a fifth
ORDERED = -0.9  # rank correlation: of up to four depths, all in order
ALL = 1.0  # of the sizes
LAST = -1  # place in a family
GAUSSIAN = 0.02  # twice the paper's 5.6e-3 over p_mask E[x²] = 0.6


def by_seed(variants: Variants, quantity: str, row: int) -> dict[int, float]:
    """A quantity of a variant by the seed of its finished runs; a step that did not come is at least the last one.

    Raises `RunError` for a place in the family that nothing stands at.
    """
    if row >= len(variants.labels):
        raise RunError(f"expected more than {row} variants in the family, got {', '.join(variants.labels)}")
    values = getattr(variants, quantity).each[row]
    last = float(variants.step[row, -1])
    known = np.isfinite(variants.seed[row])
    return {
        int(seed): AtLeast(last) if value > last else float(value)
        for seed, value in zip(variants.seed[row][known], values[known], strict=True)
    }


def place(measured: Callable[..., Variants], quantity: str, row: int) -> Measured:
    """A quantity of the variant at some place of a family."""

    def of_place(findings: Findings) -> OverSeeds:
        variants = findings.of(measured)
        return OverSeeds(by_seed(variants, quantity, row), int(variants.planned[row]))

    return of_place


def _compared(figure: str, quantity: str, over: int, under: int) -> tuple[Measured, tuple[Null, ...], tuple[str, ...]]:
    """Of each seed, the ratio of a quantity of the variants at two places of a figure's family; the null, two seeds of
    one of them; and the figure."""
    two = [place(FIGURES[figure].measure, quantity, row) for row in (over, under)]
    return ratio(*two), (another_seed(*two),), (figure,)


def _falls_with_depth(findings: Findings) -> OverSeeds:
    variants: Variants = findings.of(FIGURES["14"].measure)
    each = [by_seed(variants, "final_loss", row) for row in range(len(variants.labels))]
    seeds = sorted(set.intersection(*map(set, each)))
    depths = range(len(each))
    ranks = {seed: np.argsort(np.argsort([values[seed] for values in each])) for seed in seeds}
    return OverSeeds(
        {seed: float(np.corrcoef(depths, rank)[0, 1]) for seed, rank in ranks.items()}, int(variants.planned.max())
    )


def _dropped(variants: Variants, *rows: int) -> OverSeeds:
    """Of each seed, the share of these variants (none: of all) that drop."""
    rows = rows or tuple(range(len(variants.labels)))
    onsets = [zip(variants.seed[row], variants.onset.each[row], strict=True) for row in rows]
    with_drop = [{int(seed): float(np.isfinite(onset)) for seed, onset in each if np.isfinite(seed)} for each in onsets]
    seeds = set.intersection(*map(set, with_drop))
    shares = {seed: float(np.mean([each[seed] for each in with_drop])) for seed in sorted(seeds)}
    return OverSeeds(shares, int(variants.planned[list(rows)].max()))


def _same_order(findings: Findings) -> OverSeeds:
    """Of each seed, 1 if its sizes drop in an order that none is commoner than among the others, which says nothing
    where no other seed has a whole one; a size without a drop is no order."""
    mixture = findings.of(measure_mixture)
    whole = {
        int(seed): tuple(order) if np.isfinite(order).all() else None
        for seed, order in zip(mixture.sizes.seed[0], mixture.order, strict=False)
    }
    numbers = {}
    for seed, order in whole.items():
        others = Counter(other for its, other in whole.items() if other and its != seed)
        if order is None or others:
            numbers[seed] = float(order is not None and others[order] == max(others.values()))
    return OverSeeds(numbers, int(mixture.sizes.planned[0]))


def _gaussian(findings: Findings) -> tuple[Variants, int]:
    variants: Variants = findings.of(FIGURES["18"].measure)
    if "Gaussian" not in variants.labels:
        raise RunError(f"expected Gaussian among the factors, got {', '.join(variants.labels)}")
    return variants, int(np.flatnonzero(variants.labels == "Gaussian")[0])


def _gaussian_final(findings: Findings) -> OverSeeds:
    variants, row = _gaussian(findings)
    levels = by_seed(variants, "final_loss", row)
    return OverSeeds(
        {seed: value / variants.loss_of_zero[row] for seed, value in levels.items()}, int(variants.planned[row])
    )


NO_DROP = null("no drop", lambda findings: 0.0)
ZERO = null("predicting zero", lambda findings: 1.0)

_claim = partial(Claim, sweep=SWEEP)

CLAIMS: dict[str, Claim] = {
    "width-too-small": _claim(
        "The smallest width is too small.",
        "caption",
        "final L_mask at the smallest width / at the largest",
        Bound(low=FAR_WORSE),
        *_compared("13", "final_falling", 0, LAST),
    ),
    "width-suboptimal": _claim(
        "The next width is suboptimal.",
        "caption",
        "final L_mask at the second width / at the largest",
        Bound(low=WORSE),
        *_compared("13", "final_falling", 1, LAST),
    ),
    "depth-earlier": _claim(
        "More layers drop earlier.",
        "caption",
        "onset (the last step if there is none) at the second depth / at the smallest",
        Bound(high=EARLIER),
        *_compared("14", "onset", 1, 0),
    ),
    "depth-little": _claim(
        "Even deeper changes little.",
        "caption",
        "onset (the last step if there is none) at the largest depth / at the second",
        Bound(*LITTLE),
        _compared("14", "onset", LAST, 1)[0],
        (null("from the smallest width to the largest", typical(_compared("13", "onset", LAST, 0)[0])),),
        figures=("14",),
    ),
    "depth-final": _claim(
        "The final MSE falls with depth.",
        "caption",
        "rank correlation of final L with depth (−1: it falls at every step)",
        Bound(high=ORDERED),
        _falls_with_depth,
        (null("shuffled depths", lambda findings: 0.0),),
        figures=("14",),
    ),
    "sizes-drop": _claim(
        "The drop is there at other sizes and ranks.",
        "caption",
        "share of the sizes and ranks with a drop",
        Bound(low=ALL),
        lambda findings: _dropped(findings.of(FIGURES["15"].measure)),
        (NO_DROP,),
        figures=("15", "17"),
    ),
    "mixture-drops": _claim(
        "One model learns matrices of several sizes.",
        "caption",
        "share of the sizes with a drop",
        Bound(low=ALL),
        lambda findings: _dropped(findings.of(measure_mixture).sizes),
        (NO_DROP,),
        figures=("16",),
    ),
    "mixture-order": _claim(
        "The sizes are learnt in an order, the same at every seed.",
        "caption",
        "1 if every size drops, and in the order that is commonest among the other seeds",
        Bound(low=ALL),
        _same_order,
        (null("a random order", lambda findings: 1 / math.factorial(len(findings.of(measure_mixture).sizes.labels))),),
        figures=("16",),
    ),
    "gaussian-drops": _claim(
        "The drop occurs with Gaussian factors.",
        "caption",
        "1 if there is a drop",
        Bound(low=ALL),
        lambda findings: _dropped(*_gaussian(findings)),
        (NO_DROP,),
        figures=("18",),
    ),
    "gaussian-final": _claim(
        "With Gaussian factors, the final MSE is far below that of predicting zero.",
        "caption",
        "final L / (p_mask E[x²])",
        Bound(high=GAUSSIAN),
        _gaussian_final,
        (ZERO,),
        figures=("18",),
    ),
    "coherence-weakens": _claim(
        "Masks that hide the entries of highest coherence weaken the drop, or remove it.",
        "ours",
        "final L_mask over that of predicting zero, with all hidden entries chosen so / with random masks",
        Bound(low=WORSE),
        *_compared("mask", "final_over_level", LAST, 0),
    ),
    "optimiser-shortens": _claim(
        "Muon shortens the plateau (here at Adam's rate; the follow-up gives it a rate of its own).",
        "follow-up",
        "onset with Muon (the last step if there is none) / with Adam",
        Bound(high=EARLIER),
        *_compared("optimiser", "onset", LAST, 0),
    ),
    "warm-up-changes": _claim(
        "Warm-up lengthens the plateau.",
        "follow-up",
        "onset with warm-up (the last step if there is none) / without",
        Bound(low=1 / EARLIER),
        *_compared("warm-up", "onset", LAST, 0),
    ),
}
