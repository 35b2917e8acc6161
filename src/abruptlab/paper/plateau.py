"""The follow-up paper's main run: plateau, partial solution, biases and attention (arXiv 2506.13688)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from abruptlab.errors import RunError
from abruptlab.experiments.plateau import Plateau, measure_plateau
from abruptlab.experiments.unsolved import measure_unsolved_collapse
from abruptlab.figures.plateau import draw_plateau
from abruptlab.paper.claim import STOPPED, Bound, Claim, Number, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import FAST, STEADY_FALL, fall_width, known_drop

FIGURES: Figures = {
    "plateau": FigureSpec(
        "What happens during the loss plateau",
        "follow-up paper",
        "The measures of a training, over its steps. Loss over the answer: faint each step's, strong the running "
        "mean, dashed what is lost by who reads nothing. Accuracy of what the model writes from the prompt: of all "
        "tokens, of whole answers, and of each place. Repetition bias, the share of equal neighbours in what it writes "
        "(dashed: in the true answers), and representation collapse, the mean cosine similarity of the last layer's "
        "outputs at two places of the answer. Attention progress, the share of the attention on what the answer needs "
        "(dashed: of attending to all places alike). Yellow: the drop, from onset to end.",
        measure_plateau,
        draw_plateau,
        kind="sequence",
    ),
}

KNOWN = 0.9  # of the answers at one place: nothing else in the run is right so often before the drop
COLLAPSED = 0.9  # a cosine: "near 1"
REPETITIVE = 3.0  # times as many equal neighbours as in the true answers
FADED = 0.5  # of its value on the plateau
AHEAD = 0.5  # of its way: most of it, where the loss has covered a tenth
STEADY = 0.9  # rank correlation with the step
FEWEST = 3  # measured steps in the last half of the plateau: fewer do not say how a measure is there

OfPlateau = Callable[[Plateau], float]


def _of(number: OfPlateau) -> Callable[[Findings], Number]:
    """A number of the plateau of a run that has a drop, and was measured often enough before it."""

    def measured(findings: Findings) -> Number:
        known_drop(findings)
        plateau = findings.of(measure_plateau)
        times = np.count_nonzero(plateau.last_half)
        if times < FEWEST:
            raise RunError(f"measured at {times} steps of the last half of the plateau, expected {FEWEST} or more")
        return number(plateau)

    return measured


def _over(over: float, under: float, nothing: str) -> float:
    """One number over the other. Raises `RunError`, saying what is nothing, where the other one is not above 0."""
    if not under > 0:
        raise RunError(nothing)
    return float(over / under)


def _abruptness(plateau: Plateau) -> float:
    start, stop = plateau.rise
    if not np.isfinite(start):
        raise RunError("the accuracy does not rise")
    return (stop - start) / start


def _over_truth(plateau: Plateau, repetition: float) -> float:
    return _over(repetition, plateau.repetition_of_truth, "the true answers have no equal neighbours")


def _share_at_onset(plateau: Plateau, name: str) -> float:
    """How much of its way from the first to the last step a measure has covered at the onset."""
    assert plateau.curves.drop is not None
    values = getattr(plateau, name)
    way, covered = values[-1] - values[0], plateau.at(plateau.curves.drop.onset, values) - values[0]
    return _over(covered * np.sign(way), abs(way), f"the {name} ends as it began")


def _final_over_plateau(plateau: Plateau, name: str) -> float:
    values = getattr(plateau, name)
    return _over(values[-1], float(plateau.on_plateau(values)), f"there is no {name} on the plateau")


def _steadiness(plateau: Plateau, name: str) -> float:
    """Rank correlation of a measure with the step, until the onset."""
    assert plateau.curves.drop is not None
    before = getattr(plateau, name)[plateau.step < plateau.curves.drop.onset]
    if not np.ptp(before):
        return 0.0
    correlation: Any = spearmanr(np.arange(len(before)), before)
    return float(correlation.statistic)


def _claim(
    text: str, quantity: str, bound: Bound, number: OfPlateau, name: str, of_null: OfPlateau, *, final: bool = False
) -> Claim:
    """A claim of the follow-up paper about the measures of a run."""
    return Claim(
        text,
        "follow-up",
        quantity,
        bound,
        _of(number),
        (null(name, _of(of_null)),),
        figures=("plateau",),
        kind="sequence",
        curve=True,
        final=final,
    )


CLAIMS: dict[str, Claim] = {
    "plateau-drop": Claim(
        "The loss over the answer stays on a plateau, then changes abruptly.",
        "follow-up",
        "steps of the fall of the loss over the answer / steps before it",
        Bound(high=FAST),
        fall_width,
        (STEADY_FALL, STOPPED),
        figures=("plateau",),
        kind="sequence",
        curve=True,
        fails_without_drop=True,
    ),
    "plateau-accuracy": _claim(
        "So does the accuracy of what is written.",
        "steps from a tenth to nine tenths of the accuracy's rise / steps before them",
        Bound(high=FAST),
        _abruptness,
        "a steady rise",
        lambda plateau: (0.9 - 0.1) / 0.1,
    ),
    "plateau-partial": _claim(
        "On the plateau a partial solution is there already.",
        "accuracy of the best place of the answer on the plateau",
        Bound(low=KNOWN),
        lambda plateau: float(plateau.on_plateau(plateau.places).max()),
        "the other places",  # their median
        lambda plateau: float(np.median(np.sort(plateau.on_plateau(plateau.places))[:-1])),
    ),
    "plateau-repetition": _claim(
        "On the plateau, what is written repeats itself.",
        "share of equal neighbours in what is written on the plateau / in the true answers",
        Bound(low=REPETITIVE),
        lambda plateau: _over_truth(plateau, float(plateau.on_plateau(plateau.repetition))),
        "at the end",
        lambda plateau: _over_truth(plateau, float(plateau.repetition[-1])),
    ),
    "plateau-collapse": _claim(
        "On the plateau, the hidden states at the places of the answer are nearly parallel.",
        "mean cosine similarity of the last layer's outputs at two places of the answer, on the plateau",
        Bound(low=COLLAPSED),
        lambda plateau: float(plateau.on_plateau(plateau.collapse)),
        "at the end",
        lambda plateau: float(plateau.collapse[-1]),
    ),
    "plateau-collapse-code": Claim(  # written down when 0.97 had been seen at two seeds, with the bound of the other
        "So they are as the public code takes them: behind the final LayerNorm, at the places that are not solved.",
        "follow-up",
        "mean cosine similarity of the states that the read-out sees at two places of the answer that are right less "
        "than half of the time, in the middle of the plateau",
        Bound(low=COLLAPSED),
        lambda findings: float(findings.of(measure_unsolved_collapse).collapse.mean[0]),
        (null("at the end", lambda findings: float(findings.of(measure_unsolved_collapse).collapse.mean[1])),),
        figures=("plateau",),
        kind="sequence",
    ),
    **{
        f"plateau-{name}-fades": _claim(
            f"The {name} fades with the drop.",
            f"{what} at the end / on the plateau",
            Bound(high=FADED),
            partial(_final_over_plateau, name=name),
            "no change",
            lambda plateau: 1.0,
            final=True,
        )
        for name, what in (("repetition", "share of equal neighbours"), ("collapse", "mean cosine similarity"))
    },
    "plateau-attention-first": _claim(
        "By the onset, the attention has gone most of its way to where it is needed.",
        "share of its way that attention progress has covered at the onset (the loss: 0.1)",
        Bound(low=AHEAD),
        lambda plateau: _share_at_onset(plateau, "attention"),
        "accuracy",
        lambda plateau: _share_at_onset(plateau, "accuracy"),
        final=True,
    ),
    "plateau-attention-steady": _claim(
        "It rises steadily on the plateau.",
        "rank correlation of attention progress with the step, until the onset",
        Bound(low=STEADY),
        lambda plateau: _steadiness(plateau, "attention"),
        "repetition bias",
        lambda plateau: _steadiness(plateau, "repetition"),
    ),
}
