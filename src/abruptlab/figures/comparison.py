"""BERT against nuclear-norm minimisation: over the share of hidden entries, and out of distribution."""

from typing import Any

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from abruptlab.experiments.comparison import Comparison, Contest
from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.out_of_distribution import OutOfDistribution, Varied
from abruptlab.figures.style import BERT, LEVEL, NUCLEAR, REFERENCE, ShortLog, drawing, new_figure

ZERO, TRUTH = "predicting zero", "true matrix"  # what the methods are compared with: errors, norms
BERT_LOOK: dict[str, Any] = {"label": "BERT", "color": BERT, "marker": "o", "markersize": 3}
NUCLEAR_LOOK: dict[str, Any] = {"label": "nuclear norm", "color": NUCLEAR, "marker": "s", "markersize": 3}
TRAINED_LOOK: dict[str, Any] = {"label": "as in the training", "color": REFERENCE, "dashes": (1, 1.5), "linewidth": 0.8}
CONTROL_LOOK = BERT_LOOK | {"label": "BERT, control", "markerfacecolor": "white", "linewidth": 0.6}
CONTROLS = {"rank": "rank_rescaled", "columns": "columns_in_place"}  # → of what is varied, the control
LOSSES = {"loss": "mean squared error, $L$", "loss_masked": r"at hidden entries, $L_\mathrm{mask}$"}


@drawing
def draw_comparison(comparison: Comparison) -> Figure:
    """Figure 3: L, L_mask and the nuclear norms of the solutions over the share of hidden entries."""
    figure = new_figure(2.2)
    *errors, norms = figure.subplots(1, 3, sharex=True)
    contest = comparison.contest
    for axes, (loss, title) in zip(errors, LOSSES.items(), strict=True):
        _draw_losses(axes, comparison.probability, contest, loss)
        axes.set_title(title)
    _draw_lines(norms, comparison.probability, contest.bert_norm, contest.nuclear_norm, contest.true_norm, TRUTH)
    norms.set_title("nuclear norm of the solution")
    for axes in (*errors, norms):
        axes.axvline(comparison.trained, zorder=0, **TRAINED_LOOK)
        axes.set_xlabel("share of hidden entries")
    _legend(figure, f"{ZERO}; {TRUTH}")
    return figure


@drawing
def draw_out_of_distribution(result: OutOfDistribution) -> Figure:
    """Figure 19: L and L_mask over the rank, the number of rows and the number of columns."""
    figure = new_figure(3.4)
    panels = figure.subplots(2, 3, sharex="col", sharey="row")
    for column, name in zip(panels.T, ("rank", "rows", "columns"), strict=True):
        varied: Varied = getattr(result, name)
        for axes, loss in zip(column, LOSSES, strict=True):
            _draw_losses(axes, varied.value, varied.contest, loss)
            if name in CONTROLS:
                _draw_control(axes, varied, getattr(result, CONTROLS[name]), loss)
            axes.axvline(varied.trained, zorder=0, **TRAINED_LOOK)
        column[1].set_xticks(varied.value, _tick_labels(varied))
        partly = bool((varied.kept < 1).any())
        column[1].set_xlabel(f"{name} (% of matrices kept)" if partly else name)
    for axes, title in zip(panels[:, 0], LOSSES.values(), strict=True):
        axes.set_ylabel(title)
    _legend(figure, ZERO, CONTROL_LOOK)
    return figure


def _draw_control(axes: Axes, varied: Varied, control: Varied, loss: str) -> None:
    """BERT on the control's matrices, at as many times nuclear norm's error there as here: scaled, both are smaller."""
    both, here, there = np.intersect1d(varied.value, control.value, return_indices=True)
    bert, nuclear = (getattr(control.contest, name)[loss].mean[there] for name in ("bert", "nuclear"))
    axes.plot(both, bert / nuclear * varied.contest.nuclear[loss].mean[here], **CONTROL_LOOK)


def _tick_labels(varied: Varied) -> list[str]:
    """The values; under them the share of matrices that are kept, in percent, where not all are."""
    shares = ["" if kept == 1 else f"({100 * kept:.0f})" for kept in varied.kept]
    return [
        f"{value}\n{share}" if any(shares) else f"{value}" for value, share in zip(varied.value, shares, strict=True)
    ]


def _draw_losses(axes: Axes, conditions: Shaped[np.ndarray, " condition"], contest: Contest, loss: str) -> None:
    bert, nuclear, zero = (losses[loss] for losses in (contest.bert, contest.nuclear, contest.zero))
    _draw_lines(axes, conditions, bert, nuclear, zero, ZERO)


def _draw_lines(
    axes: Axes,
    conditions: Shaped[np.ndarray, " condition"],
    bert: Estimate,
    nuclear: Estimate,
    reference: Estimate,
    what: str,
) -> None:
    """The two methods with error bars, and what they are compared with as a dashed line with a band."""
    for values, look in ((bert, BERT_LOOK), (nuclear, NUCLEAR_LOOK)):
        axes.errorbar(conditions, values.mean, values.error, **look)
    axes.plot(conditions, reference.mean, label=what, **LEVEL)
    low, high = reference.mean - reference.error, reference.mean + reference.error
    axes.fill_between(conditions, low, high, color=REFERENCE, alpha=0.2, linewidth=0)
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(ShortLog(minor_thresholds=(1, 0.4)))


def _legend(figure: Figure, reference: str, *others: dict[str, Any]) -> None:
    looks = [BERT_LOOK, *others, NUCLEAR_LOOK, {**LEVEL, "label": reference}, TRAINED_LOOK]
    figure.legend(handles=[Line2D([], [], **look) for look in looks], loc="outside upper center", ncols=len(looks))
