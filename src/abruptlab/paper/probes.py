"""Linear probes (figures 6, 20 and 21)."""

from functools import partial

import numpy as np
from jaxtyping import Float

from abruptlab.errors import ConfigError
from abruptlab.experiments.probes import measure_probes
from abruptlab.figures.probes import draw_probes
from abruptlab.paper.claim import Bound, Claim, Number, inside
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec

HOW = (
    "Linear probes (least squares without a bias, one map for all tokens) from the embeddings and from each layer's "
    "output, on matrices that they were not fitted to, for tokens at observed and at hidden places; bars: one standard "
    "error over matrices. Dashed: chance, the same probes fitted to the targets of other matrices."
)

FIGURES: Figures = {
    "6": FigureSpec(
        "Each token's row and column, read off each layer",
        "figure 6",
        f"{HOW} The targets are the token's row and its column in the matrix with zeros at hidden places.",
        measure_probes,
        partial(draw_probes, targets=("row", "column")),
    ),
    "20": FigureSpec(
        "Each token's value, read off each layer",
        "figure 20",
        f"{HOW} The target is the true value of the token's entry; the cosine similarity is over the places of a "
        "matrix.",
        measure_probes,
        partial(draw_probes, targets=("element",)),
    ),
    "21": FigureSpec(
        "The top left singular vector, read off each layer",
        "figure 21",
        f"{HOW} The target is the top left singular vector of the true matrix. Its sign is arbitrary: each prediction "
        "is compared with the nearer of the vector and its negative, which lifts the chance level of the cosine above "
        "0.",
        measure_probes,
        partial(draw_probes, targets=("singular_vector",)),
    ),
}

FAR_LOWER = 0.5  # of the early layers' error: most of what they leave open is closed
HIGHER = 0.1  # of cosine similarity: a tenth of its scale, several times the standard error of 256 matrices
HOLDS = 0.5  # of the chance level's distance from a perfect probe: most of what there is to know

ALL, HIDDEN = 0, 2  # in experiments.probes.PLACES


def _late_and_early(values: Float[np.ndarray, " site"]) -> tuple[float, float]:
    """Means over the second and over the first half of the layers (of five, the third belongs to the second); the
    embeddings, the first site, belong to neither."""
    layers = values[1:]
    half = len(layers) // 2
    if not half:
        raise ConfigError("one layer has no halves")
    return float(layers[half:].mean()), float(layers[:half].mean())


def _lines(findings: Findings, score: str) -> list[tuple[float, float]]:
    """A score of the row's probe and of the column's. A claim takes of the two the one that tells the halves apart
    better: which of them a model holds is arbitrary, as the task does not change when rows become columns."""
    probes = findings.of(measure_probes)
    return [_late_and_early(getattr(probe, score).mean[:, ALL]) for probe in (probes.row, probes.column)]


def _element(findings: Findings) -> Number:
    """Between the embeddings and the last layer, which has to give the value out anyway."""
    probe = findings.of(measure_probes).element
    ratios = (probe.mse.mean / probe.chance_mse.mean)[1:-1, HIDDEN]
    return float(ratios.min()) if len(ratios) else None


def _singular_vector(findings: Findings) -> Number:
    """By the cosine, as a singular vector is a direction."""
    probe = findings.of(measure_probes).singular_vector
    ratios = ((1 - probe.cosine.mean) / (1 - probe.chance_cosine.mean))[1:-1, ALL]
    return float(ratios.min()) if len(ratios) else None


CLAIMS: dict[str, Claim] = {
    "late-layers-hold-lines": inside(
        "The second half of the layers holds a token's row (or column): far lower error of a linear probe.",
        "caption",
        "MSE of the probe, mean over the second half of the layers / over the first; of row and column the smaller",
        Bound(high=FAR_LOWER),
        lambda findings: min(late / early for late, early in _lines(findings, "mse")),
        figures=("6",),
    ),
    "late-layers-align-with-lines": inside(
        "The second half of the layers holds a token's row (or column): higher cosine similarity of a linear probe.",
        "caption",
        "cosine of the probe, mean over the second half of the layers − over the first; of row and column the larger",
        Bound(low=HIGHER),
        lambda findings: max(late - early for late, early in _lines(findings, "cosine")),
        figures=("6",),
    ),
    "middle-layers-hold-elements": inside(
        "Layers before the last hold the values at hidden places.",
        "caption",
        "smallest MSE of the element probe at hidden places / chance, embeddings and last layer left out",
        Bound(high=HOLDS),
        _element,
        figures=("20",),
    ),
    "middle-layers-hold-singular-vectors": inside(
        "Layers before the last hold the top left singular vector.",
        "caption",
        "smallest (1 − |cosine|) of its probe / chance, embeddings and last layer left out",
        Bound(high=HOLDS),
        _singular_vector,
        figures=("21",),
    ),
}
