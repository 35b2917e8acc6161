"""Heads ablated: one by one, in greedy sets, by group (figures `ablation`, `ablation-sets` and `ablation-groups`)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abruptlab.experiments.ablation import REPLACEMENTS, TOLERATED, GreedyAblation, Removal, SingleAblations
from abruptlab.experiments.ablation_groups import REPLACEMENTS as GROUPED, GroupAblation
from abruptlab.experiments.estimate import Estimate
from abruptlab.figures import style
from abruptlab.figures.style import LEVEL, SMALL, curve_colour, draw_legend, drawing, in_math, logarithmic, new_figure

LAYERS_ABREAST = 4
LOOKS: dict[str, dict[str, Any]] = {  # of each replacement
    "uniform": {"color": style.GREEN, "marker": "o"},
    "mean": {"color": style.PURPLE, "marker": "s"},
    "zero": {"color": style.SKY, "marker": "^"},
}
INTACT: dict[str, Any] = {"color": style.LOSS, "linewidth": 0.6, "zorder": 1, "label": "intact"}
WORDS = {"uniform": "uniform maps", "mean": "their mean maps", "zero": "zero"}
NUMBERED = 8  # heads whose numbers fit below the panel of a layer
NAMED = 39  # heads whose names fit below a panel of the sets


@drawing
def draw_single_ablations(single: SingleAblations) -> Figure:
    """The loss that drops and the first other part of the whole one (of matrices L_mask and L_obs) with one head
    ablated, a panel for each layer, beside the intact model and the plateau."""
    layers = single.ablated["loss"].mean.shape[1]
    abreast = min(layers, LAYERS_ABREAST)
    bands = math.ceil(layers / abreast)
    figure = new_figure(0.75 + 1.75 * bands)
    grid = figure.subplots(2 * bands, abreast, squeeze=False, sharex=True, height_ratios=[2, 1] * bands)
    for layer, (falling, other) in enumerate(zip(grid[::2].flat, grid[1::2].flat, strict=True)):
        if layer < layers:
            _draw_layer(falling, other, single, layer)
        else:
            falling.set_axis_off()
            other.set_axis_off()
    for quantity, name in enumerate(map(in_math, single.shown.symbols[:2])):
        rows = grid[quantity::2]
        _share_limits(list(rows.flat)[:layers])
        for axes in rows[:, 0]:
            axes.set_ylabel(name)
        for axes in rows[:, 1:].flat:
            axes.tick_params(labelleft=False)
    figure.supxlabel("head", fontsize=8.5)
    title = f"Step {single.step:,}, attention of one head replaced by"
    draw_legend(figure, grid[0, 0], ncols=5, title=title)
    return figure


def _share_limits(panels: Sequence[Axes]) -> None:
    """One logarithmic scale for all panels, in half decades, so that it has a labelled tick."""
    limits = [axes.get_ylim() for axes in panels if axes.get_yscale() == "log"]
    if not limits:
        return  # there is nothing in them
    lows, highs = zip(*np.log10(limits), strict=True)
    for axes in panels:
        axes.set_ylim(10 ** (math.floor(2 * min(lows)) / 2), 10 ** (math.ceil(2 * max(highs)) / 2))


def _draw_layer(falling: Axes, other: Axes, single: SingleAblations, layer: int) -> None:
    heads = np.arange(1, single.ablated["loss"].mean.shape[2] + 1)
    panels = list(zip((falling, other), single.shown.names, strict=False))
    for index, name in enumerate(REPLACEMENTS):
        look = {"markersize": 2.5, "linestyle": "none", "elinewidth": 0.7, "label": name, **LOOKS[name]}
        for panel, loss in panels:
            ablated = single.ablated[loss][index, layer]
            panel.errorbar(heads + 0.22 * (index - 1), ablated.mean, ablated.error, **look)
    falling.axhline(single.plateau, **LEVEL, label="plateau")
    for panel, loss in panels:
        panel.axhline(float(single.intact[loss].mean), **INTACT)
        logarithmic(panel)
        panel.set(xticks=heads[:: math.ceil(len(heads) / NUMBERED)], xlim=(0.5, len(heads) + 0.5))
    falling.set_title(f"Layer {layer + 1}")


@drawing
def draw_group_ablation(groups: GroupAblation) -> Figure:
    """L_mask and L_obs with each group of heads ablated, by uniform and by mean maps, and random sets beside."""
    figure = new_figure(2.4)
    masked, observed = figure.subplots(1, 2)
    broken = [name.replace(" and ", " and\n") for name in groups.groups]  # the labels would run into each other
    names = [f"{name}\n({heads.sum()})" for name, heads in zip(broken, groups.heads, strict=True)]
    places = np.arange(len(names))
    panels = (masked, "loss_masked", "L_mask"), (observed, "loss_observed", "L_obs")
    for index, replacement in enumerate(GROUPED):
        look = {"linestyle": "none", **LOOKS[replacement]}
        shifted = places + 0.2 * (index - 0.5)
        for axes, loss, _ in panels:
            ablated = groups.ablated[loss][index]
            axes.errorbar(shifted, ablated.mean, ablated.error, markersize=4, label=WORDS[replacement], **look)
        masked.plot(shifted + 0.07, groups.random_masked[index], **look | {"marker": ".", "markersize": 2})
    masked.axhline(groups.plateau, **LEVEL, label="plateau")
    for axes, loss, symbol in panels:
        axes.axhline(float(groups.intact[loss].mean), **INTACT)
        axes.set(ylabel=in_math(symbol), xlim=(-0.5, len(names) - 0.5))
        axes.set_xticks(places, names)
        logarithmic(axes)
        _share_limits([axes])
    title = f"Step {groups.step:,}, attention of the heads of a group (in brackets how many) replaced by"
    draw_legend(figure, masked, title=title)
    return figure


@drawing
def draw_greedy_ablation(greedy: GreedyAblation) -> Figure:
    """The losses along both greedy sequences of heads: the one that drops up to the plateau, and L up to 10 % above the
    intact."""
    figure = new_figure(2.6)
    counts = [len(path.heads) + 1 for path in (greedy.harmful, greedy.harmless)]
    share = float(np.clip(counts[0] / sum(counts), 0.22, 0.78))
    left, right = figure.subplots(1, 2, width_ratios=[share, 1 - share])
    shown = dict(zip(greedy.shown.names, greedy.shown.symbols, strict=True))
    for loss, symbol in (shown | {"loss": "L"}).items():
        _draw_path(left, greedy.harmful, greedy.harmful.ablated[loss], curve_colour(loss), in_math(symbol))
    left.axhline(greedy.plateau, **LEVEL, label="plateau")
    left.set(ylabel=greedy.shown.unit, title="most harmful first")
    logarithmic(left)
    _share_limits([left])

    path = greedy.harmless
    intact = path.ablated["loss"].mean[0]
    ratio = Estimate(path.ablated["loss"].mean / intact, path.difference["loss"].error / intact)
    _draw_path(right, path, ratio, style.LOSS, r"$L$")
    right.axhline(TOLERATED, **LEVEL)
    right.set(ylabel=r"$L$ / intact $L$", title="least harmful first")
    figure.supxlabel("heads ablated, from left to right (layer.head, counted from 1)", fontsize=8.5)
    title = f"Step {greedy.step:,}, attention of the ablated heads replaced by {WORDS[greedy.replacement]}"
    draw_legend(figure, left, title=title)
    return figure


def _draw_path(axes: Axes, path: Removal, losses: Estimate, colour: str, label: str) -> None:
    look = {"color": colour, "marker": "o", "markersize": 2.5, "elinewidth": 0.7, "label": label}
    axes.errorbar(np.arange(len(losses.mean)), losses.mean, losses.error, **look)
    names = ["none", *(f"{layer + 1}.{head + 1}" for layer, head in path.heads)]
    skipped = max(1, math.ceil(len(names) / NAMED))
    size = SMALL if len(names) <= NAMED * 2 / 3 else 6
    axes.set_xticks(range(0, len(names), skipped), names[::skipped], rotation=90, fontsize=size)
    axes.set_xlim(-0.5, len(names) - 0.5)
