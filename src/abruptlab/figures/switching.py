"""Model switching: the losses with each group of parameters from the other model."""

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.scores import Shown
from abruptlab.experiments.switching import Switching
from abruptlab.figures.style import REFERENCE, ShortLog, curve_colour, drawing, in_math, new_figure
from abruptlab.model.groups import SINGLE

LABELS = {  # of `groups.GROUPS`
    "token-embeddings": "token embeddings",
    "positional-embeddings": "positional embeddings",
    "attention-qkv": "attention QKV",
    "attention-output": "attention output",
    "mlp": "MLP",
    "layer-norms": "LayerNorms",
    "read-out": "read-out",
    "attention": "attention (QKV, output)",
    "embeddings": "embeddings, their LayerNorm",
    "layers-but-qkv": "layers but QKV",
    "not-attention": "not attention",
    "all-but-qkv": "all but QKV",
}
DOT = 3.2  # points
OTHER = (0, (4, 3))  # dashes of a level that is not the model's own


@drawing
def draw_switching(result: Switching) -> Figure:
    """The losses (of matrices L_mask and L_obs) of each model with one group of the other's parameters, and the levels
    of the two intact models."""
    figure = new_figure(2.75)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    places = np.arange(len(result.groups))
    for model, axes in enumerate(panels):
        own, other = (int(result.steps[index]) for index in (model, 1 - model))
        axes.set_title(f"model of step {own:,} with\nthe group of step {other:,}", linespacing=1.05)
        for name in reversed(result.shown.names):  # the one that drops on top
            intact, colour = result.intact[name], curve_colour(name)
            for index, line in ((model, "-"), (1 - model, OTHER)):
                draw_level(axes, intact[index], colour, line)
            draw_estimates(axes, result.switched[name][model], places, colour)
        axes.axhline(len(SINGLE) - 0.5, color=REFERENCE, linewidth=0.4)
        scale_errors(axes, result.shown.unit)
    panels[0].set_yticks(places, [LABELS[group] for group in result.groups])
    panels[0].set_ylim(len(places) - 0.5, -0.5)
    name_losses(figure, result.shown, "this model, intact", "the other, intact")
    return figure


def draw_estimates(axes: Axes, estimate: Estimate, places: Int[np.ndarray, " place"], colour: str) -> None:
    """Dots with error bars, one at each place of the vertical axis."""
    look = {"fmt": "o", "markersize": DOT, "elinewidth": 0.9, "zorder": 3}
    axes.errorbar(estimate.mean, places, xerr=estimate.error, color=colour, **look)


def scale_errors(axes: Axes, unit: str) -> None:
    """A logarithmic horizontal axis of losses, legible within one decade too."""
    axes.set(xscale="log", xlabel=unit)
    axes.xaxis.set_minor_formatter(ShortLog(minor_thresholds=(1, 0.4)))


def draw_level(axes: Axes, level: Estimate, colour: str, line: str | tuple = "-") -> None:
    """A level to compare with, and its standard error as a band."""
    mean, error = float(level.mean), float(level.error)
    axes.axvline(mean, color=colour, linewidth=0.8, linestyle=line, zorder=1)
    axes.axvspan(mean - error, mean + error, color=colour, alpha=0.15, linewidth=0, zorder=0)


def name_losses(figure: Figure, shown: Shown, line: str, dashes: str) -> None:
    """The legend above the panels: the losses, and what the lines of either kind are."""
    dot = {"marker": "o", "markersize": DOT, "linestyle": ""}
    level = {"color": REFERENCE, "linewidth": 0.8}
    entries = [
        *(
            Line2D([], [], color=curve_colour(name), label=in_math(symbol), **dot)
            for name, symbol in zip(shown.names, shown.symbols, strict=True)
        ),
        Line2D([], [], label=line, **level),
        Line2D([], [], label=dashes, linestyle=OTHER, **level),
    ]
    figure.legend(handles=entries, loc="outside upper center", ncols=4)
