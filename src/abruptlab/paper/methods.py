"""What the drop gains of what there is to gain, and which method BERT's predictions are close to (beside the paper)."""

from abruptlab.experiments.methods import NUCLEAR, POSTERIOR, measure_methods
from abruptlab.figures.methods import draw_closeness, draw_floor
from abruptlab.paper.claim import Bound, Claim, inside
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec

FIGURES: Figures = {
    "floor": FigureSpec(
        "What the drop gains, and what is left",
        "beside the paper",
        "L_mask and L of BERT over the training (line: running mean of the training; dots: checkpoints, ± one "
        "standard error over matrices) and of the methods on the matrices of the dots (bands: one standard error). "
        "The posterior mean, given the task's whole prior, is the floor: no method can be better on average. Observed "
        "entries count in BERT's L as it predicts them; the methods give them back.",
        measure_methods,
        draw_floor,
    ),
    "closeness": FigureSpec(
        "How close BERT's predictions are to each method's",
        "beside the paper",
        "Left: mean squared distance of BERT's predictions at hidden entries to those of each method, and to the true "
        "matrix (dashed), over the checkpoints. Right: the share of the matrices in which each method is the nearest "
        "to BERT. Bars: one standard error over matrices. Below: the distances between all of them, after the "
        "training.",
        measure_methods,
        draw_closeness,
    ),
}

LEFT = 2.0  # times the floor
NEARER = 0.5  # of the distance: less than half
EVEN = 1.0  # nearer to the one than to the other


def _above_the_floor(findings: Findings) -> float:
    result = findings.of(measure_methods)
    return float(result.bert["loss_masked"].mean[-1] / result.method["loss_masked"].mean[result.names.index(POSTERIOR)])


def _distance(findings: Findings, name: str) -> float:
    """Of the final predictions to a method's."""
    result = findings.of(measure_methods)
    return float(result.distance.mean[-1, result.names.index(name)])


def _to_the_truth(findings: Findings) -> float:
    """Of the final predictions to the true matrices."""
    return float(findings.of(measure_methods).bert["loss_masked"].mean[-1])


CLAIMS: dict[str, Claim] = {
    "ends-near-the-floor": inside(
        "After the training, BERT is near the lowest error there can be.",
        "ours",
        "L_mask of BERT / L_mask of the posterior mean",
        Bound(high=LEFT),
        _above_the_floor,
        figures=("floor",),
    ),
    "predictions-not-nuclear-norm": inside(
        "BERT's predictions are not those of nuclear-norm minimisation: they are nearer to the truth than to them.",
        "caption",
        "mean squared distance at hidden entries of BERT to the truth / to nuclear norm (above 1 for any imitation of "
        "the latter)",
        Bound(high=EVEN),
        lambda findings: _to_the_truth(findings) / _distance(findings, NUCLEAR),
        figures=("3", "closeness"),
    ),
    "nearer-to-the-posterior-mean": inside(
        "BERT's predictions are much nearer to the posterior mean than to nuclear-norm minimisation.",
        "ours",
        "mean squared distance at hidden entries of BERT to the posterior mean / to nuclear norm",
        Bound(high=NEARER),
        lambda findings: _distance(findings, POSTERIOR) / _distance(findings, NUCLEAR),
        figures=("closeness",),
    ),
}
