"""Token and positional embeddings (figures 7, 9 and 10)."""

from typing import TYPE_CHECKING

import numpy as np

from abruptlab.errors import CheckpointError
from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, later

if TYPE_CHECKING:
    from abruptlab.experiments.embeddings import Embeddings
    from abruptlab.run.drop import Drop

EMBEDDINGS = later("experiments.embeddings", "measure_embeddings")
OVER_TIME = later("experiments.embeddings", "measure_embeddings_over_time")

FIGURES: dict[str, FigureSpec] = {
    "7": FigureSpec(
        "Token and positional embeddings",
        "figure 7",
        "(a) L2 norm of the embeddings of the value tokens, and their symmetry: the correlation of the norms of x and "
        "−x over all x ≠ 0. (b) The tokens on their first two principal components, with the share of the variance "
        "that each explains and its correlations with |x| and sign(x). (c, d) t-SNE and principal components of the "
        "positional embeddings, coloured by column and by row, with the mean silhouette of that grouping in the full "
        "space of the embeddings and, for comparison, that of shuffled labels (mean ± standard deviation). Values are "
        "those within ±1.5 that have a token and that the task can produce: with uniform factors of rank r, none "
        "exceeds r, and the tokens beyond it are never trained.",
        EMBEDDINGS,
        later("figures.embeddings", "draw_embeddings"),
    ),
    "9": FigureSpec(
        "Token embeddings over the training",
        "figure 9",
        "The value tokens at several checkpoints, on the first two principal components of the final ones. Below: the "
        "|correlation| of one component with |x| and of the other with sign(x), the share of the variance at that "
        "step that the two components hold, and the symmetry of the norms (the correlation of those of x and −x).",
        OVER_TIME,
        later("figures.embeddings", "draw_tokens_over_time"),
    ),
    "10": FigureSpec(
        "Positional embeddings over the training",
        "figure 10",
        "t-SNE of the positional embeddings at several checkpoints, coloured by column and by row. t-SNE has no axes "
        "to share, so each starts from the final layout. Below: the mean silhouette of the grouping in the full space "
        "of the embeddings.",
        OVER_TIME,
        later("figures.embeddings", "draw_positions_over_time"),
    ),
}

SYMMETRIC = 0.8  # then nine tenths of the variance of the norms lie in their even part
FOLLOWS = 0.8  # a component linear in x, whose correlation with sign(x) is √3/2, is one of sign
STRUCTURE = 0.25  # of a silhouette: less is no substantial structure (Kaufman and Rousseeuw, 1990)
BEFORE = 0.5  # of what there is after the drop: most of it comes with the drop


def _before_over_after(found: Findings, quantity: str) -> float | None:
    """The quantity at mid-plateau over that after the drop; None where there is nothing after it."""
    from abruptlab.experiments.embeddings import magnitude_and_sign

    over_time: Embeddings = found.of(OVER_TIME)
    values = {
        "tokens": magnitude_and_sign(over_time.tokens).min(-1),
        "positions": over_time.positions.by_column.score,
    }[quantity]
    before, after = (_value(over_time, values, found.run.resolve(at)) for at in ("before-drop", "after-drop"))
    return before / after if after > 0 else None


def _value(over_time: "Embeddings", values: np.ndarray, step: int) -> float:
    if step not in over_time.step:
        raise CheckpointError(f"the embeddings have not been measured at step {step}")
    return float(values[over_time.step == step][0])


def _components(found: Findings, drop: "Drop") -> float:
    from abruptlab.experiments.embeddings import magnitude_and_sign

    return float(magnitude_and_sign(found.of(EMBEDDINGS).tokens).min())


def _columns(found: Findings, drop: "Drop") -> float:
    return float(found.of(EMBEDDINGS).positions.by_column.score)


CLAIMS: dict[str, Claim] = {
    "norm-symmetry": Claim(
        "The norm of token embeddings is symmetric about zero.",
        "figure 7a",
        "correlation of the norms of x and −x, over all x ≠ 0",
        Bound(low=SYMMETRIC),
        lambda found, drop: float(found.of(EMBEDDINGS).tokens.norm_symmetry),
    ),
    "magnitude-and-sign": Claim(
        "The top two components of token embeddings are magnitude and sign.",
        "figure 7b",
        "the weaker of |correlation| of one component with |x| and of the other with sign(x)",
        Bound(low=FOLLOWS),
        _components,
    ),
    "columns-cluster": Claim(
        "Positions of one column cluster.",
        "figure 7c",
        "mean silhouette of the positional embeddings by column",
        Bound(low=STRUCTURE),
        _columns,
    ),
    "columns-not-rows": Claim(
        "Positions cluster by column, not by row.",
        "figure 7c",
        "mean silhouette by column − by row",
        Bound(low=STRUCTURE),
        lambda found, drop: _columns(found, drop) - float(found.of(EMBEDDINGS).positions.by_row.score),
    ),
    "tokens-with-drop": Claim(
        "The structure of token embeddings appears with the drop.",
        "figure 9",
        "the weaker correlation with |x| and sign(x) on the final axes, at mid-plateau / after the drop",
        Bound(high=BEFORE),
        lambda found, drop: _before_over_after(found, "tokens"),
    ),
    "positions-with-drop": Claim(
        "The clusters of positions appear with the drop.",
        "figure 10",
        "mean silhouette by column, at mid-plateau / after the drop",
        Bound(high=BEFORE),
        lambda found, drop: _before_over_after(found, "positions"),
    ),
}
