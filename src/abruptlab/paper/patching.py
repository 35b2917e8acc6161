"""Activation patching from X into −X: what carries the prediction of the hidden entries (interventions in the text)."""

from typing import TYPE_CHECKING

import numpy as np

from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, later

if TYPE_CHECKING:
    from abruptlab.experiments.patching import PatchingMaps

MAPS = later("experiments.patching", "measure_patching_maps")

MOST = 0.5  # of the way from −X to X: past the middle the prediction has X's sign
HARDLY = 0.1  # of the way: a tenth, as the size up to which a prediction counts as zero
LESS = 0.5  # a clear difference; a model blind to rows and columns has 1

FIGURES: dict[str, FigureSpec] = {
    "patching": FigureSpec(
        "Activations of X patched into −X",
        "text, activation patching",
        "The effect of activations from the run on X in the run on −X (same mask): 0, the prediction stays that of "
        "−X; 1, it becomes that of X. Above: the outputs z of one head, at the hidden entries, and of all heads of one "
        "layer, at the hidden and the observed ones; bars: one standard error over matrices. Below: each place of the "
        "matrix shows the effect of what enters the layer there: on the prediction at that place itself (if hidden), "
        "on those at all other hidden places, and on that at one hidden place (outlined).",
        MAPS,
        later("figures.patching", "draw_patching"),
    ),
}


def _cross(maps: "PatchingMaps") -> float | None:
    """The mean effect of an entry's embedding on the hidden entries outside its row and column, over that within.

    None for a matrix of one row or column, which has none outside.
    """
    rows, columns = maps.size
    i, j = np.divmod(np.arange(rows * columns), columns)
    same_row, same_column = i[:, None] == i, j[:, None] == j
    effects = maps.between.mean[0]
    within, outside = effects[same_row != same_column], effects[~same_row & ~same_column]
    return float(outside.mean() / within.mean()) if len(outside) and within.mean() else None


def _maps(found: Findings) -> "PatchingMaps":
    return found.of(MAPS)


CLAIMS: dict[str, Claim] = {
    "patching-completes": Claim(
        "The heads of one layer, patched from X into −X, turn most of the prediction at hidden entries.",
        "text, activation patching",
        "largest effect of a layer's z at hidden entries (0: as for −X, 1: as for X)",
        Bound(low=MOST),
        lambda found, drop: float(_maps(found).layer_masked.mean.max()),
    ),
    "patching-spares-observed": Claim(
        "Observed entries are not copied through the heads: patched, they hardly move.",
        "text, activation patching",
        "largest |effect| of a layer's z at observed entries",
        Bound(high=HARDLY),
        lambda found, drop: float(np.abs(_maps(found).layer_observed.mean).max()),
    ),
    "patching-row-column": Claim(
        "An entry matters most for the hidden entries of its own row and column.",
        "text, activation patching; figure 4",
        "mean effect of an entry's embedding on hidden entries outside its row and column / within",
        Bound(high=LESS),
        lambda found, drop: _cross(_maps(found)),
    ),
}
