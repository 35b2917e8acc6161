"""The losses of a run of any task over its steps."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from abruptlab.experiments.losses import Curves
from abruptlab.figures.style import DROP, REFERENCE, ShortLog, curve_colour, new_figure, paper_style


@paper_style()
def draw_curves(curves: Curves) -> Figure:
    """All losses on linear and the one that drops on logarithmic axes, with its trivial level and the drop."""
    figure = new_figure(2.35)
    linear, logarithmic = figure.subplots(1, 2)
    for axes, shown in ((linear, range(len(curves.name))), (logarithmic, [curves.falling])):
        for metric in shown:
            colour = curve_colour(str(curves.name[metric]))
            axes.plot(curves.step, curves.value[metric], color=colour, alpha=0.2, linewidth=0.4, rasterized=True)
            axes.plot(curves.step, curves.smooth[metric], color=colour, label=str(curves.label[metric]))
        if np.isfinite(curves.level):
            axes.axhline(curves.level, color=REFERENCE, dashes=(4, 3), linewidth=0.8, label=curves.trivial)
        if curves.drop is not None:
            end = curves.step[-1] if curves.drop.end is None else curves.drop.end
            axes.axvspan(curves.drop.onset, end, color=DROP, alpha=0.35, linewidth=0, zorder=0)
        axes.set(xlim=(0, curves.step[-1]), xlabel="training step")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    linear.set(ylabel=curves.unit, ylim=(0, None))
    logarithmic.set(yscale="log")
    logarithmic.yaxis.set_minor_formatter(ShortLog(minor_thresholds=(1, 0.4)))
    figure.legend(*linear.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure
