"""Every method on the same matrices: their errors over the training, and how close BERT is to each of them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abruptlab.experiments.methods import FACTORISATION, MEANS, NUCLEAR, POSTERIOR, ZERO, Methods
from abruptlab.figures import style
from abruptlab.figures.style import BERT, SMALL, ShortLog, count_steps, draw_drop, draw_legend, drawing, new_figure

COLOURS = {
    ZERO: style.REFERENCE,
    MEANS: style.ORANGE,
    NUCLEAR: style.NUCLEAR,
    FACTORISATION: style.GREEN,
    POSTERIOR: style.PURPLE,
}
STYLES: dict[str, Any] = {FACTORISATION: {"dashes": (3, 2), "zorder": 2.5}}  # which often lies on the posterior mean
DASHES = (4, 3)
DISTANCES = "Blues_r"  # dark is close


@drawing
def draw_floor(result: Methods) -> Figure:
    """L_mask and L of BERT over the steps, with each method's level and its standard error as a band."""
    figure = new_figure(2.9)
    panels = figure.subplots(1, 2, sharex=True)
    curves = result.curves
    smooth = {"loss_masked": curves.smooth_masked, "loss": curves.smooth_loss}
    titles = {"loss_masked": r"at hidden entries, $L_\mathrm{mask}$", "loss": "over all entries, $L$"}
    for axes, (loss, title) in zip(panels, titles.items(), strict=True):
        levels = result.method[loss]
        for name, mean, error in zip(result.names, levels.mean, levels.error, strict=True):
            axes.axhline(mean, color=COLOURS[name], linewidth=1.1, label=name, **STYLES.get(name, {}))
            axes.axhspan(mean - error, mean + error, color=COLOURS[name], alpha=0.18, linewidth=0)
        axes.plot(curves.step, smooth[loss], color=BERT, linewidth=0.7, alpha=0.45, label="BERT in training", zorder=2)
        bert = result.bert[loss]
        look: dict[str, Any] = {"fmt": "o", "color": BERT, "markersize": 3, "elinewidth": 0.9, "zorder": 3}
        axes.errorbar(result.step, bert.mean, bert.error, label="BERT, same matrices", **look)
        axes.set(yscale="log", title=title)
        axes.yaxis.set_minor_formatter(ShortLog(minor_thresholds=(1, 0.4)))
        _over_steps(axes, result)
    panels[0].set_ylabel("mean squared error")
    draw_legend(figure, panels[0])
    return figure


@drawing
def draw_closeness(result: Methods) -> Figure:
    """BERT's distances to the methods and which is nearest, over the steps; all distances at the last checkpoint."""
    figure = new_figure(5.0)
    panels = figure.subplot_mosaic([["distance", "nearest"], ["table", "table"]], height_ratios=(1, 1.2))
    distance, nearest = panels["distance"], panels["nearest"]
    for index, name in enumerate(result.names):
        look = {"color": COLOURS[name], "marker": "o", "markersize": 3, "elinewidth": 0.8, **STYLES.get(name, {})}
        for axes, estimate in ((distance, result.distance[:, index]), (nearest, result.nearest[:, index])):
            axes.errorbar(result.step, estimate.mean, estimate.error, label=name, **look)
    truth = result.bert["loss_masked"]
    distance.plot(result.step, truth.mean, color=BERT, dashes=DASHES, linewidth=0.9, label="true matrix")
    distance.set(yscale="log", ylabel="mean squared distance", title="distance of BERT to each method")
    nearest.set(ylabel="share of matrices", ylim=(-0.02, 1.02), title="which method BERT is nearest to")
    for axes in (distance, nearest):
        _over_steps(axes, result)
    draw_legend(figure, distance, ncols=3)
    _draw_table(panels["table"], result)
    return figure


def _draw_table(axes: Axes, result: Methods) -> None:
    """The distances between all methods, BERT at the last checkpoint and the truth, the lower triangle of a matrix."""
    names = ["true matrix", *reversed(result.names), "BERT"]
    table = np.full((len(names), len(names)), np.nan)
    table[1:-1, 0] = result.method["loss_masked"].mean[::-1]
    table[1:-1, 1:-1] = result.between.mean[::-1, ::-1]
    table[-1, :-1] = [result.bert["loss_masked"].mean[-1], *result.distance.mean[-1, ::-1]]
    table[np.triu_indices(len(names))] = np.nan
    shown = table[1:, :-1]
    logs = np.log10(np.where(shown > 0, shown, np.nan))  # two methods that agree exactly have no logarithm
    axes.imshow(logs, cmap=DISTANCES, aspect="auto")
    middle = (np.nanmin(logs) + np.nanmax(logs)) / 2
    for i, j in np.argwhere(np.isfinite(shown)):
        look = {"color": "white" if logs[i, j] < middle else "black", "fontsize": SMALL, "ha": "center", "va": "center"}
        axes.text(j, i, _short(float(shown[i, j])), **look)
    axes.set_xticks(range(len(names) - 1), [name.replace("and ", "and\n") for name in names[:-1]])
    axes.set_yticks(range(len(names) - 1), names[1:])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(f"mean squared distance of predictions at hidden entries, step {int(result.step[-1]):,}")


def _short(value: float) -> str:
    if value == 0 or value >= 0.001:
        return f"{value:.2g}"
    digit, power = f"{value:.0e}".split("e")
    return rf"${digit}\cdot 10^{{{int(power)}}}$"


def _over_steps(axes: Axes, result: Methods) -> None:
    last = max(result.curves.step[-1], result.step[-1])
    draw_drop(axes, result.curves.drop, last)
    axes.set(xlim=(-0.02 * last, 1.02 * last), xlabel="training step")
    axes.locator_params(axis="x", nbins=4)  # the last number of five would not fit
    count_steps(axes)
