"""BERT against nuclear-norm minimisation: over the share of hidden entries, and out of distribution."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abruptlab.experiments.comparison import Comparison, Contest
from abruptlab.experiments.evaluation import Estimate
from abruptlab.experiments.out_of_distribution import OutOfDistribution, Varied
from abruptlab.figures.style import BERT, NUCLEAR, REFERENCE, ShortLog, new_figure, paper_style

DASHES, DOTS = (4, 3), (1, 1.5)
LOSSES = {"loss": "mean squared error, $L$", "loss_masked": r"at hidden entries, $L_\mathrm{mask}$"}


@paper_style()
def draw_comparison(comparison: Comparison) -> Figure:
    """Figure 3: L, L_mask and the nuclear norms of the solutions over the share of hidden entries."""
    figure = new_figure(2.2)
    *errors, norms = figure.subplots(1, 3, sharex=True)
    contest = comparison.contest
    for axes, (loss, title) in zip(errors, LOSSES.items(), strict=True):
        _draw_losses(axes, comparison.probability, contest, loss)
        axes.set_title(title)
    lines = {"BERT": contest.bert_norm, "nuclear norm": contest.nuclear_norm, "true matrix": contest.true_norm}
    _draw_lines(norms, comparison.probability, lines)
    norms.set_title("nuclear norm of the solution")
    for axes in (*errors, norms):
        _mark(axes, comparison.trained)
        axes.set_xlabel("share of hidden entries")
    _legend(figure, [errors[0], norms])
    return figure


@paper_style()
def draw_out_of_distribution(result: OutOfDistribution) -> Figure:
    """Figure 19: L and L_mask over the rank, the number of rows and the number of columns."""
    figure = new_figure(3.4)
    panels = figure.subplots(2, 3, sharex="col", sharey="row")
    for column, name in zip(panels.T, ("rank", "rows", "columns"), strict=True):
        varied: Varied = getattr(result, name)
        for axes, loss in zip(column, LOSSES, strict=True):
            _draw_losses(axes, varied.value, varied.contest, loss)
            _mark(axes, varied.trained)
        column[1].set_xticks(varied.value, _tick_labels(varied))
        partly = bool((varied.kept < 1).any())
        column[1].set_xlabel("rank (matrices with tokens)" if partly else f"{name}")
    for axes, title in zip(panels[:, 0], LOSSES.values(), strict=True):
        axes.set_ylabel(title)
    _legend(figure, [panels[0, 0]])
    return figure


def _tick_labels(varied: Varied) -> list[str]:
    """The values; under them the share of matrices that are left, where some are not."""
    return [
        f"{value}" if kept == 1 else f"{value}\n({kept:.0%})"
        for value, kept in zip(varied.value, varied.kept, strict=True)
    ]


def _draw_losses(axes: Axes, at: Shaped[np.ndarray, " condition"], contest: Contest, loss: str) -> None:
    lines = {"BERT": contest.bert, "nuclear norm": contest.nuclear, "predicting zero": contest.zero}
    _draw_lines(axes, at, {name: getattr(losses, loss) for name, losses in lines.items()})


def _draw_lines(axes: Axes, at: Shaped[np.ndarray, " condition"], lines: Mapping[str, Estimate]) -> None:
    """The two methods with error bars, and what they are compared with as a dashed line with a band."""
    looks = {"BERT": {"color": BERT, "marker": "o"}, "nuclear norm": {"color": NUCLEAR, "marker": "s"}}
    for name, values in lines.items():
        if name in looks:
            axes.errorbar(at, values.mean, values.error, label=name, markersize=3, elinewidth=0.8, **looks[name])
        else:
            axes.plot(at, values.mean, color=REFERENCE, dashes=DASHES, linewidth=0.8, label=name)
            low, high = values.mean - values.error, values.mean + values.error
            axes.fill_between(at, low, high, color=REFERENCE, alpha=0.2, linewidth=0)
    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(ShortLog(minor_thresholds=(1, 0.4)))


def _mark(axes: Axes, trained: float) -> None:
    axes.axvline(trained, color=REFERENCE, dashes=DOTS, linewidth=0.8, label="as in the training", zorder=0)


def _legend(figure: Figure, panels: list[Axes]) -> None:
    named = {}
    for axes in panels:
        named |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(named.values(), named.keys(), loc="outside upper center", ncols=5)
