"""What the drop gains of what there is to gain, and which method BERT's predictions are close to (beside the paper)."""

from typing import TYPE_CHECKING

import numpy as np

from abruptlab.paper.comparison import SIGMAS
from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, at_the_end, later

if TYPE_CHECKING:
    from abruptlab.experiments.methods import Methods

METHODS = later("experiments.methods", "measure_methods")
NUCLEAR, POSTERIOR, ZERO = "nuclear norm", "posterior mean", "predict zero"  # of experiments.methods.NAMES

FIGURES: dict[str, FigureSpec] = {
    "floor": FigureSpec(
        "What the drop gains, and what is left",
        "beside the paper",
        "L_mask and L of BERT over the training (line: running mean of the training; dots: checkpoints, ± one "
        "standard error over matrices) and of the methods on the matrices of the dots (bands: one standard error). "
        "The posterior mean, given the task's whole prior, is the floor: no method can be better on average. Observed "
        "entries count in BERT's L as it predicts them; the methods give them back.",
        METHODS,
        later("figures.methods", "draw_floor"),
    ),
    "closeness": FigureSpec(
        "How close BERT's predictions are to each method's",
        "beside the paper",
        "Left: mean squared distance of BERT's predictions at hidden entries to those of each method, and to the true "
        "matrix (dashed), over the checkpoints. Right: the share of the matrices in which each method is the nearest "
        "to BERT. Bars: one standard error over matrices. Below: the distances between all of them, after the "
        "training.",
        METHODS,
        later("figures.methods", "draw_closeness"),
    ),
}

LEFT = 2.0  # times the floor
APART = 0.5  # of the distance that a method has to the truth
CHANCE = 0.2  # the share of one method of five
MOST = 0.75  # of the matrices; the others are those whose entries are all about zero


def _below_the_floor(found: Findings) -> float:
    """How far the best method lies above the floor, in standard errors of the difference; below it, negative."""
    result: Methods = found.of(METHODS)
    above, error = (
        np.append(getattr(result.method_excess.loss_masked, name), getattr(result.bert_excess.loss_masked, name)[-1])
        for name in ("mean", "error")
    )
    others = error > 0  # the floor itself has none
    return float((above[others] / error[others]).min())


def _above_the_floor(found: Findings) -> float:
    result: Methods = found.of(METHODS)
    return float(result.bert.loss_masked.mean[-1] / result.method.loss_masked.mean[result.names.index(POSTERIOR)])


def _distance(found: Findings, name: str) -> float:
    """Of the final predictions to a method's."""
    result: Methods = found.of(METHODS)
    return float(result.distance.mean[-1, result.names.index(name)])


def _own_distance(found: Findings, name: str) -> float:
    """Of a method's predictions to the truth."""
    result: Methods = found.of(METHODS)
    return float(result.method.loss_masked.mean[result.names.index(name)])


def _nearest(found: Findings, step: int | str, name: str) -> float:
    result: Methods = found.of(METHODS)
    at = np.flatnonzero(result.step == found.run.resolve(step))[0]
    return float(result.nearest.mean[at, result.names.index(name)])


CLAIMS: dict[str, Claim] = {
    "floor-is-lowest": Claim(
        "No method, and no BERT, has a lower error than the posterior mean.",
        "beside the paper",
        "smallest L_mask of a method or of BERT − that of the posterior mean, in standard errors of the difference",
        Bound(low=-SIGMAS),
        at_the_end(_below_the_floor),
    ),
    "ends-near-the-floor": Claim(
        "After the training, BERT is near the lowest error there can be.",
        "beside the paper",
        "L_mask of BERT / L_mask of the posterior mean",
        Bound(high=LEFT),
        at_the_end(_above_the_floor),
    ),
    "zero-before": Claim(
        "Before the drop, the method nearest to BERT is predicting zero.",
        "beside the paper",
        "share of the matrices in which, at mid-plateau, it is the nearest of the five methods",
        Bound(low=MOST),
        lambda found, drop: _nearest(found, "before-drop", ZERO),
    ),
    "predictions-not-nuclear-norm": Claim(
        "BERT's predictions are not those of nuclear-norm minimisation.",
        "figure 3",
        "mean squared distance at hidden entries BERT – nuclear norm / nuclear norm – truth (0 if they were)",
        Bound(low=APART),
        at_the_end(lambda found: _distance(found, NUCLEAR) / _own_distance(found, NUCLEAR)),
    ),
    "nearer-to-the-posterior-mean": Claim(
        "BERT's predictions are much nearer to the posterior mean than to nuclear-norm minimisation.",
        "beside the paper",
        "mean squared distance at hidden entries of BERT to the posterior mean / to nuclear norm",
        Bound(high=APART),
        at_the_end(lambda found: _distance(found, POSTERIOR) / _distance(found, NUCLEAR)),
    ),
    "seldom-nearest-to-nuclear-norm": Claim(
        "Nuclear norm is seldom the method nearest to BERT.",
        "beside the paper",
        "share of the matrices in which it is the nearest of the five methods",
        Bound(high=CHANCE),
        at_the_end(lambda found: _nearest(found, "final", NUCLEAR)),
    ),
}
