"""The whole story at a glance (figure 1)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from abruptlab.experiments.examples import ExampleMatrices
from abruptlab.experiments.overview import Overview
from abruptlab.figures.loss import draw_phases
from abruptlab.figures.matrices import draw_matrix
from abruptlab.figures.style import HOLE, KNOWN, OUTLINE, TEXT_WIDTH, drawing, new_figure, signed

# inches, from the top left
HEIGHT = 2.3
SKETCH = 3.15  # width of panel A
LEFT, RIGHT = 0.05, 1.85  # of what the model is given, and of what it makes of it
STRIP = 1.3  # width of a strip of tokens
SIDE = 1.12  # of a matrix

WORDS = ("the", "cat", "sat", "on", "the", "mat")
HIDDEN_WORDS = (1, 5)


@drawing
def draw_overview(overview: Overview) -> Figure:
    """Figure 1: (A) masked language modelling beside matrix completion, (B) the loss with its two phases.

    The matrix and its completion are a trained model's; colours as in the matrix figures.
    """
    figure = new_figure(HEIGHT)
    figure.set_layout_engine("none")
    sketch = figure.add_axes((0, 0, SKETCH / TEXT_WIDTH, 1))
    sketch.set(xlim=(0, SKETCH), ylim=(HEIGHT, 0))
    sketch.axis("off")
    _draw_sketch(figure, sketch, overview.example)
    loss = figure.add_axes(_inches(SKETCH + 0.6, 0.25, TEXT_WIDTH - SKETCH - 0.8, HEIGHT - 0.67))
    draw_phases(loss, overview.curves)
    for letter, x in (("A", LEFT), ("B", SKETCH + 0.1)):
        figure.text(x / TEXT_WIDTH, 1 - 0.17 / HEIGHT, letter, weight="bold", fontsize=9)
    return figure


def _draw_sketch(figure: Figure, sketch: Axes, example: ExampleMatrices) -> None:
    observed_words = [index not in HIDDEN_WORDS for index in range(len(WORDS))]
    sketch.text(SKETCH / 2, 0.17, "masked language modelling", ha="center")
    _draw_step(sketch, 0.26, WORDS, observed_words, WORDS)

    tokens, completed, observed = _some_tokens(example)
    sketch.text(SKETCH / 2, 0.66, "matrix completion", ha="center")
    _draw_step(sketch, 0.75, tokens, observed, completed)

    scale = float(np.abs(example.truth).max()) or 1.0
    rows, columns = example.truth.shape
    for left, values, holes in ((LEFT, example.truth, True), (RIGHT, example.predictions[-1], False)):
        width, height = SIDE * min(1, columns / rows), SIDE * min(1, rows / columns)
        axes = figure.add_axes(_inches(left + (STRIP - width) / 2, 1.05, width, height))
        draw_matrix(axes, values, example.observed, scale, holes=holes)
    _draw_arrow(sketch, 1.05 + SIDE / 2)


def _draw_step(
    sketch: Axes, top: float, tokens: Sequence[str], observed: Sequence[bool], completed: Sequence[str]
) -> None:
    """A strip of tokens with holes, an arrow, and the strip completed."""
    height, width = 0.17, STRIP / len(tokens)
    for index, (token, seen, full) in enumerate(zip(tokens, observed, completed, strict=True)):
        for left, text, hole in ((LEFT, token, not seen), (RIGHT, full, False)):
            corner = left + index * width + 0.01, top
            if hole:
                sketch.add_patch(Rectangle(corner, width - 0.02, height, **HOLE))
                continue
            sketch.add_patch(Rectangle(corner, width - 0.02, height, **(KNOWN if seen else OUTLINE)))
            middle = corner[0] + width / 2 - 0.01, top + height / 2
            sketch.text(*middle, text, ha="center", va="center_baseline", fontsize=6.5)
    _draw_arrow(sketch, top + height / 2)


def _draw_arrow(sketch: Axes, y: float) -> None:
    look = {"arrowstyle": "-|>", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0, "color": "black", "mutation_scale": 7}
    sketch.annotate("", (RIGHT - 0.07, y), (LEFT + STRIP + 0.07, y), arrowprops=look)


def _some_tokens(example: ExampleMatrices) -> tuple[list[str], list[str], list[bool]]:
    """A few tokens in a row, from the matrix row with the most even mix of observed and hidden ones."""
    count = min(4, example.truth.shape[1])
    row = int(np.abs(example.observed[:, :count].mean(1) - 0.5).argmin())
    part = row, slice(count)
    truth, completed = ([*map(signed, values[part])] for values in (example.truth, example.predictions[-1]))
    return truth, completed, example.observed[part].tolist()


def _inches(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
    return left / TEXT_WIDTH, 1 - (top + height) / HEIGHT, width / TEXT_WIDTH, height / HEIGHT
