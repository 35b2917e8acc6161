"""A decoder's losses, what it writes, and its attention maps (figures 11 and 12)."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import FuncNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.generation import PARTS, GptLearning
from abruptlab.experiments.sequence_attention import SequenceAttention
from abruptlab.figures import style
from abruptlab.figures.style import LEVEL, SMALL, TEXT_WIDTH, count_steps, draw_curve, draw_drop, drawing, new_figure

LOOKS = {  # name, colour
    "prompt": ("prompt", style.GREEN),
    "observed": ("answer, observed entries", style.OBSERVED),
    "masked": ("answer, hidden entries", style.MASKED),
}
UNTRAINED = 0.02  # of the steps: before them the error is that of chance, several times what it is later
PLACES = ("prompt", "answer")
ABREAST = 8  # so many maps of a checkpoint stand in one row; of more, each layer has a row of its own

# inches
HEADINGS = 0.5  # names above and below a row of maps
MARGINS = 1.4  # beside them, with the colour bar
LARGEST = 1.6  # side of a map
WORDS = 0.8  # a map this wide has room for its full name


@drawing
def draw_gpt_learning(learning: GptLearning) -> Figure:
    """Figure 11: the losses over the steps; accuracy and error of what the checkpoints write."""
    figure = new_figure(2.25)
    losses, accuracy, error = figure.subplots(1, 3)
    for part, raw, smooth in zip(PARTS, learning.loss, learning.smooth, strict=True):
        label, colour = LOOKS[part]
        draw_curve(losses, learning.step, raw, smooth, colour, label)
    losses.set(ylabel="cross-entropy (nats)", ylim=(0, None))
    written = learning.generation
    _draw_checkpoints(accuracy, learning, written.accuracy_observed, "observed")
    _draw_checkpoints(accuracy, learning, written.accuracy_masked, "masked")
    accuracy.set(ylabel="written entries that are right", ylim=(-0.03, 1.03))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1))
    _draw_checkpoints(error, learning, written.error_observed, "observed")
    _draw_checkpoints(error, learning, written.error_masked, "masked")
    error.axhline(learning.copying_level, label="writing 0", **LEVEL)
    steps = len(learning.step)
    trained = learning.checkpoint >= min(UNTRAINED * steps, learning.checkpoint[-1])
    errors = np.stack([written.error_observed.mean, written.error_masked.mean])[:, trained]
    highest = np.nanmax([learning.copying_level, *errors.ravel()])
    error.set(ylabel="mean squared error", ylim=(0, 1.1 * highest))
    for axes in (losses, accuracy, error):
        draw_drop(axes, learning.drop, steps)
        axes.set(xlim=(0, steps), xlabel="training step")
        count_steps(axes, 3)
    style.draw_legend(figure, losses, error)
    return figure


def _draw_checkpoints(axes: Axes, learning: GptLearning, values: Estimate, part: str) -> None:
    axes.errorbar(
        learning.checkpoint, values.mean, values.error, color=LOOKS[part][1], marker="o", markersize=2, linewidth=0.9
    )


@drawing
def draw_sequence_attention(attention: SequenceAttention) -> Figure:
    """Figure 12: the map of every head, a row for each checkpoint (of a single head, side by side)."""
    steps, layers, heads = shape = attention.maps.shape[:3]
    columns = layers * heads if layers * heads <= ABREAST else heads
    columns = steps if layers * heads == 1 else columns  # the maps of a single head stand side by side
    rows, width = steps * layers * heads // columns, (TEXT_WIDTH - MARGINS) / columns
    figure = new_figure(rows * (min(width, LARGEST) + HEADINGS))
    grid = np.reshape(figure.subplots(rows, columns, squeeze=False), shape)
    norm, colours = _scale(attention.maps)
    for (checkpoint, layer, head), axes in np.ndenumerate(grid):
        _draw_map(axes, attention.maps[checkpoint, layer, head], attention.entries, norm, colours)
        name = f"layer {layer + 1}, head {head + 1}" if width > WORDS else f"{layer + 1}.{head + 1}"
        axes.set_title(f"{name}\n{attention.copying.mean[checkpoint, layer, head]:.2f}", fontsize=SMALL)
        if layer == head == 0:
            axes.set_ylabel(f"after {attention.step[checkpoint]:,} steps")
    style.draw_bar(figure, ScalarMappable(norm, colours), ax=grid, fraction=0.03, aspect=30, label="mean attention")
    return figure


def _scale(maps: Float[np.ndarray, "*map query key"]) -> tuple[Normalize, str]:
    """A square root from 0, as other maps have; linear attention may be negative, and has one to both sides of 0."""
    highest = float(np.abs(maps).max())
    if maps.min() >= 0:
        return PowerNorm(0.5, 0, highest), style.ATTENTION
    root = (lambda x: np.sign(x) * np.abs(x) ** 0.5, lambda y: np.sign(y) * y**2)  # and its inverse
    return FuncNorm(root, -highest, highest), style.DIVERGING


def _draw_map(axes: Axes, values: Float[np.ndarray, "query key"], entries: int, norm: Normalize, colours: str) -> None:
    axes.imshow(values, cmap=colours, norm=norm, interpolation="none")
    line = {"color": "white" if colours == style.ATTENTION else "black", "linewidth": 0.4}
    for edge in (entries - 0.5, entries + 0.5):
        axes.axhline(edge, **line)
        axes.axvline(edge, **line)
    parts = [(entries - 1) / 2, (entries + len(values)) / 2]  # an answer need not be as long as its prompt
    axes.set_xticks(parts, PLACES)
    axes.set_yticks(parts, PLACES, rotation=90, va="center")
    axes.tick_params(length=0, labelsize=6.5)
