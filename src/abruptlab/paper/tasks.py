"""The follow-up paper's other tasks, and its main task in other models, sizes and optimisers (arXiv 2506.13688): the
sweep `tasks`.

The bounds are those of the main run and of the easiest task; none was seen a number for.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from abruptlab.experiments.plateaus import Plateaus, measure_plateaus
from abruptlab.figures.plateau import draw_each_plateau
from abruptlab.paper.claim import Bound, Claim, Number, OverSeeds, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.over_seeds import Measured, OfAll
from abruptlab.paper.plateaus import rise_over_before
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import FAST

SWEEP = "tasks"
HARD = ("prefix sums", "permutation", "concatenated windows", "histogram", "addition")

READING = (
    "Over the steps: red, with the axis at the right, the loss over the answer (running mean, nats a token); black, "
    "with the axis at the left, the share of the tokens that the model writes right. A line each seed."
)


def _figure(title: str, family: str, what: str) -> FigureSpec:
    measure = partial(measure_plateaus, family=family)
    return FigureSpec(title, "follow-up paper", f"{what} {READING}", measure, draw_each_plateau, sweep=SWEEP)


FIGURES: Figures = {
    "plateau-tasks": _figure("Other tasks", "task", "Five tasks that are not easy."),
    "plateau-easy": _figure("Easy tasks", "easy", "Numbers copied, copied backwards, and one repeated."),
    "plateau-sums": _figure("Other windows, moduli and lengths", "sums", "The main task in other sizes."),
    "plateau-models": _figure("Other models", "model", "The main task in other models."),
    "plateau-optimisers": _figure("The optimisers' curves", "optimiser", "The main task with other optimisers."),
}


def _most(of_all: OfAll, figure: str, number: Callable[[Plateaus, str], dict[int, float]], label: str = "") -> Measured:
    """Of each seed, the number of this variant in a figure, or, of none, the largest or smallest among all of them."""

    def measured(findings: Findings) -> OverSeeds:
        plateaus: Plateaus = findings.of(FIGURES[figure].measure)
        each = [number(plateaus, one) for one in ([label] if label else map(str, plateaus.labels))]
        return OverSeeds.of(each, of_all, int(plateaus.planned.max()))

    return measured


def _of_main_task(findings: Findings) -> Number:
    """The median of such a rise of the main task, which has a plateau."""
    plateaus: Plateaus = findings.of(FIGURES["plateau-sums"].measure)
    rises = [*rise_over_before(plateaus, str(plateaus.labels[0])).values()]
    return float(np.median(rises)) if rises else None


STEADY = null("a steady fall", lambda findings: (0.9 - 0.1) / 0.1)
FALL = "steps of the fall of the loss over the answer / steps before it (the steps of the run if there is no drop)"


def _drops(text: str, varied: str, label: str = "") -> Claim:
    """A claim on one variant in the figure of what is varied, or on the slowest of all."""
    figure = f"plateau-{varied}"
    return Claim(
        text,
        "follow-up",
        f"{label or 'the slowest of all'}: {FALL}",
        Bound(high=FAST),
        _most(max, figure, lambda plateaus, one: plateaus.by_seed("fall", one), label),
        (STEADY,),
        figures=(figure,),
        sweep=SWEEP,
    )


CLAIMS: dict[str, Claim] = {
    **{
        f"task-{label.replace(' ', '-')}": _drops(f"A plateau, then an abrupt change: {label}.", "tasks", label)
        for label in HARD
    },
    "tasks-easy": Claim(
        "Copying, forwards and backwards, and repeating have no plateau to speak of.",
        "follow-up",
        "the smallest of all: steps from a tenth to nine tenths of the accuracy's rise / steps before them",
        Bound(low=FAST),
        _most(min, "plateau-easy", rise_over_before),
        (null("the main task", _of_main_task),),
        figures=("plateau-easy",),
        sweep=SWEEP,
    ),
    "same-with-sums": _drops("The same picture with other windows, moduli and lengths.", "sums"),
    "same-with-models": _drops("The same picture with softmax attention, other widths, and two layers.", "models"),
    "same-with-optimisers": _drops(
        "The same picture with Muon, SGD, and Adam with warm-up and a cosine.", "optimisers"
    ),
}
