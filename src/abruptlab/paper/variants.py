"""What changes the drop (figures 13 to 18 and beyond): the figures and the table of the sweep of variants."""

from functools import partial

import numpy as np

from abruptlab.experiments.mixture import measure_mixture
from abruptlab.experiments.variants import OverSeeds as Spread, Variants, measure_families, measure_variants
from abruptlab.figures.table import Table
from abruptlab.figures.variants import draw_families, draw_mixture, draw_variants
from abruptlab.paper.findings import ANY_SWEEP
from abruptlab.paper.registry import Figures, FigureSpec, Tables, TableSpec

SWEEP = "variants"

READING = (
    "Left: L_mask (running mean) over that of predicting zero (dashed); thin each seed, bold their median. Right, for "
    "each variant: the step at which the drop begins (the last step without one), and the final level of that ratio; "
    "dots are seeds, open ones without a drop, the tick is their median and the bar reaches from the smallest to the "
    "largest."
)


def _figure(title: str, place: str, family: str, what: str) -> FigureSpec:
    measure = partial(measure_variants, family=family)
    return FigureSpec(title, place, f"{what} {READING}", measure, draw_variants, sweep=SWEEP)


SIZES = _figure(
    "Other sizes and ranks",
    "figures 15 and 17, of the appendix on the size and the rank of matrices",
    "size",
    "The drop at other sizes and ranks.",
)

FIGURES: Figures = {
    "13": _figure("Width", "figure 13", "width", "Models of different widths, the MLP four times as wide."),
    "14": _figure("Depth", "figure 14", "depth", "Models with different numbers of layers."),
    "15": SIZES,
    "16": FigureSpec(
        "A mixture of sizes",
        "figure 16",
        "One model trained on matrices of several sizes, each step one of them at random. Above: test MSE (L) of each "
        "size and L_mask, over the steps; dashed: copying and predicting zero; thin each seed, bold their median. "
        "Below: onset and final L_mask as in figure 13.",
        measure_mixture,
        draw_mixture,
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
        "any sweep",
        READING,
        measure_families,
        draw_families,
        sweep=ANY_SWEEP,
    ),
}


def columns(variants: Variants) -> dict[str, str]:
    """The numbers of a table, and what they are called there."""
    falling, other = variants.shown.symbols[:2]
    relative = f"{falling} / that of {variants.trivial}"
    return {
        "onset": "onset",
        "width": "width",
        "depth": "depth",
        "final_loss": "L",
        "final_other": other,
        "final_falling": falling,
        **({"final_over_level": relative} if variants.trivial else {}),
    }


OF_SEVERAL_KINDS = {
    "onset": "onset",
    "width": "width",
    "depth": "depth",
    "final_loss": "whole loss",
    "final_falling": "its part that falls",
    "final_over_level": "that / the trivial solution's",
}


def tabulate_families(families: dict[str, Variants]) -> Table:
    """The numbers of every variant over its seeds, by family."""
    named, *others = [columns(variants) for variants in families.values()]
    if any(other != named for other in others):
        named = OF_SEVERAL_KINDS
    rows = [
        (
            family,
            str(variants.labels[row]),
            f"{variants.finished[row]} of {variants.planned[row]}",
            int(variants.dropped[row]),
            *(_number(variants, name, row) for name in named),
        )
        for family, variants in families.items()
        for row in range(len(variants.labels))
    ]
    return Table(("family", "variant", "seeds", "with a drop", *named.values()), tuple(rows))


def _number(variants: Variants, name: str, row: int) -> str:
    nobody_knows = name == "final_over_level" and not variants.trivial
    return "–" if nobody_knows else _interval(getattr(variants, name), row)


def _interval(numbers: Spread, row: int) -> str:
    low, median, high = (
        "–" if np.isnan(value) else "none" if np.isinf(value) else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
        for value in (numbers.low[row], numbers.median[row], numbers.high[row])
    )
    return median if low == high else f"{median} ({low} to {high})"


TABLES: Tables = {
    "variants": TableSpec(
        "Every variant over its seeds",
        "figures 13 to 18 and beyond",
        "Medians over the seeds, and in brackets the smallest and the largest.",
        measure_families,
        tabulate_families,
        sweep=ANY_SWEEP,
    ),
}
