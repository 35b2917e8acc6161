"""Activation patching from X into −X: what carries the prediction of the hidden entries (interventions in the text)."""

import numpy as np

from abruptlab.experiments.patching import measure_entry_patching, measure_layer_patching, measure_patching_maps
from abruptlab.figures.patching import draw_patching
from abruptlab.paper.claim import Bound, Claim, Number, inside, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec

FIGURES: Figures = {
    "patching": FigureSpec(
        "Activations of X patched into −X",
        "text, activation patching",
        "The effect of activations from the run on X in the run on −X (same mask): 0, the prediction stays that of "
        "−X; 1, it becomes that of X. Above: the outputs z of one head, at the hidden entries, and of all heads of one "
        "layer, at the hidden and the observed ones; bars: one standard error over matrices. Below: each place of the "
        "matrix shows the effect of what enters the layer there: on the prediction at that place itself (if hidden), "
        "on those at all other hidden places, and on that at one hidden place (outlined).",
        measure_patching_maps,
        draw_patching,
    ),
}

TURNED = 0.5  # of the way from −X to X: past the middle the prediction has X's sign
HARDLY = 0.1  # of it: a tenth, as the size up to which a prediction counts as zero
LESS = 0.5  # a clear difference; a model blind to rows and columns has 1


def _observed_too(findings: Findings, stream: bool = False) -> Number:
    """How far the layer that turns the hidden entries most turns the observed ones, or all that leaves it (`stream`)
    does, of that; none if it turns hardly anything."""
    layers = findings.of(measure_layer_patching)
    most = layers.masked.mean.argmax()
    places = layers.stream_observed if stream else layers.observed
    hidden, observed = (float(each.mean[most]) for each in (layers.masked, places))
    return abs(observed) / hidden if hidden > HARDLY else None


def _cross(findings: Findings) -> Number:
    """The mean effect of an entry's embedding on the hidden entries outside its row and column, over that within.

    None for a matrix of one row or column, which has none outside.
    """
    patching = findings.of(measure_entry_patching)
    rows, columns = patching.size
    i, j = np.divmod(np.arange(rows * columns), columns)
    same_row, same_column = i[:, None] == i, j[:, None] == j
    effects = patching.between.mean
    within, outside = effects[same_row != same_column], effects[~same_row & ~same_column]
    return float(outside.mean() / within.mean()) if len(outside) and within.mean() else None


CLAIMS: dict[str, Claim] = {
    "patching-completes": inside(
        "The heads of one layer, patched from X into −X, turn most of the prediction at hidden entries.",
        "text",
        "largest turn of a layer's z at hidden entries (0: still −X, 1: X)",
        Bound(low=TURNED),
        lambda findings: float(findings.of(measure_layer_patching).masked.mean.max()),
        figures=("patching",),
    ),
    "patching-spares-observed": inside(
        "Observed entries are not copied through those heads: patched, they hardly turn.",
        "text",
        "turn of that layer's z at observed entries / at hidden ones; judged where it turns a tenth of these",
        Bound(high=HARDLY),
        _observed_too,
        null("all that leaves the layer", lambda findings: _observed_too(findings, stream=True)),
        figures=("patching",),
    ),
    "patching-row-column": inside(
        "An entry matters most for the hidden entries of its own row and column.",
        "text",
        "mean effect of an entry's embedding on hidden entries outside its row and column / within",
        Bound(high=LESS),
        _cross,
        figures=("patching", "4"),
    ),
}
