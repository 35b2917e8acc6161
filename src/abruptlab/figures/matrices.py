"""Matrices as heat maps, hidden entries hatched (figures 1A and `matrices`)."""

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from abruptlab.experiments.examples import ExampleMatrices
from abruptlab.figures.style import DIVERGING, HOLE, OUTLINE, TEXT_WIDTH, draw_bar, drawing, new_figure, signed

PRINTED = 8  # numbers are printed in matrices of up to so many columns
DRAWN_ENTRIES = 40  # a side of more entries than that is a picture, not cells with borders
MARGINS = 1.0  # inches of the width that are colour bar and gaps
NUMBER_WIDTH = 2.43  # of −0.00, in ems of the paper's font


@drawing
def draw_examples(example: ExampleMatrices) -> Figure:
    """The matrix with holes and as completed at each step; below, the truth and each completion's error.

    Hidden entries are hatched in the input and outlined elsewhere; all panels share one colour scale.
    """
    rows, columns = example.truth.shape
    panels = 1 + len(example.steps)
    cell = (TEXT_WIDTH - MARGINS) / panels / columns
    figure = new_figure(2 * cell * rows + 0.95)
    axes = figure.subplots(2, panels, squeeze=False)
    scale = float(np.abs(example.truth).max()) or 1.0
    size = _print_size(cell, example)

    def draw(panel: Axes, title: str, values: Float[np.ndarray, "rows columns"], holes: bool = False) -> AxesImage:
        panel.set_title(title, linespacing=1.05)
        return draw_matrix(panel, values, example.observed, scale, example.decimals, size, holes=holes)

    image = draw(axes[0, 0], "input\n(hidden entries hatched)", example.truth, holes=True)
    draw(axes[1, 0], "truth", example.truth)
    for column, (step, prediction) in enumerate(zip(example.steps, example.predictions, strict=True), start=1):
        error = prediction - example.truth
        hidden = ~example.observed
        masked = np.square(error[hidden]).sum() / max(1, hidden.sum())
        draw(axes[0, column], f"prediction {_when(int(step), example)}", prediction)
        draw(axes[1, column], rf"error, $L_\mathrm{{mask}}={masked:.2g}$", error)
    draw_bar(figure, image, ax=axes, shrink=0.5, aspect=25, pad=0.02)
    return figure


def draw_matrix(
    axes: Axes,
    values: Float[np.ndarray, "rows columns"],
    observed: Bool[np.ndarray, "rows columns"],
    scale: float,
    decimals: int = 2,
    print_size: float = 0.0,
    *,
    holes: bool = False,
    centre: float = 0.0,
) -> AxesImage:
    """One matrix as a heat map from centre − scale to centre + scale, with numbers of `print_size` points (0: none).

    With `holes`, hidden entries are hatched and their values not shown; without, they are outlined. In matrices with
    a side above `DRAWN_ENTRIES`, holes are plain grey and nothing is outlined.
    """
    shown = np.where(observed, values, np.nan) if holes else values
    image = axes.imshow(shown, cmap=DIVERGING, vmin=centre - scale, vmax=centre + scale)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    rows, columns = values.shape
    if max(rows, columns) > DRAWN_ENTRIES:
        axes.set_facecolor(HOLE["facecolor"])
        return image
    axes.hlines(np.arange(rows + 1) - 0.5, -0.5, columns - 0.5, color="white", linewidth=0.6)
    axes.vlines(np.arange(columns + 1) - 0.5, -0.5, rows - 0.5, color="white", linewidth=0.6)
    for (i, j), value in np.ndenumerate(shown):
        if not observed[i, j]:
            axes.add_patch(Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, **(HOLE if holes else OUTLINE)))
        if print_size and np.isfinite(value):
            ink = "white" if abs(value - centre) > 0.6 * scale else "black"
            number = signed(value, decimals)
            axes.text(j, i, number, ha="center", va="center_baseline", fontsize=print_size, color=ink)
    return image


def _when(step: int, example: ExampleMatrices) -> str:
    if example.onset is None:
        return f"\n(step {step:,})"
    fallen = example.end is not None and step >= example.end
    when = "before" if step < example.onset else "after" if fallen else "in"
    return f"{when} the drop\n(step {step:,})"


def _print_size(cell: float, example: ExampleMatrices) -> float:
    """Points at which a number fits a cell of so many inches; 0 if the matrix is large."""
    if example.truth.shape[1] > PRINTED:
        return 0.0
    return min(7.5, 0.82 * 72 * cell / (NUMBER_WIDTH + 0.5 * (example.decimals - 2)))
