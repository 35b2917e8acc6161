"""BERT against nuclear-norm minimisation (figures 3 and 19)."""

from typing import TYPE_CHECKING

import numpy as np

from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, at_the_end, later

if TYPE_CHECKING:
    from abruptlab.experiments.comparison import Comparison
    from abruptlab.experiments.out_of_distribution import OutOfDistribution, Varied

COMPARISON = later("experiments.comparison", "measure_comparison")
OUT_OF_DISTRIBUTION = later("experiments.out_of_distribution", "measure_out_of_distribution")

FIGURES: dict[str, FigureSpec] = {
    "3": FigureSpec(
        "BERT against nuclear-norm minimisation",
        "figure 3",
        "L, L_mask and the mean nuclear norm of the solution over the probability of hiding an entry, for BERT, "
        "trained at one probability (dotted), and for the matrix of least nuclear norm that has the observed entries, "
        "on the same matrices; bars: one standard error over matrices. Dashed: predicting zero at hidden entries; the "
        "norm of the true matrix.",
        COMPARISON,
        later("figures.comparison", "draw_comparison"),
    ),
    "19": FigureSpec(
        "Out of distribution: other ranks and sizes",
        "figure 19",
        "L and L_mask of BERT and of nuclear-norm minimisation on matrices of another rank, number of rows or number "
        "of columns than in the training (dotted), on the same matrices; bars: one standard error over matrices. BERT "
        "takes a matrix row by row from its first position on, so that with another number of columns entries have "
        "other positions than in the training; more entries than positions there cannot be. Of a higher rank, "
        "matrices with a value that has no token are left out (in brackets the share that stays), and of the others "
        "many values have tokens that the training never draws.",
        OUT_OF_DISTRIBUTION,
        later("figures.comparison", "draw_out_of_distribution"),
    ),
}

SIGMAS = 3.0  # standard errors: no chance
APART = 1.25  # factor between two errors: more than an imperfect imitation of one method by the other would give
APART_IN_NORM = 0.25  # of the way from the least norm to the true one: likewise
CLOSE = 2.0  # factor between two errors that span decades


def _advantage(found: Findings) -> float:
    result: Comparison = found.of(COMPARISON)
    excess = result.contest.excess.loss
    at = np.flatnonzero(result.probability == result.trained)[0]
    return float(-excess.mean[at] / excess.error[at])


def _error_gap(found: Findings) -> float | None:
    contest = found.of(COMPARISON).contest
    return _either_way(contest.bert.loss.mean / contest.nuclear.loss.mean)


def _norm_gap(found: Findings) -> float:
    contest = found.of(COMPARISON).contest
    bert, least, true = (each.mean for each in (contest.bert_norm, contest.nuclear_norm, contest.true_norm))
    return float(np.abs(bert - least).sum() / (true - least).sum())


def _elsewhere(found: Findings, axis: str) -> np.ndarray:
    """L of BERT over that of nuclear norm, where the axis has another value than in the training."""
    result: OutOfDistribution = found.of(OUT_OF_DISTRIBUTION)
    varied: Varied = getattr(result, axis)
    ratios = varied.contest.bert.loss.mean / varied.contest.nuclear.loss.mean
    return ratios[(varied.value != varied.trained) & np.isfinite(ratios)]


def _either_way(ratios: np.ndarray) -> float | None:
    """The geometric mean of the factors, each taken above 1; none without any."""
    return float(np.exp(np.abs(np.log(ratios)).mean())) if len(ratios) else None


def _geometric_mean(ratios: np.ndarray) -> float | None:
    return float(np.exp(np.log(ratios).mean())) if len(ratios) else None


CLAIMS: dict[str, Claim] = {
    "beats-nuclear-norm": Claim(
        "Where it was trained, BERT has a lower error than nuclear-norm minimisation.",
        "figure 3",
        "L of nuclear norm − L of BERT at the trained p_mask, in standard errors of the difference of pairs",
        Bound(low=SIGMAS),
        at_the_end(_advantage),
    ),
    "not-nuclear-norm-in-error": Claim(
        "The errors of BERT and of nuclear-norm minimisation differ over p_mask: BERT does something else.",
        "figure 3",
        "factor between the two L, whichever is larger, geometric mean over p_mask (1 for the same method)",
        Bound(low=APART),
        at_the_end(_error_gap),
    ),
    "not-nuclear-norm-in-norm": Claim(
        "The nuclear norms of the two solutions differ over p_mask: BERT does something else.",
        "figure 3",
        "|norm of BERT's solution − least norm| / (true norm − least norm), sums over p_mask (0 for the same method)",
        Bound(low=APART_IN_NORM),
        at_the_end(_norm_gap),
    ),
    "other-ranks-like-nuclear-norm": Claim(
        "On other ranks, BERT is close to nuclear-norm minimisation.",
        "figure 19",
        "factor between the two L, whichever is larger, geometric mean over the ranks but the trained one",
        Bound(high=CLOSE),
        at_the_end(lambda found: _either_way(_elsewhere(found, "rank"))),
    ),
    "other-rows-like-nuclear-norm": Claim(
        "With other numbers of rows, BERT is close to nuclear-norm minimisation.",
        "figure 19",
        "factor between the two L, whichever is larger, geometric mean over the numbers of rows but the trained one",
        Bound(high=CLOSE),
        at_the_end(lambda found: _either_way(_elsewhere(found, "rows"))),
    ),
    "other-columns-fail": Claim(
        "With other numbers of columns, BERT is far worse than nuclear-norm minimisation: positions encode the column.",
        "figure 19",
        "L of BERT / L of nuclear norm, geometric mean over the numbers of columns but the trained one",
        Bound(low=CLOSE),
        at_the_end(lambda found: _geometric_mean(_elsewhere(found, "columns"))),
    ),
}
