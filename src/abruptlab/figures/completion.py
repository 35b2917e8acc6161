"""A matrix of a person's with holes, as completed, and how sure the method is of each entry."""

import numpy as np
from matplotlib.figure import Figure

from abruptlab.complete.methods import Completion
from abruptlab.figures.matrices import draw_matrix
from abruptlab.figures.style import TEXT_WIDTH, draw_bar, drawing, new_figure

TALLEST = 7.0  # inches, of a panel
BESIDES = 0.65  # of the height that are title and colour bar
SPREAD = "Greys"
LARGEST = 1e100  # entries beyond are drawn as shares of that


@drawing
def draw_completion(completion: Completion) -> Figure:
    """The input with its missing entries left out, the completed matrix, and the spread where there is one.

    Colours of entries of both signs are centred at 0, of others in the middle of their range. Columns that differ in
    unit are drawn as deviations from their means, in standard deviations.
    """
    values, observed, spread = completion.values, completion.observed, completion.spread
    in_deviations = completion.held_out.in_deviations
    if in_deviations:
        known = np.where(observed, values, np.nan)
        deviation = np.nanstd(known, 0)
        unit = np.where(deviation > 0, deviation, 1.0)
        values, spread = (values - np.nanmean(known, 0)) / unit, None if spread is None else spread / unit
    values = values / max(1.0, float(np.abs(values).max()) / LARGEST)  # matplotlib adds and multiplies what it colours
    rows, columns = values.shape
    panels = 2 if spread is None else 3
    figure = new_figure(min(TALLEST, (TEXT_WIDTH / panels) * rows / columns) + BESIDES)
    axes = figure.subplots(1, panels)
    low, high = values.min(), values.max()
    centre = 0.0 if low < 0 < high else float((low + high) / 2)
    scale = float(np.abs(values - centre).max()) or 1.0
    draw_matrix(axes[0], values, observed, scale, holes=True, centre=centre)
    image = draw_matrix(axes[1], values, observed, scale, centre=centre)
    axes[0].set_title(f"input, {(~observed).sum():,} of {values.size:,} missing")
    axes[1].set_title("completed" + (", in deviations of each column" if in_deviations else ""))
    draw_bar(figure, image, ax=axes[:2], location="bottom", aspect=40, shrink=0.6, pad=0.03)
    if spread is not None:
        largest = float(spread.max()) or 1.0
        image = draw_matrix(axes[2], spread, observed, largest)
        image.set(cmap=SPREAD, clim=(0, largest))
        axes[2].set_title("spread of what is filled in")
        bar = draw_bar(figure, image, ax=axes[2], location="bottom", aspect=20, shrink=0.9, pad=0.03)
        bar.ax.locator_params(nbins=4)
    return figure
