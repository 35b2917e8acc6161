"""One component trained alone (figure 8): the sweep of components."""

from typing import TYPE_CHECKING

import numpy as np

from abruptlab.paper.registry import Bound, FigureSpec, Findings, Number, SweepClaim, later

if TYPE_CHECKING:
    from abruptlab.experiments.variants import Variants

SWEEP = "components"
COMPONENTS = later("experiments.components", "measure_components")
TOKENS, POSITIONS, MLP = "token embeddings", "positional embeddings", "MLP"

NO_PLATEAU = 0.2  # of the steps of ordinary training: most of its plateau is gone
LATER = 1.1  # of them: more than the edge of a plateau's band
EARLIER = 0.9  # the same, the other way

FIGURES: dict[str, FigureSpec] = {
    "8": FigureSpec(
        "One component trained alone",
        "figure 8",
        "One component of a finished model is trained from scratch, with other weights and matrices; the rest is set "
        "to the finished model's weights and frozen. Black: the training of that model itself. Left: L_mask (running "
        "mean) over that of predicting zero (dashed); thin each seed, bold their median. Right: the first step with "
        "L_mask below half of that, which needs no plateau; open dots are seeds in whose curve the detector finds no "
        "plateau, or no drop; and the L_mask of the last steps.",
        COMPONENTS,
        later("figures.variants", "draw_variants", moment="halved"),
        sweep=SWEEP,
    ),
}


def _over_ordinary(found: Findings) -> "tuple[Variants, np.ndarray]":
    """The runs, and by component the median step with L_mask halved (the last one if there is none) over that of
    ordinary training."""
    components: Variants = found.of(COMPONENTS)
    halved = np.minimum(components.halved.median, np.nanmax(components.step))
    return components, halved / halved[-1]


def _latest(found: Findings, *labels: str, others: bool = False) -> Number:
    """The latest of these components, or of all but these."""
    components, ratios = _over_ordinary(found)
    rows = np.flatnonzero(np.isin(components.labels[:-1], labels) != others)
    counts = (components.finished[rows].min(), components.planned[rows].min())
    return Number(float(ratios[rows].max()), *map(int, counts))


QUANTITY = "first step with L_mask below half of that of predicting zero (the last step if there is none) / ordinary"

CLAIMS: dict[str, SweepClaim] = {
    "components-no-plateau": SweepClaim(
        "Token embeddings or MLP, trained alone, have no plateau.",
        "figure 8",
        f"the larger of the two: {QUANTITY} training's",
        Bound(high=NO_PLATEAU),
        lambda found: _latest(found, TOKENS, MLP),
        SWEEP,
    ),
    "components-positions-late": SweepClaim(
        "Positional embeddings, trained alone, drop late.",
        "figure 8",
        f"{QUANTITY} training's",
        Bound(low=LATER),
        lambda found: _latest(found, POSITIONS),
        SWEEP,
    ),
    "components-earlier": SweepClaim(
        "All other components, trained alone, drop earlier than in ordinary training.",
        "figure 8",
        f"the largest of attention, layer norms and read-out: {QUANTITY} training's",
        Bound(high=EARLIER),
        lambda found: _latest(found, TOKENS, MLP, POSITIONS, others=True),
        SWEEP,
    ),
}
