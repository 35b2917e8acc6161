"""Curves and attention as coloured text, for a terminal."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np
import plotext
from jaxtyping import Shaped
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import LogLocator, MaxNLocator
from rich.style import Style
from rich.text import Text

from abruptlab.experiments.glance import Glance
from abruptlab.experiments.losses import smooth
from abruptlab.figures.style import ATTENTION, LOSS, curve_colour
from abruptlab.task.base import Metric

DOTS = 2  # of a column, in braille
LINES_A_TICK = 3
GAP = 1  # between two heads
NAMES = 2  # lines below a picture
TILE = 9  # columns of a head at least, for its label
SHORT = {"row and column": "row, col."}


def ink(metric: Metric) -> str | None:
    """The colour of a curve; None is that of the terminal's text, which is L's."""
    colour = curve_colour(metric.name)
    return None if colour == LOSS else colour


def draw_losses(
    curves: Sequence[Metric], metrics: Mapping[str, Shaped[np.ndarray, " time"]], width: int, height: int
) -> Text:
    """Running means of some metrics over the steps so far, on a logarithmic axis."""
    step = metrics["step"]
    points = np.linspace(step[0], step[-1], min(len(step), DOTS * width))
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.limit_size(False, False)  # the caller knows the window
    plotext.plot_size(width, height)
    shown = []
    for metric in curves:
        curve = np.interp(points, step, smooth(metrics[metric.name]))
        there = curve > 0  # which NaN is not either
        shown += curve[there].tolist()
        colour = ink(metric)
        shade = "default" if colour is None else tuple(round(255 * part) for part in to_rgb(colour))
        plotext.plot(points[there].tolist(), curve[there].tolist(), marker="braille", color=shade)
    if shown:
        plotext.yscale("log")
        _ticks(plotext.yticks, _levels(min(shown), max(shown), height))
        steps = MaxNLocator(4).tick_values(points[0], points[-1])
        _ticks(plotext.xticks, [float(tick) for tick in steps if points[0] <= tick <= points[-1]])
    text = Text.from_ansi(plotext.build(), no_wrap=True)
    text.rstrip()
    return text


def _levels(low: float, high: float, height: int) -> list[float]:
    """As many levels as can be named: the powers of ten, and what lies between them if there is room."""
    for between in ((1.0, 2.0, 5.0), (1.0,)):
        ticks = LogLocator(subs=between, numticks=100).tick_values(low, high)
        within = [float(tick) for tick in ticks if low <= tick <= high]
        if len(within) <= max(2, height // LINES_A_TICK):
            return within
    return within[:: -(-len(within) * LINES_A_TICK // height)]


def _ticks(place: Callable[[list[float], list[str]], None], ticks: list[float]) -> None:
    place(ticks, [f"{tick:,.15g}" for tick in ticks])


def draw_glance(glance: Glance, width: int, height: int) -> Text:
    """What the pictures show, and the heads side by side, each with its number (layer.head, from 1), its score and its
    label; where there is no room for all, those with the highest scores. The brighter, the more attention: yellow is
    all of it."""
    layers, heads, rows, columns = glance.pictures.shape
    tile, lines = max(columns, TILE), -(-rows // 2) + NAMES
    across, down = max(1, (width + GAP) // (tile + GAP)), max(1, (height - 1) // lines)
    if across >= heads > 1:
        across = heads * (across // heads)  # a layer is not broken
    every = list(np.ndindex(layers, heads))
    shown = sorted(sorted(every, key=lambda head: -glance.score[head])[: across * down])
    text = Text(f"attention at step {glance.step}, {glance.shown}", no_wrap=True)
    if len(shown) < len(every):
        text.append(f"; {len(shown)} of {len(every)} heads")
    text.append("\n")
    for first in range(0, len(shown), across):
        _draw_row(text, glance, shown[first : first + across], tile)
    text.rstrip()
    return text


def _draw_row(text: Text, glance: Glance, heads: list[tuple[int, ...]], tile: int) -> None:
    pictures = [np.sqrt(glance.pictures[head].clip(0, 1)) for head in heads]  # a row's share of 1 / n is seen, too
    for y in range(0, len(pictures[0]), 2):
        for picture in pictures:
            for x in range(picture.shape[1]):
                below = _colour(picture[y + 1, x]) if y + 1 < len(picture) else None
                text.append("▀", Style(color=_colour(picture[y, x]), bgcolor=below))
            text.append(" " * (tile - picture.shape[1] + GAP))
        text.append("\n")
    for layer, head in heads:
        text.append(f"{layer + 1}.{head + 1} {glance.score[layer, head]:.2f}".ljust(tile + GAP), "dim")
    text.append("\n")
    for head in heads:
        name = str(glance.label[head])
        text.append(SHORT.get(name, name).ljust(tile + GAP))
    text.append("\n")


def _colour(share: float) -> str:
    return to_hex(matplotlib.colormaps[ATTENTION](float(share)))
