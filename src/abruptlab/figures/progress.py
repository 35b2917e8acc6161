"""Representation collapse and attention progress under the loss curve."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.progress import Measure, Progress
from abruptlab.figures import style
from abruptlab.figures.style import ShortLog, count_steps, curve_colour, draw_curve, draw_drop, drawing, new_figure

FEW = 12  # checkpoints, each of them marked
LABELLED = 6  # layers that are all named on the colour bar
DASHES, DOTS = (4, 3), (1, 1.5)
APART = {"loss_masked": "last layer at hidden places", "loss_observed": "last layer at observed places"}


@drawing
def draw_progress(progress: Progress) -> Figure:
    """The loss that drops, representation collapse and attention progress over the steps."""
    figure = new_figure(4.7)
    loss, collapse, attention = figure.subplots(3, 1, sharex=True)
    curves = progress.curves
    name, label = str(curves.name[curves.falling]), str(curves.label[curves.falling])
    colour = curve_colour(name)
    draw_curve(loss, curves.step, curves.value[curves.falling], curves.smooth[curves.falling], colour)
    loss.set(yscale="log", ylabel=curves.unit)
    loss.yaxis.set_minor_formatter(ShortLog(minor_thresholds=(1, 0.4)))
    onset = "no drop" if curves.drop is None else f"onset of the drop at step {curves.drop.onset:,}"
    symbol, comma, words = label.partition(",")
    loss.set_title(f"{style.in_math(symbol) if '_' in symbol else symbol}{comma}{words}: {onset}", loc="left")

    for part, values in progress.apart.items():
        look = {"color": curve_colour(part), "dashes": DASHES, "linewidth": 0.9, "label": APART[part]}
        _draw_line(collapse, progress, values, **look)
    _draw_measure(collapse, progress, progress.collapse)
    collapse.set_ylabel("cosine similarity")
    collapse.set_title(f"representation collapse: {_moved(progress, progress.collapse)}", loc="left")

    heads = progress.heads
    layer, head = np.unravel_index(heads.mean[-1].argmax(), heads.mean[-1].shape)
    highest = f"the head that ends highest: layer {layer + 1}, head {head + 1}"
    if heads.mean[-1].size > 1:
        _draw_line(attention, progress, heads[:, layer, head], color=style.PURPLE, linewidth=1.0, label=highest)
    attention.axhline(float(progress.uniform), label="uniform attention", **style.LEVEL | {"color": style.PURPLE})
    _draw_measure(attention, progress, progress.attention)
    last = max(curves.step[-1], progress.step[-1])
    attention.set(ylabel="share of attention", xlabel="training step", xlim=(0, last))
    attention.set_title(f"attention progress: {_moved(progress, progress.attention)}", loc="left")
    count_steps(attention)

    if curves.drop is not None:
        for axes in (loss, collapse, attention):
            draw_drop(axes, curves.drop, last)
            axes.axvline(curves.drop.onset, **style.LEVEL)
    style.draw_legend(figure, attention, collapse, loc="outside lower center", ncols=2)
    if heads.mean.shape[1] > 1:
        scale = style.numbered(heads.mean.shape[1])
        style.draw_numbered_bar(figure, scale, [collapse, attention], "layer", LABELLED, shrink=0.9, aspect=30)
    return figure


def _draw_measure(axes: Axes, progress: Progress, measure: Measure) -> None:
    """A line for each layer, one for the run, and where that first moves."""
    layers = measure.layers
    colours = style.numbered(layers.mean.shape[1]).to_rgba(np.arange(layers.mean.shape[1]) + 1)
    for layer, colour in enumerate(colours):
        _draw_line(axes, progress, layers[:, layer], color=colour, linewidth=0.9)
    label = "last layer (above), all layers (below)"
    _draw_line(axes, progress, measure.run, color=style.LOSS, linewidth=1.6, label=label)
    if np.isfinite(measure.moved):
        axes.axvline(float(measure.moved), color=style.LOSS, dashes=DOTS, linewidth=1.0, label="first moves")


def _draw_line(axes: Axes, progress: Progress, values: Estimate, **look: Any) -> None:
    if len(progress.step) <= FEW:
        look |= {"marker": "o", "markersize": 2.5}
    axes.plot(progress.step, values.mean, **look)
    low, high = values.mean - values.error, values.mean + values.error
    axes.fill_between(progress.step, low, high, color=look["color"], alpha=0.3, linewidth=0)


def _moved(progress: Progress, measure: Measure) -> str:
    if progress.curves.drop is None or not np.isfinite(measure.moved):
        return "no first move found"
    share = float(measure.moved) / progress.curves.drop.onset
    return f"first moves at step {int(measure.moved):,}, {share:.2f} of the onset"
