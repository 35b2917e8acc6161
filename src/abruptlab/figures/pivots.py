"""What is lost of the completion with each row and each column."""

import numpy as np
from matplotlib.figure import Figure

from abruptlab.experiments.pivots import METHODS, Pivots
from abruptlab.figures.style import BERT, LEVEL, NUCLEAR, draw_legend, drawing, new_figure

BAR = 0.38  # of the distance of two lines


@drawing
def draw_pivots(pivots: Pivots) -> Figure:
    """A pair of bars for each row and each column: BERT and nuclear norm."""
    figure = new_figure(2.1)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, lost, name in zip(panels, (pivots.rows, pivots.columns), ("row", "column"), strict=True):
        places = np.arange(lost.shape[1])
        for method, (label, colour) in enumerate(zip(METHODS, (BERT, NUCLEAR), strict=True)):
            axes.bar(places + BAR * (method - 0.5), lost[method], BAR, color=colour, label=label)
        axes.axhline(1, **LEVEL)
        axes.set_xticks(places, [str(line + 1) for line in places])
        axes.set_xlabel(f"{name} hidden")
    panels[0].set_ylabel("completion lost elsewhere")
    draw_legend(figure, panels[0])
    return figure
