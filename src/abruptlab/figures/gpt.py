"""A decoder's losses, what it writes, and its attention maps (figures 11 and 12)."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import CenteredNorm, Colormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from abruptlab.experiments.evaluation import Estimate
from abruptlab.experiments.generation import PARTS, GptLearning
from abruptlab.experiments.sequence_attention import SequenceAttention
from abruptlab.figures.style import (
    ATTENTION,
    DIVERGING,
    DROP,
    GREEN,
    MASKED,
    OBSERVED,
    REFERENCE,
    SMALL,
    TEXT_WIDTH,
    new_figure,
    paper_style,
)

LOOKS = {  # name, colour
    "prompt": ("prompt", GREEN),
    "observed": ("answer, observed entries", OBSERVED),
    "masked": ("answer, hidden entries", MASKED),
}
HEADINGS = 0.45  # inches, for the names above a row of maps


@paper_style()
def draw_gpt_learning(learning: GptLearning) -> Figure:
    """Figure 11: the losses over the steps; accuracy and error of what the checkpoints write."""
    figure = new_figure(2.25)
    losses, accuracy, error = figure.subplots(1, 3)
    for part, raw, smooth in zip(PARTS, learning.loss, learning.smooth, strict=True):
        label, colour = LOOKS[part]
        losses.plot(learning.step, raw, color=colour, alpha=0.2, linewidth=0.4, rasterized=True)
        losses.plot(learning.step, smooth, color=colour, label=label)
    losses.set(ylabel="cross-entropy (nats)", ylim=(0, None))
    written = learning.generation
    _draw_checkpoints(accuracy, learning, written.accuracy_observed, "observed")
    _draw_checkpoints(accuracy, learning, written.accuracy_masked, "masked")
    accuracy.set(ylabel="written entries that are right", ylim=(-0.03, 1.03))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    _draw_checkpoints(error, learning, written.error_observed, "observed")
    _draw_checkpoints(error, learning, written.error_masked, "masked")
    error.axhline(learning.copying_level, color=REFERENCE, dashes=(4, 3), linewidth=0.8, label="writing 0")
    error.set(ylabel="their mean squared error", ylim=(0, None))
    steps = len(learning.step)
    for axes in (losses, accuracy, error):
        if learning.drop is not None:
            end = steps if learning.drop.end is None else learning.drop.end
            axes.axvspan(learning.drop.onset, end, color=DROP, alpha=0.35, linewidth=0, zorder=0)
        axes.set(xlim=(0, steps), xlabel="training step")
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    handles = dict(zip(*reversed(losses.get_legend_handles_labels()), strict=True))
    handles |= dict(zip(*reversed(error.get_legend_handles_labels()), strict=True))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=4)
    return figure


def _draw_checkpoints(axes: Axes, learning: GptLearning, values: Estimate, part: str) -> None:
    axes.errorbar(
        learning.checkpoint, values.mean, values.error, color=LOOKS[part][1], marker="o", markersize=2, linewidth=0.9
    )


@paper_style()
def draw_sequence_attention(attention: SequenceAttention) -> Figure:
    """Figure 12: the map of every head, a row for each checkpoint."""
    steps, layers, heads = attention.maps.shape[:3]
    width = (TEXT_WIDTH - 0.6) / (layers * heads)
    figure = new_figure(steps * (min(width, 2.0) + HEADINGS) + 0.2)
    grid = figure.subplots(steps, layers * heads, squeeze=False)
    norm, colours = _scale(attention.maps)
    small = width < 0.9
    for at, step in enumerate(attention.step):
        for head, axes in enumerate(grid[at]):
            where = at, *divmod(head, heads)
            _draw_map(axes, attention.maps[where], attention.entries, norm, colours)
            name = f"{where[1] + 1}.{where[2] + 1}" if small else f"layer {where[1] + 1}, head {where[2] + 1}"
            axes.set_title(f"{name}\n{attention.copying.mean[where]:.2f}", fontsize=SMALL)
        grid[at, 0].set_ylabel(f"after {step:,} steps")
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=grid, fraction=0.03, aspect=30, label="mean attention")
    bar.outline.set_linewidth(0.4)
    return figure


def _scale(maps: Float[np.ndarray, "*map query key"]) -> tuple[Normalize, str | Colormap]:
    """A square root from 0, as other maps have; linear attention may be negative, and has a scale around 0."""
    highest = float(np.abs(maps).max())
    return (CenteredNorm(0, highest), DIVERGING) if maps.min() < 0 else (PowerNorm(0.5, 0, highest), ATTENTION)


def _draw_map(
    axes: Axes, values: Float[np.ndarray, "query key"], entries: int, norm: Normalize, colours: str | Colormap
) -> None:
    axes.imshow(values, cmap=colours, norm=norm, interpolation="none")
    line = {"color": "white" if colours == ATTENTION else "black", "linewidth": 0.4}
    for at in (entries - 0.5, entries + 0.5):
        axes.axhline(at, **line)
        axes.axvline(at, **line)
    parts = [(entries - 1) / 2, entries + entries / 2]
    axes.set_xticks(parts, ["masked X", "X"])
    axes.set_yticks(parts, ["masked X", "X"], rotation=90, va="center")
    axes.tick_params(length=0, labelsize=6.5)
