"""The loss plateau of a task of sequences, and variants of any task side by side."""

import math
from itertools import cycle

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from abruptlab.experiments.falls import Falls
from abruptlab.experiments.plateau import Plateau
from abruptlab.experiments.plateaus import Plateaus
from abruptlab.figures import style
from abruptlab.figures.style import LEVEL, curve_colour, draw_drop, drawing, new_figure, shades
from abruptlab.figures.variants import COLOURS, name_rows

ABREAST = 3  # panels in a row


@drawing
def draw_plateau(plateau: Plateau) -> Figure:
    """Loss, accuracy, repetition bias with collapse, and attention progress over the steps."""
    figure = new_figure(4.0)
    (loss, accuracy), (inside, attention) = figure.subplots(2, 2, sharex=True)
    curves, last = plateau.curves, plateau.step[-1]
    colour = curve_colour(str(curves.name[curves.falling]))
    loss.plot(curves.step, curves.value[curves.falling], color=colour, alpha=0.25, linewidth=0.5)
    loss.plot(curves.step, curves.smooth[curves.falling], color=colour)
    if np.isfinite(curves.level):
        loss.axhline(curves.level, **LEVEL)
    loss.set(ylabel=curves.unit, ylim=(0, None))
    loss.set_title("loss over the answer", loc="left")

    places = plateau.places.shape[1]
    for place, of_place in enumerate(shades(places)):
        accuracy.plot(plateau.step, plateau.places[:, place], color=of_place, linewidth=0.5, alpha=0.8)
    accuracy.plot(plateau.step, plateau.accuracy, color=style.LOSS, label="all tokens")
    accuracy.plot(plateau.step, plateau.whole, color=style.LOSS, dashes=(1, 1), label="whole answers")
    accuracy.set(ylabel="written right")
    accuracy.set_title("accuracy, thin of each place (dark: the first)", loc="left")

    inside.plot(plateau.step, plateau.collapse, color=style.OBSERVED, label="collapse: cosine")
    inside.plot(plateau.step, plateau.repetition, color=style.MASKED, label="repetition: share")
    inside.axhline(plateau.repetition_of_truth, **LEVEL | {"color": style.MASKED})
    inside.set(ylabel="cosine; share", xlabel="training step")
    inside.set_title("repetition bias and representation collapse", loc="left")

    attention.plot(plateau.step, plateau.attention, color=style.PURPLE)
    attention.axhline(plateau.uniform, **LEVEL | {"color": style.PURPLE})
    attention.set(ylabel="share of the attention", xlabel="training step")
    attention.set_title("attention progress", loc="left")

    for axes in (accuracy, inside, attention):
        axes.set_ylim(min(0, axes.get_ylim()[0]), 1.03)
    for axes in (accuracy, attention):
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    accuracy.legend(frameon=False, loc="best")
    inside.legend(frameon=False, loc="upper right")  # at the end both are low
    for axes in (loss, accuracy, inside, attention):
        axes.set(xlim=(0, last))
        draw_drop(axes, curves.drop, last)
    return figure


@drawing
def draw_plateaus(plateaus: Plateaus) -> Figure:
    """The accuracy of every variant over the steps, and when half of it is learnt."""
    figure, curves = _side_by_side(plateaus, plateaus.accuracy, plateaus.learnt)
    curves.set(ylim=(0, 1.03), ylabel="tokens written right")
    curves.yaxis.set_major_formatter(PercentFormatter(1))
    figure.axes[1].set_xlabel("half of the tokens right, step")
    return figure


@drawing
def draw_each_plateau(plateaus: Plateaus) -> Figure:
    """The loss and the accuracy of every variant that has a finished run, over steps of its own, a panel each."""
    there = np.flatnonzero(np.isfinite(plateaus.steps))
    abreast = min(ABREAST, len(there))
    lines = math.ceil(len(there) / abreast)
    figure = new_figure(0.25 + 1.25 * lines)
    panels = figure.subplots(lines, abreast, squeeze=False).ravel()
    for index, (row, axes) in enumerate(zip(there, panels, strict=False)):
        losses = axes.twinx()
        losses.plot(plateaus.step[row], plateaus.loss_answer[row].T, color=style.MASKED, linewidth=0.7)
        axes.plot(plateaus.step[row], plateaus.accuracy[row].T, color=style.LOSS, linewidth=0.7)
        axes.set(xlim=(0, plateaus.steps[row]), ylim=(0, 1.03))
        losses.set_ylim(0, None)
        losses.tick_params(axis="y", colors=style.MASKED)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_title(str(plateaus.labels[row]), loc="left")
        if index % abreast == 0:
            axes.set_ylabel("written right")
        if index % abreast == abreast - 1 or index == len(there) - 1:
            losses.set_ylabel("loss (nats)", color=style.MASKED)
        if index >= len(there) - abreast:
            axes.set_xlabel("training step")
    for axes in panels[len(there) :]:
        axes.remove()
    return figure


@drawing
def draw_falls(falls: Falls) -> Figure:
    """The falling loss of every variant over the steps, and when half of it is gone."""
    figure, curves = _side_by_side(falls, falls.ratio, falls.halved)
    curves.axhline(1, **LEVEL)
    curves.set(ylim=(0, 1.2), ylabel="loss / that of the trivial solution")
    figure.axes[1].set_xlabel("half of the loss gone, step")
    return figure


def _side_by_side(
    family: Plateaus | Falls, curve: Float[np.ndarray, "label run point"], first: Float[np.ndarray, "label run"]
) -> tuple[Figure, Axes]:
    """The curves of every variant, thin each seed and bold their median, and beside them the first steps."""
    rows = len(family.labels)
    figure = new_figure(max(2.3, 0.9 + 0.28 * rows))
    curves, firsts = figure.subplots(1, 2, sharex=True, width_ratios=(1.25, 1))
    for row, colour in zip(range(rows), cycle(COLOURS), strict=False):
        curves.plot(family.step[row], curve[row].T, color=colour, linewidth=0.5, alpha=0.7)
        if np.isfinite(family.seed[row]).any():
            curves.plot(family.step[row], np.nanmedian(curve[row], 0), color=colour, label=str(family.labels[row]))
        _draw_first(firsts, first[row][np.isfinite(family.seed[row])], family.steps[row], row, colour)
    curves.set(xlim=(0, np.nanmax(family.steps)), xlabel="training step")
    curves.xaxis.set_major_locator(MaxNLocator(5))
    name_rows(firsts, family)
    return figure, curves


def _draw_first(axes: Axes, steps: Float[np.ndarray, " run"], last: float, row: int, colour: str) -> None:
    """A dot a seed; an open one at the last step where it did not come."""
    for step in steps:
        reached = np.isfinite(step)
        face = colour if reached else "white"
        axes.plot(
            step if reached else last, row, "o", color=colour, markerfacecolor=face, markersize=3.5, clip_on=False
        )
    if len(steps):
        axes.plot(np.median(np.minimum(steps, last)), row, "|", color=colour, markersize=11)
