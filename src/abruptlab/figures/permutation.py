"""Positional permutation: the losses under each kind of shuffle."""

import numpy as np
from matplotlib.figure import Figure

from abruptlab.experiments.permutation import Permutation
from abruptlab.figures.style import REFERENCE, curve_colour, drawing, new_figure
from abruptlab.figures.switching import OTHER, draw_estimates, draw_level, name_losses, scale_errors

LABELS = {  # of `experiments.permutation.KINDS`
    "keep-rows-and-columns": "whole rows and columns",
    "keep-rows": "within each row",
    "keep-columns": "within each column",
    "random": "all places",
}
BELOW = 0.25  # where a kind's single permutations lie, under its mean


@drawing
def draw_permutation(result: Permutation) -> Figure:
    """L_mask and L_obs under each kind of permutation, a panel for each step, with the intact model's levels."""
    figure = new_figure(2.0)
    panels = figure.subplots(1, len(result.steps), sharex=True, sharey=True, squeeze=False)[0]
    places = np.arange(len(result.kinds))
    for index, (step, axes) in enumerate(zip(result.steps, panels, strict=True)):
        axes.set_title(f"step {int(step):,}")
        axes.axvline(result.zero_level, color=REFERENCE, linewidth=0.8, linestyle=OTHER, zorder=0)
        for name in reversed(result.shown.names):
            intact, colour = result.intact[name], curve_colour(name)
            draw_level(axes, intact[index], colour)
            draws = result.permuted[name].mean[index]
            lower = np.broadcast_to(places[:, None] + BELOW, draws.shape)
            axes.plot(draws.ravel(), lower.ravel(), "o", color=colour, markersize=2.5, alpha=0.35, markeredgewidth=0)
            draw_estimates(axes, result.mean[name][index], places, colour)
        scale_errors(axes, result.shown.unit)
    panels[0].set_yticks(places, [LABELS[kind] for kind in result.kinds])
    panels[0].set_ylim(len(places) - 0.5, -0.5)
    panels[0].set_ylabel("shuffled")
    name_losses(figure, result.shown, "intact", "predicting zero")
    return figure
