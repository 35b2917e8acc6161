"""Variants side by side (figures 8 and 13 to 18): their curves, and their drops over seeds."""

from itertools import cycle

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, NullLocator, StrMethodFormatter

from abruptlab.arguments import choice
from abruptlab.errors import ConfigError
from abruptlab.experiments.family import Family
from abruptlab.experiments.mixture import Mixture
from abruptlab.experiments.variants import OverSeeds, Variants
from abruptlab.figures import style
from abruptlab.figures.style import LEVEL, count_steps, drawing, in_math, new_figure

# of the labels, in their order
COLOURS = style.OBSERVED, style.MASKED, style.GREEN, style.PURPLE, style.ORANGE, style.SKY, style.LOSS, style.BROWN
MANY = 1e4  # times the lowest, up to which the levels on an axis are plain numbers
WIDE = 100  # times the lowest, from which on a small axis has room for the powers of ten alone
SETTLED = 1 / 50  # share of the steps
MOMENTS = {"onset": "onset", "halved": "first step below half"}


@drawing
def draw_variants(variants: Variants, moment: str = "onset") -> Figure:
    """Figures 8, 13 to 15, 17 and 18: L_mask over that of predicting zero (of other tasks, what falls over what the
    trivial solution has), and beside it the step of a `moment` (of MOMENTS) and the final level of each variant.

    Raises `ConfigError` for another moment.
    """
    if moment not in MOMENTS:
        raise ConfigError(f"no moment {moment!r}; {choice(moment, MOMENTS)}")
    figure = new_figure(_height(variants))
    _draw_family(figure, variants, moment)
    return figure


@drawing
def draw_families(families: dict[str, Variants]) -> Figure:
    """Any sweep: its families one below the other, each as `draw_variants` has it."""
    heights = [_height(variants) for variants in families.values()]
    figure = new_figure(sum(heights))
    parts = figure.subfigures(len(families), 1, height_ratios=heights, squeeze=False).flat
    for part, (family, variants) in zip(parts, families.items(), strict=True):
        if family:
            part.suptitle(family)
        _draw_family(part, variants, "onset")
    return figure


def _height(variants: Variants) -> float:
    return 1.5 + 0.18 * max(5, len(variants.labels))


def _draw_family(figure: Figure | SubFigure, variants: Variants, moment: str) -> None:
    curves, when, final = figure.subplots(1, 3, width_ratios=(2, 1, 1))
    symbol, trivial = in_math(variants.shown.symbols[0]), variants.trivial
    name = f"{symbol} / {trivial}" if trivial else f"{symbol}, {variants.shown.unit}"
    _draw_curves(curves, variants, variants.falling / variants.level[:, None, None], name)
    if trivial:
        curves.axhline(1, **LEVEL)
    _draw_numbers(when, final, variants, moment)


@drawing
def draw_mixture(mixture: Mixture) -> Figure:
    """Figure 16: test MSE and L_mask of each size over the steps, and below the drops of the sizes."""
    figure = new_figure(3.6)
    sizes = mixture.sizes
    (loss, masked), (when, final) = figure.subplots(2, 2, height_ratios=(2, 1))
    _draw_curves(loss, sizes, sizes.loss, r"test MSE $L$")
    _draw_curves(masked, sizes, sizes.falling, r"$L_\mathrm{mask}$")
    for axes, levels in ((loss, sizes.loss_of_zero), (masked, sizes.level)):
        for level in np.unique(levels[np.isfinite(levels)]):
            axes.axhline(level, **LEVEL)
    _draw_numbers(when, final, sizes, "onset")
    return figure


def _draw_curves(axes: Axes, variants: Variants, curves: Float[np.ndarray, "label run point"], name: str) -> None:
    """Thin the curve of each run, bold the median over the runs."""
    for row, colour in zip(range(len(variants.labels)), cycle(COLOURS), strict=False):
        of_label = curves[row, : variants.finished[row]]
        if len(of_label) > 1:
            axes.plot(variants.step[row], of_label.T, color=colour, linewidth=0.4, alpha=0.6)
        if len(of_label):
            axes.plot(variants.step[row], np.median(of_label, 0), color=colour)
    # the first steps, before zero is predicted, would take half of the room
    settled = curves[np.broadcast_to(variants.step[:, None, :] > SETTLED * np.nanmax(variants.step), curves.shape)]
    axes.set(yscale="log", ylim=(None, 1.3 * np.nanmax(settled)))
    axes.set(xlim=(0, np.nanmax(variants.step)), xlabel="training step", ylabel=name)
    _plain_levels(axes.yaxis, (1, 2, 5))
    count_steps(axes, 3)


def _draw_numbers(when: Axes, final: Axes, variants: Variants, moment: str) -> None:
    """A row for each label: on the left the step of the moment, on the right the final level."""
    last = np.nan_to_num(variants.step, nan=0).max(1)
    _draw_seeds(when, variants, getattr(variants, moment), last)
    _draw_seeds(final, variants, variants.final_over_level, np.full_like(last, np.inf))
    onsets = np.concatenate([each[:many] for each, many in zip(variants.onset.each, variants.finished, strict=True)])
    some_open = "" if np.isfinite(onsets).all() else "\n(open: no drop)"
    when.set(xlim=(0, 1.06 * np.nanmax(last)), xlabel=MOMENTS[moment] + some_open)
    count_steps(when, 3)
    least = np.nanmin(variants.final_over_level.low)
    final.set(xscale="log", xlim=(least / 1.5, 1.5 * max(1, np.nanmax(variants.final_over_level.high))))
    final.set_xlabel("final level" + (f"\n/ {variants.trivial}" if variants.trivial else ""))
    left, right = final.get_xlim()
    _plain_levels(final.xaxis, (1, 3) if right < WIDE * left else (1,))
    if variants.trivial:
        final.axvline(1, **LEVEL)
    name_rows(when, variants)
    name_rows(final, variants)
    final.tick_params(labelleft=False)


def _draw_seeds(axes: Axes, variants: Variants, numbers: OverSeeds, last: Float[np.ndarray, " label"]) -> None:
    """Dots for the runs (open: no drop), a bar from the smallest to the largest, a tick at the median; what never came
    is at the last step of its label's runs."""
    for row, colour in zip(range(len(variants.labels)), cycle(COLOURS), strict=False):
        low, median, high = (min(each[row], last[row]) for each in (numbers.low, numbers.median, numbers.high))
        axes.plot([low, high], [row, row], color=colour, linewidth=0.8)
        axes.plot([median], [row], color=colour, marker="|", markersize=9, markeredgewidth=1.2)
        finished = slice(variants.finished[row])
        for value, onset in zip(numbers.each[row, finished], variants.onset.each[row, finished], strict=True):
            face = colour if np.isfinite(onset) else "white"
            dot = {"color": colour, "markerfacecolor": face, "markersize": 3.5, "markeredgewidth": 0.8}
            axes.plot([min(value, last[row])], [row], marker="o", linestyle="", clip_on=False, **dot)


def name_rows(axes: Axes, family: Variants | Family) -> None:
    """A row for each label, in its colour, with how many of its runs are finished if not all are."""
    rows = zip(family.labels, np.isfinite(family.seed).sum(1), family.planned, strict=True)
    names = [f"{label}" + (f"\n{done} of {planned} seeds" if done != planned else "") for label, done, planned in rows]
    axes.set_yticks(range(len(names)), names)
    for text, colour in zip(axes.get_yticklabels(), cycle(COLOURS), strict=False):
        text.set_color(colour)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _plain_levels(axis: Axis, within_decade: tuple[int, ...]) -> None:
    """Ticks of a logarithmic axis as plain numbers, at some multiples of the powers of ten; over very many powers, at
    some of them."""
    low, high = axis.get_view_interval()
    if high > MANY * low:
        axis.set_major_locator(LogLocator(numticks=6))
        axis.set_major_formatter(LogFormatterSciNotation())
    else:
        axis.set_major_locator(LogLocator(subs=within_decade, numticks=12))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())
