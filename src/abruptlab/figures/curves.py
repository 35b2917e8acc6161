"""The losses of a run of any task over its steps."""

import numpy as np
from matplotlib.figure import Figure

from abruptlab.experiments.losses import Curves
from abruptlab.figures.style import (
    LEVEL,
    ShortLog,
    count_steps,
    curve_colour,
    draw_curve,
    draw_drop,
    draw_legend,
    drawing,
    new_figure,
)


@drawing
def draw_curves(curves: Curves) -> Figure:
    """All losses on linear and the one that drops on logarithmic axes, with its trivial level and the drop."""
    figure = new_figure(2.35)
    linear, logarithmic = figure.subplots(1, 2)
    for axes, shown in ((linear, range(len(curves.name))), (logarithmic, [curves.falling])):
        for metric in shown:
            colour = curve_colour(str(curves.name[metric]))
            raw, smooth, label = curves.value[metric], curves.smooth[metric], str(curves.label[metric])
            draw_curve(axes, curves.step, raw, smooth, colour, label)
        if np.isfinite(curves.level):
            axes.axhline(curves.level, label=curves.trivial, **LEVEL)
        draw_drop(axes, curves.drop, curves.step[-1])
        axes.set(xlim=(0, curves.step[-1]), xlabel="training step")
        count_steps(axes)
    linear.set(ylabel=curves.unit, ylim=(0, None))
    logarithmic.set(yscale="log")
    logarithmic.yaxis.set_minor_formatter(ShortLog(minor_thresholds=(1, 0.4)))
    draw_legend(figure, linear)
    return figure
