"""Whether the drop can be announced: when the rule of every measure speaks."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from abruptlab.experiments.announcement import WINDOW, Announcement
from abruptlab.figures.style import DROP, LOSS, REFERENCE, drawing, new_figure


@drawing
def draw_announcement(announcement: Announcement) -> Figure:
    """When every rule speaks, in shares of the plateau before the onset: on the runs that it was fixed on (grey) and on
    the others; beside it, how many of the others it announces in time (shaded)."""
    rows = len(announcement.measures)
    figure = new_figure(0.9 + 0.2 * rows)
    axes = figure.subplots()
    axes.axvspan(-WINDOW, 0, **DROP)
    tried = int((~announcement.fixing).sum())
    for row in range(rows):
        for given, colour, shift in ((True, REFERENCE, 0.16), (False, LOSS, -0.16)):
            leads = announcement.lead[row, announcement.fixing == given]
            axes.plot(-leads, np.full(len(leads), row + shift), "o", color=colour, markersize=2.6, clip_on=False)
        in_time = int(announcement.in_time[row, ~announcement.fixing].sum())
        axes.annotate(
            f"{in_time} of {tried}", (1.02, row), xycoords=("axes fraction", "data"), va="center", annotation_clip=False
        )
    axes.set(
        xlim=(-1, 0), ylim=(rows - 0.5, -0.5), xlabel="when the rule speaks, share of the plateau before the onset"
    )
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_yticks(range(rows), [str(name) for name in announcement.measures])
    axes.tick_params(axis="y", length=0)
    return figure
