"""Linear probes (figures 6, 20 and 21)."""

from typing import TYPE_CHECKING

import numpy as np

from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, at_the_end, later

if TYPE_CHECKING:
    from collections.abc import Callable

    from abruptlab.experiments.probes import Probes
    from abruptlab.run.drop import Drop

PROBES = later("experiments.probes", "measure_probes")
HOW = (
    "Linear probes (least squares without a bias, one map for all tokens) from the embeddings and from each layer's "
    "output, on matrices that they were not fitted to, for tokens at observed and at hidden places; bars: one standard "
    "error over matrices. Dashed: chance, the same probes fitted to the targets of other matrices."
)

FIGURES: dict[str, FigureSpec] = {
    "6": FigureSpec(
        "Each token's row and column, read off each layer",
        "figure 6",
        f"{HOW} The targets are the token's row and its column in the matrix with zeros at hidden places.",
        PROBES,
        later("figures.probes", "draw_probes", targets=("row", "column")),
    ),
    "20": FigureSpec(
        "Each token's value, read off each layer",
        "figure 20",
        f"{HOW} The target is the true value of the token's entry; the cosine similarity is over the places of a "
        "matrix.",
        PROBES,
        later("figures.probes", "draw_probes", targets=("element",)),
    ),
    "21": FigureSpec(
        "The top left singular vector, read off each layer",
        "figure 21",
        f"{HOW} The target is the top left singular vector of the true matrix. Its sign is arbitrary: each prediction "
        "is compared with the nearer of the vector and its negative, which lifts the chance level of the cosine above "
        "0.",
        PROBES,
        later("figures.probes", "draw_probes", targets=("singular_vector",)),
    ),
}

FAR_LOWER = 0.5  # of the early layers' error: most of what they leave open is closed
HIGHER = 0.1  # of cosine similarity: a tenth of its scale, several times the standard error of 256 matrices
HOLDS = 0.5  # of the chance level's distance from a perfect probe: most of what there is to know

ALL, HIDDEN = 0, 2  # in experiments.probes.PLACES


def _of_probes(number: "Callable[[Probes], float | None]") -> "Callable[[Findings, Drop], float | None]":
    """A number of the final model's probes."""
    return at_the_end(lambda found: number(found.of(PROBES)))


def _late_and_early(values: np.ndarray) -> tuple[float, float]:
    """Means over the second half of the layers, and over the first half and the embeddings."""
    half = 1 + (len(values) - 1) // 2
    return float(values[half:].mean()), float(values[:half].mean())


def _row_error(probes: "Probes") -> float:
    late, early = _late_and_early(probes.row.mse.mean[:, ALL])
    return late / early


def _row_cosine(probes: "Probes") -> float:
    late, early = _late_and_early(probes.row.cosine.mean[:, ALL])
    return late - early


def _element(probes: "Probes") -> float | None:
    """Between the embeddings and the last layer, which has to give the value out anyway."""
    ratios = (probes.element.mse.mean / probes.element.chance_mse.mean)[1:-1, HIDDEN]
    return float(ratios.min()) if len(ratios) else None


def _singular_vector(probes: "Probes") -> float | None:
    """By the cosine, as a singular vector is a direction."""
    probe = probes.singular_vector
    ratios = ((1 - probe.cosine.mean) / (1 - probe.chance_cosine.mean))[1:-1, ALL]
    return float(ratios.min()) if len(ratios) else None


CLAIMS: dict[str, Claim] = {
    "late-layers-hold-rows": Claim(
        "The second half of the layers holds a token's row: far lower error of a linear probe.",
        "figure 6",
        "MSE of the row probe, mean over the second half of the layers / over the first and the embeddings",
        Bound(high=FAR_LOWER),
        _of_probes(_row_error),
    ),
    "late-layers-align-with-rows": Claim(
        "The second half of the layers holds a token's row: higher cosine similarity of a linear probe.",
        "figure 6",
        "cosine of the row probe, mean over the second half of the layers - over the first and the embeddings",
        Bound(low=HIGHER),
        _of_probes(_row_cosine),
    ),
    "middle-layers-hold-elements": Claim(
        "Layers before the last hold the values at hidden places.",
        "figure 20",
        "smallest MSE of the element probe at hidden places / chance, embeddings and last layer left out",
        Bound(high=HOLDS),
        _of_probes(_element),
    ),
    "middle-layers-hold-singular-vectors": Claim(
        "Layers before the last hold the top left singular vector.",
        "figure 21",
        "smallest (1 - |cosine|) of its probe / chance, embeddings and last layer left out",
        Bound(high=HOLDS),
        _of_probes(_singular_vector),
    ),
}
