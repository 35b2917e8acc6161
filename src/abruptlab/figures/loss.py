"""The loss over the training steps (figures 1B and 2)."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from abruptlab.experiments.losses import LossCurves
from abruptlab.figures import style
from abruptlab.figures.style import LEVEL, SMALL, count_steps, draw_curve, draw_drop, draw_legend, drawing, new_figure
from abruptlab.run.drop import Drop

HEADROOM = 1.5  # height of the linear axes over the plateau: room for names above it


@drawing
def draw_loss_curves(curves: LossCurves) -> Figure:
    """Figure 2: L, L_obs and L_mask on logarithmic and on linear axes, with the plateau and the drop."""
    figure = new_figure(2.35)
    logarithmic, linear = figure.subplots(1, 2)
    steps = len(curves.step)
    for axes in (logarithmic, linear):
        draw_curve(axes, curves.step, curves.loss_masked, curves.smooth_masked, style.MASKED, r"$L_\mathrm{mask}$")
        draw_curve(axes, curves.step, curves.loss, curves.smooth_loss, style.LOSS, r"$L$")
        draw_curve(axes, curves.step, curves.loss_observed, curves.smooth_observed, style.OBSERVED, r"$L_\mathrm{obs}$")
        zero = r"$L_\mathrm{mask}$ of predicting zero"
        axes.axhline(curves.copying_level, label=zero, **LEVEL)
        axes.set_xlabel("training step")
        draw_drop(axes, curves.drop, steps)
    logarithmic.set(yscale="log", ylabel="mean squared error")
    if steps > 1:
        logarithmic.set(xscale="log", xlim=(1, steps))
    else:  # step 0, which a logarithmic axis lacks
        logarithmic.set_xlim(0, steps)
        count_steps(logarithmic)
    linear.set(xlim=(0, steps), ylim=(0, HEADROOM * curves.copying_level))
    count_steps(linear)
    if curves.drop is not None:
        _name_plateau_and_drop(linear, curves.drop, steps)
    draw_legend(figure, linear)
    return figure


def draw_phases(axes: Axes, curves: LossCurves) -> None:
    """Figure 1B: the loss with the copying and the completion phase."""
    steps = len(curves.step)
    onset = steps if curves.drop is None else curves.drop.onset
    for name, colour, start, end in (("copying", style.OBSERVED, 0, onset), ("completion", style.MASKED, onset, steps)):
        if start < end:
            axes.axvspan(start, end, color=colour, alpha=0.12, linewidth=0)
            middle = (start + end) / 2, 0.97
            axes.text(*middle, name, color=colour, ha="center", va="top", transform=axes.get_xaxis_transform())
    zero = curves.loss_of_zero
    if zero is not None and curves.drop is not None:  # without a drop, the curve itself lies there
        axes.axhline(zero, **LEVEL)
        look = {"color": style.REFERENCE, "ha": "right", "va": "bottom", "fontsize": SMALL}
        axes.text(0.98 * steps, 1.03 * zero, "predict zero", **look)
    draw_curve(axes, curves.step, curves.loss, curves.smooth_loss, style.LOSS, r"$L$")
    axes.set(yscale="log", xlim=(0, steps), xlabel="training step", ylabel=r"loss $L$")
    axes.yaxis.set_minor_formatter(NullFormatter())
    count_steps(axes, 3)


def _name_plateau_and_drop(axes: Axes, drop: Drop, steps: int) -> None:
    end = "under way" if drop.end is None else f"end {drop.end:,}"
    right = drop.onset < steps / 2  # of the drop, where there is more room
    x = (drop.end or steps) if right else drop.onset
    place = {"ha": "left" if right else "right", "va": "top", "transform": axes.get_xaxis_transform()}
    axes.text(x, 0.98, f" onset {drop.onset:,} \n {end} ", fontsize=SMALL, **place)
    axes.text(drop.onset / 2, 0.72 * drop.plateau, "plateau", color=style.MASKED, ha="center", va="center")
