"""BERT against nuclear-norm minimisation (figures 3 and 19)."""

from functools import partial

import numpy as np

from abruptlab.experiments.comparison import measure_comparison
from abruptlab.experiments.distributions import Distributions, measure_distributions
from abruptlab.experiments.estimate import Losses
from abruptlab.experiments.out_of_distribution import Varied, measure_out_of_distribution
from abruptlab.experiments.regularised import Regularised, measure_regularised
from abruptlab.experiments.result import unstack
from abruptlab.figures.comparison import draw_comparison, draw_out_of_distribution
from abruptlab.figures.table import Table
from abruptlab.paper.claim import Bound, Claim, Number, inside
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec, Tables, TableSpec

FIGURES: Figures = {
    "3": FigureSpec(
        "BERT against nuclear-norm minimisation",
        "figure 3",
        "L, L_mask and the mean nuclear norm of the solution over the probability of hiding an entry, for BERT, "
        "trained at one probability (dotted), and for the matrix of least nuclear norm that has the observed entries, "
        "on the same matrices; bars: one standard error over matrices. Dashed: predicting zero at hidden entries; the "
        "norm of the true matrix.",
        measure_comparison,
        draw_comparison,
    ),
    "19": FigureSpec(
        "Out of distribution: other ranks and sizes",
        "figure 19",
        "L and L_mask of BERT and of nuclear-norm minimisation on matrices of another rank, number of rows or number "
        "of columns than in the training (dotted), on the same matrices; bars: one standard error over matrices. BERT "
        "takes a matrix row by row from its first position on, so that with another number of columns entries have "
        "other positions than in the training (open marks: BERT with the positions of the training, as a control); "
        "more entries than in the training have positions that were never trained, drawn as at its start. Of a higher "
        "rank, matrices with a value that has no token are left out (in brackets the share that stays), and of the "
        "others many values have tokens that the training never draws (open marks: BERT on the matrices scaled to the "
        "training's values, over as much of nuclear norm's error).",
        measure_out_of_distribution,
        draw_out_of_distribution,
    ),
}


def tabulate_regularised(result: Regularised) -> Table:
    """A row for each penalty, then BERT's."""
    rows = [
        *zip([f"{penalty:g}" for penalty in result.penalty], unstack(result.method), strict=True),
        ("BERT", result.bert),
    ]
    return Table(("λ", *LOSS_COLUMNS), tuple((name, *_cells(losses)) for name, losses in rows))


def tabulate_distributions(result: Distributions) -> Table:
    """A row for each distribution and method."""
    rows = []
    for name, kept, contest in zip(result.names, result.kept, unstack(result.contest), strict=True):
        for method, losses in (("BERT", contest.bert), ("nuclear norm", contest.nuclear), ("zero", contest.zero)):
            rows.append((str(name), f"{kept:.0%}", method, *_cells(losses)))
    return Table(("factors", "matrices kept", "method", *LOSS_COLUMNS), tuple(rows))


LOSS_COLUMNS = ("L", "±", "L_obs", "±", "L_mask", "±")


def _cells(losses: Losses) -> list[float]:
    each = (losses["loss"], losses["loss_observed"], losses["loss_masked"])
    return [float(f"{number:.3g}") for estimate in each for number in (estimate.mean, estimate.error)]


TABLES: Tables = {
    "regularised": TableSpec(
        "Regularised nuclear norm",
        "appendix",
        "The minimiser of (1/|Ω|)·‖P_Ω(Z − X)‖² + λ‖Z‖_* over the observed places Ω for several λ, and BERT, on the "
        "same held-out matrices; ± one standard error over matrices.",
        measure_regularised,
        tabulate_regularised,
    ),
    "distributions": TableSpec(
        "Other distributions at inference",
        "appendix J.2",
        "BERT, nuclear-norm minimisation, and copying with zero at hidden entries, on matrices whose factors have "
        "another distribution than in the training; ± one standard error over matrices. Matrices with a value that has "
        "no token are left out.",
        measure_distributions,
        tabulate_distributions,
    ),
}

TRAINED = partial(measure_comparison, probabilities=())  # the one of the training alone
SIGMAS = 3.0  # standard errors: no chance
CLOSE = 2.0  # factor between two errors that span decades


def _advantage(findings: Findings) -> float:
    result = findings.of(TRAINED)
    excess = result.contest.excess["loss"]
    trained = np.flatnonzero(result.probability == result.trained)[0]
    return float(-excess.mean[trained] / excess.error[trained])


def _elsewhere(varied: Varied) -> Number:
    """The factor between the two L, whichever is larger, where the property has another value than in the training:
    their geometric mean. Where predicting zero is as close to nuclear norm, being so says nothing."""
    bert, nuclear, zero = (
        each["loss"].mean for each in (varied.contest.bert, varied.contest.nuclear, varied.contest.zero)
    )
    ratios = bert / nuclear
    known = ratios[(varied.value != varied.trained) & np.isfinite(ratios) & (zero > CLOSE * nuclear)]
    return float(np.exp(np.abs(np.log(known)).mean())) if len(known) else None


def _out_of_place(findings: Findings) -> Number:
    """L with fewer columns, placed as the next entries, over that of the same matrices at their trained places."""
    result = findings.of(measure_out_of_distribution)
    flat, placed = result.columns, result.columns_in_place
    fewer = np.flatnonzero(placed.value != placed.trained)
    if not len(fewer):
        return None
    ratios = (
        flat.contest.bert["loss"].mean[np.isin(flat.value, placed.value[fewer])]
        / placed.contest.bert["loss"].mean[fewer]
    )
    return float(np.exp(np.log(ratios).mean()))


CLAIMS: dict[str, Claim] = {
    "beats-nuclear-norm": inside(
        "Where it was trained, BERT has a lower error than nuclear-norm minimisation.",
        "caption",
        "L of nuclear norm − L of BERT at the trained p_mask, in standard errors of the difference of pairs",
        Bound(low=SIGMAS),
        _advantage,
        figures=("3",),
    ),
    "other-ranks-like-nuclear-norm": inside(
        "On other ranks, BERT is close to nuclear-norm minimisation.",
        "caption",
        "factor between the two L, whichever is larger, geometric mean over the ranks but the trained one (of those at "
        f"which predicting zero has {CLOSE:g} times the L of nuclear norm or more), matrices scaled to the training's "
        f"values",
        Bound(high=CLOSE),
        lambda findings: _elsewhere(findings.of(measure_out_of_distribution).rank_rescaled),
        figures=("19",),
    ),
    "other-rows-like-nuclear-norm": inside(
        "With other numbers of rows, BERT is close to nuclear-norm minimisation.",
        "caption",
        "factor between the two L, whichever is larger, geometric mean over the numbers of rows but the trained one "
        f"(of those at which predicting zero has {CLOSE:g} times the L of nuclear norm or more)",
        Bound(high=CLOSE),
        lambda findings: _elsewhere(findings.of(measure_out_of_distribution).rows),
        figures=("19",),
    ),
    "other-columns-fail": inside(
        "With fewer columns, BERT is far worse as its entries then have other positions: these encode the column.",
        "caption",
        "L of BERT with fewer columns, row by row from the first position on / at the positions of the training, "
        "geometric mean over the numbers of columns",
        Bound(low=CLOSE),
        _out_of_place,
        figures=("19",),
    ),
}
