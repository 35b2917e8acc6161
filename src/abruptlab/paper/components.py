"""One component trained alone (figure 8): the sweep of components."""

from functools import partial

import numpy as np

from abruptlab.errors import RunError
from abruptlab.experiments.components import measure_components
from abruptlab.experiments.limits import quotient
from abruptlab.figures.variants import draw_variants
from abruptlab.paper.claim import Bound, Claim, Null, Number, OverSeeds, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.over_seeds import Measured, another_seed
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.variant_claims import by_seed, place

SWEEP = "components"
TOKENS, POSITIONS, MLP = "token embeddings", "positional embeddings", "MLP"

NO_PLATEAU = 0.2  # of the steps of ordinary training: most of its plateau is gone
EARLIER = 0.6  # of them: three times, in logarithms, what two seeds of one component typically differ by (0.85)
LATER = 1.6  # the same, the other way

FIGURES: Figures = {
    "8": FigureSpec(
        "One component trained alone",
        "figure 8",
        "One component of a finished model is trained from scratch, with other weights and matrices; the rest is set "
        "to the finished model's weights and frozen. In the last row, the training of that model itself. Left: L_mask "
        "(running mean) over that of predicting zero (dashed); thin each seed, bold their median. Right: the first "
        "step with L_mask below half of that, which needs no plateau; open dots are seeds in whose curve the detector "
        "finds no plateau, or no drop; and the L_mask of the last steps.",
        measure_components,
        partial(draw_variants, moment="halved"),
        sweep=SWEEP,
    ),
}


def _over_ordinary(*labels: str, others: bool = False) -> Measured:
    """By seed, the latest of these components, or of all but these: the step with L_mask halved (the last one if there
    is none) over that of ordinary training."""

    def latest(findings: Findings) -> OverSeeds:
        components = findings.of(measure_components)
        [ordinary] = by_seed(components, "halved", len(components.labels) - 1).values()
        rows = np.flatnonzero(np.isin(components.labels[:-1], labels) != others)
        if not len(rows):
            raise RunError(f"the sweep has no component {', '.join(labels)}")
        each = [
            {seed: quotient(halved, ordinary) for seed, halved in by_seed(components, "halved", int(row)).items()}
            for row in rows
        ]
        return OverSeeds.of(each, max, int(components.planned[rows].max()))

    return latest


def _another_seed(claim: Claim, findings: Findings) -> Number:
    """Two seeds of one component against each other: the ordinary training has one alone."""
    rows = range(len(findings.of(measure_components).labels) - 1)
    return another_seed(*(place(measure_components, "halved", row) for row in rows)).measure(claim, findings)


QUANTITY = "first step with L_mask below half of that of predicting zero (the last step if there is none) / ordinary"
ORDINARY = (null("ordinary training", lambda findings: 1.0), Null("another seed", _another_seed))

_claim = partial(Claim, nulls=ORDINARY, figures=("8",), sweep=SWEEP)

CLAIMS: dict[str, Claim] = {
    "components-no-plateau": _claim(
        "Token embeddings or MLP, trained alone, have no plateau.",
        "caption",
        f"the larger of the two: {QUANTITY} training's",
        Bound(high=NO_PLATEAU),
        _over_ordinary(TOKENS, MLP),
    ),
    "components-positions-late": _claim(
        "Positional embeddings, trained alone, drop late.",
        "caption",
        f"{QUANTITY} training's",
        Bound(low=LATER),
        _over_ordinary(POSITIONS),
    ),
    "components-earlier": _claim(
        "All other components, trained alone, drop earlier than in ordinary training.",
        "caption",
        f"the largest of attention, layer norms and read-out (and the embeddings together): {QUANTITY} training's",
        Bound(high=EARLIER),
        _over_ordinary(TOKENS, MLP, POSITIONS, others=True),
    ),
}
