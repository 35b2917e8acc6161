"""What changes the drop (figures 13 to 18 and beyond): the sweep of variants.

The bounds were fixed when five short trials alone had been seen, none of them of the sweep: 4×4 at width 32 and rate
3e-3, with 4 layers (seed 0: onset 3,565, L_mask 0.032 at step 6,000; seed 1: 0.047 at 4,861), with 3 layers (onset
3,418, 0.038 at 6,000) and with 2 (falling from 5,300); and width 64 with 16 heads at rate 2e-3 (onset 2,671, 0.023 at
6,000).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from abruptlab.figures.table import Table
from abruptlab.paper.registry import (
    ANY_SWEEP,
    Bound,
    FigureSpec,
    Findings,
    Later,
    Number,
    SweepClaim,
    TableSpec,
    later,
)

if TYPE_CHECKING:
    from abruptlab.experiments.mixture import Mixture
    from abruptlab.experiments.variants import OverSeeds, Variants

SWEEP = "variants"
MIXTURE = later("experiments.mixture", "measure_mixture")

FAR_WORSE = 2.0  # a doubling: no fluctuation between seeds
WORSE = 1.5  # half as much again
EARLIER = 0.9  # of the steps: the difference is more than the edge of a plateau's band
LITTLE = (0.8, 1.25)  # a fifth
FALLS = 0.95  # beyond the noise of a median over the last steps
MOST = 0.5  # of the runs
LAST = -1  # place in a family
GAUSSIAN = 0.02  # twice the paper's 5.6e-3 over p_mask E[x²] = 0.6


def measure(family: str) -> Later:
    """The measurement of a family of variants."""
    return later("experiments.variants", "measure_variants", family=family)


DRAW = later("figures.variants", "draw_variants")
READING = (
    "Left: L_mask (running mean) over that of predicting zero (dashed); thin each seed, bold their median. Right, for "
    "each variant: the step at which the drop begins (the last step without one), and the final level of that ratio; "
    "dots are seeds, open ones without a drop, the tick is their median and the bar reaches from the smallest to the "
    "largest."
)


def _figure(title: str, place: str, family: str, what: str) -> FigureSpec:
    return FigureSpec(title, place, f"{what} {READING}", measure(family), DRAW, sweep=SWEEP)


SIZES = _figure(
    "Other sizes",
    "figures 15 and 17, which the sources at hand do not describe, but for other sizes being among them",
    "size",
    "The drop at other sizes.",
)

FIGURES: dict[str, FigureSpec] = {
    "13": _figure("Width", "figure 13", "width", "Models of different widths, the MLP four times as wide."),
    "14": _figure("Depth", "figure 14", "depth", "Models with different numbers of layers."),
    "15": SIZES,
    "16": FigureSpec(
        "A mixture of sizes",
        "figure 16",
        "One model trained on matrices of several sizes, each step one of them at random. Above: test MSE (L) of each "
        "size and L_mask, over the steps; dashed: copying and predicting zero; thin each seed, bold their median. "
        "Below: onset and final L_mask as in figure 13.",
        MIXTURE,
        later("figures.variants", "draw_mixture"),
        sweep=SWEEP,
    ),
    "17": SIZES,
    "18": _figure("Other factors", "figure 18", "factors", "Entries of U and V uniform, Gaussian or Laplace."),
    "mask": _figure(
        "Coherence-biased masks",
        "beside the paper",
        "mask",
        "Masks that hide entries of high local coherence first: a share τ of the hidden ones.",
    ),
    "rate": _figure("Learning rate", "beside the paper", "rate", "Learning rates."),
    "batch": _figure("Batch size", "beside the paper", "batch", "Matrices a step."),
    "optimiser": _figure("Optimiser", "follow-up paper", "optimiser", "Optimisers."),
    "warm-up": _figure("Warm-up", "follow-up paper", "warm-up", "The learning rate from the start or warmed up."),
    "initial-scale": _figure(
        "Initial scale", "beside the paper", "initial scale", "Initial weights of different sizes."
    ),
    "mask-embedding": _figure(
        "MASK trained", "beside the paper", "MASK", "MASK's embedding at zero, as in the paper, or trained."
    ),
    "positions": _figure(
        "Structured positions",
        "beside the paper",
        "positions",
        "An embedding for every place, as in the paper, or the sum of one for its row and one for its column.",
    ),
    "sweep": FigureSpec(
        "The runs of a sweep",
        "any sweep whose variants are in no family",
        READING,
        measure(""),
        DRAW,
        sweep=ANY_SWEEP,
    ),
}


COLUMNS = {
    "onset": "onset",
    "width": "width",
    "depth": "depth",
    "final_loss": "L",
    "final_observed": "L_obs",
    "final_masked": "L_mask",
    "final_over_level": "L_mask / that of predicting zero",
}


def tabulate_families(families: "dict[str, Variants]") -> Table:
    """The numbers of every variant over its seeds, by family."""
    rows = [
        (
            family,
            str(found.labels[row]),
            f"{found.finished[row]} of {found.planned[row]}",
            int(found.dropped[row]),
            *(_interval(getattr(found, name), row) for name in COLUMNS),
        )
        for family, found in families.items()
        for row in range(len(found.labels))
    ]
    return Table(("family", "variant", "seeds", "with a drop", *COLUMNS.values()), tuple(rows))


def _interval(numbers: "OverSeeds", row: int) -> str:
    low, median, high = (
        "–" if np.isnan(value) else "none" if np.isinf(value) else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
        for value in (numbers.low[row], numbers.median[row], numbers.high[row])
    )
    return median if low == high else f"{median} ({low} to {high})"


TABLES: dict[str, TableSpec] = {
    "variants": TableSpec(
        "Every variant over its seeds",
        "figures 13 to 18 and beyond",
        "Medians over the seeds, and in brackets the smallest and the largest.",
        later("experiments.variants", "measure_families"),
        later("paper.variants", "tabulate_families"),
        sweep=ANY_SWEEP,
    ),
}


def _number(found: "Variants", value: float, *rows: int) -> Number:
    """A number into which these rows enter."""
    return Number(value, *(int(counts[list(rows)].min()) for counts in (found.finished, found.planned)))


def _ratio(family: str, quantity: str, over: int, under: int) -> Callable[[Findings], Number]:
    """The median of a quantity of the variant at a place of its family, over that of another one.

    A step that did not come is the last one.
    """

    def ratio(found: Findings) -> Number:
        variants: Variants = found.of(measure(family))
        medians = np.minimum(getattr(variants, quantity).median, np.nanmax(variants.step))
        return _number(variants, float(medians[over] / medians[under]), over, under)

    return ratio


def _apart(family: str) -> Callable[[Findings], Number]:
    """The later of the median onsets of the first and the last variant, over the earlier one."""
    forwards = _ratio(family, "onset", LAST, 0)

    def apart(found: Findings) -> Number:
        number = forwards(found)
        return Number(max(number.value, 1 / number.value), number.finished, number.planned)

    return apart


def _share_with_drop(variants: "Variants", rows: list[int]) -> Number:
    """The share of the finished runs with a drop, of the variant with the smallest."""
    with np.errstate(invalid="ignore"):
        shares = variants.dropped[rows] / variants.finished[rows]
    return _number(variants, float(shares.min()), *rows)


def _sizes_drop(found: Findings) -> Number:
    variants: Variants = found.of(measure("size"))
    return _share_with_drop(variants, [*range(len(variants.labels))])


def _mixture_drops(found: Findings) -> Number:
    mixture: Mixture = found.of(MIXTURE)
    all_drop = np.isfinite(mixture.order).all(1)
    return _number(mixture.sizes, float(all_drop.mean()), 0)


def _same_order(found: Findings) -> Number:
    """The share of the runs that learn the sizes in the commonest order; a size without a drop is no order."""
    mixture: Mixture = found.of(MIXTURE)
    whole = mixture.order[np.isfinite(mixture.order).all(1)]
    commonest = np.unique(whole, axis=0, return_counts=True)[1].max(initial=0)
    return _number(mixture.sizes, float(commonest / len(mixture.order)), 0)


def _factors(found: Findings, label: str) -> tuple["Variants", int]:
    variants: Variants = found.of(measure("factors"))
    return variants, int(np.flatnonzero(variants.labels == label)[0])


def _gaussian_drops(found: Findings) -> Number:
    variants, row = _factors(found, "Gaussian")
    return _share_with_drop(variants, [row])


def _gaussian_final(found: Findings) -> Number:
    variants, row = _factors(found, "Gaussian")
    return _number(variants, float(variants.final_loss.median[row] / variants.loss_of_zero[row]), row)


CLAIMS: dict[str, SweepClaim] = {
    "width-too-small": SweepClaim(
        "The smallest width is too small.",
        "figure 13",
        "final L_mask at the smallest width / at the largest",
        Bound(low=FAR_WORSE),
        _ratio("width", "final_masked", 0, LAST),
        SWEEP,
    ),
    "width-suboptimal": SweepClaim(
        "The next width is suboptimal.",
        "figure 13",
        "final L_mask at the second width / at the largest",
        Bound(low=WORSE),
        _ratio("width", "final_masked", 1, LAST),
        SWEEP,
    ),
    "depth-earlier": SweepClaim(
        "More layers drop earlier.",
        "figure 14",
        "onset (the last step if there is none) at the second depth / at the smallest",
        Bound(high=EARLIER),
        _ratio("depth", "onset", 1, 0),
        SWEEP,
    ),
    "depth-little": SweepClaim(
        "Even deeper changes little.",
        "figure 14",
        "onset (the last step if there is none) at the largest depth / at the second",
        Bound(*LITTLE),
        _ratio("depth", "onset", LAST, 1),
        SWEEP,
    ),
    "depth-final": SweepClaim(
        "The final MSE falls with depth.",
        "figure 14",
        "final L at the largest depth / at the smallest",
        Bound(high=FALLS),
        _ratio("depth", "final_loss", LAST, 0),
        SWEEP,
    ),
    "sizes-drop": SweepClaim(
        "The drop is there at other sizes.",
        "figures 15, 17",
        "share of the runs with a drop, at the size where it is smallest",
        Bound(low=MOST),
        _sizes_drop,
        SWEEP,
    ),
    "mixture-drops": SweepClaim(
        "One model learns matrices of several sizes.",
        "figure 16",
        "share of the runs in which every size has a drop",
        Bound(low=MOST),
        _mixture_drops,
        SWEEP,
    ),
    "mixture-order": SweepClaim(
        "The sizes are learnt in an order, the same at every seed.",
        "figure 16",
        "share of the runs in which every size drops, and in the commonest order",
        Bound(low=1.0),  # of three sizes and seeds, two would agree by chance four times in nine
        _same_order,
        SWEEP,
    ),
    "gaussian-drops": SweepClaim(
        "The drop occurs with Gaussian factors.",
        "figure 18",
        "share of the runs with a drop",
        Bound(low=MOST),
        _gaussian_drops,
        SWEEP,
    ),
    "gaussian-final": SweepClaim(
        "With Gaussian factors, the final MSE is far below that of predicting zero.",
        "figure 18",
        "final L / (p_mask E[x²])",
        Bound(high=GAUSSIAN),
        _gaussian_final,
        SWEEP,
    ),
    "coherence-weakens": SweepClaim(
        "Masks that hide the entries of highest coherence weaken the drop, or remove it.",
        "reported elsewhere",
        "final L_mask over that of predicting zero, with all hidden entries chosen so / with random masks",
        Bound(low=WORSE),
        _ratio("mask", "final_over_level", LAST, 0),
        SWEEP,
    ),
    "optimiser-changes": SweepClaim(
        "Muon changes the length of the plateau.",
        "follow-up paper",
        "the later of the onsets with Adam and with Muon (the last step if there is none) / the earlier",
        Bound(low=1 / EARLIER),
        _apart("optimiser"),
        SWEEP,
    ),
    "warm-up-changes": SweepClaim(
        "Warm-up changes the length of the plateau.",
        "follow-up paper",
        "the later of the onsets with and without (the last step if there is none) / the earlier",
        Bound(low=1 / EARLIER),
        _apart("warm-up"),
        SWEEP,
    ),
}
