"""What makes the plateau of the follow-up paper's main run longer or shorter, and tasks that have none (arXiv
2506.13688): the sweeps `plateau` and `repeat`."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from abruptlab.experiments.limits import later, quotient
from abruptlab.experiments.plateaus import Plateaus, measure_plateaus
from abruptlab.figures.plateau import draw_plateaus
from abruptlab.paper.claim import Bound, Claim, Null, Number, OverSeeds, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import FAST
from abruptlab.paper.variant_claims import among_seeds, median, ratios

SWEEP, EASY, OWN = "plateau", "repeat", "own-parts"
REMOVED = 0.5  # of the plateau's steps: gone
EARLIER = 0.7  # of them: three times, in logarithms, what seeds 0 and 1 of the main run differ by (steps 146 and 164)
LATER = 1 / EARLIER
LATE = {25: "×10 from step 25", 50: "×10 from step 50", 75: "×10 from step 75", 100: "×10 from step 100"}


def measure(family: str) -> "partial[Plateaus]":
    """The measurement of a family of variants."""
    return partial(measure_plateaus, family=family)


READING = (
    "Left: the share of the tokens that the model writes right, over the steps; thin each seed, bold their median. "
    "Right: the first step with half of them right; dots are seeds, open ones did not come that far by their last "
    "step, the tick is their median."
)


def _figure(title: str, family: str, what: str, sweep: str = SWEEP) -> FigureSpec:
    return FigureSpec(title, "follow-up paper", f"{what} {READING}", measure(family), draw_plateaus, sweep=sweep)


FIGURES: Figures = {
    "plateau-attention": _figure(
        "Useful attention multiplied",
        "useful attention",
        "The attention to what the answer needs is multiplied by a number, in training and when the model writes.",
    ),
    "plateau-late": _figure(
        "Useful attention multiplied from a step on", "late", "The same, from some step of the plateau on."
    ),
    "plateau-parts": _figure(
        "Parts that start as they end",
        "parts",
        "Some parts of the model start as they ended in a finished run of another seed; all are trained, or those stay "
        "frozen.",
    ),
    "plateau-own-parts": _figure(
        "Parts that start as they end in the same run",
        "own parts",
        "Some parts of the model start as they ended in the finished run of the same seed, whose other weights are the "
        "same; all are trained, or those stay frozen.",
        OWN,
    ),
    "plateau-frozen": _figure(
        "Parts that stay as they start", "frozen at random", "Some parts of the model are never trained."
    ),
    "plateau-optimiser": _figure("Other optimisers", "optimiser", "Muon, and Adam with warm-up and a cosine."),
    "plateau-blocks": _figure(
        "From an easy task to a harder one",
        "blocks",
        "The first number repeated, in blocks that count up.",
        EASY,
    ),
}


def _ratio(
    family: str, over: Sequence[str], under: str, quantity: str, of_all: Callable[..., float]
) -> Callable[[Findings], OverSeeds]:
    """Of each seed, a quantity of the variants `over` (the smallest or the largest of them) over that of `under`."""

    def measured(findings: Findings) -> OverSeeds:
        plateaus = findings.of(measure(family))
        each = [ratios(plateaus.by_seed(quantity, label), plateaus.by_seed(quantity, under)) for label in over]
        return OverSeeds.of(each, of_all, int(plateaus.planned.max()))

    return measured


def _another_seed(family: str, label: str, *quantities: str) -> Null:
    """Two seeds of one variant."""

    def typical(claim: Claim, findings: Findings) -> Number:
        plateaus = findings.of(measure(family))
        return among_seeds([plateaus.by_seed(quantity, label) for quantity in quantities], claim.bound)

    return Null("another seed", typical)


def _median(measured: Callable[[Findings], OverSeeds]) -> Callable[[Findings], Number]:
    """The median over seeds of what else would be a claim's number: a null."""

    return lambda findings: median(measured(findings).numbers.values())


def _remaining(findings: Findings) -> OverSeeds:
    """Of each seed, the largest ratio of what is left of the plateau from the step on at which the attention is
    multiplied, with that and without."""
    plateaus = findings.of(measure("late"))
    plain = plateaus.by_seed("learnt", "×1")
    each = {step: plateaus.by_seed("learnt", label) for step, label in LATE.items()}
    left = [
        ratios(*({seed: later(at, step) for seed, at in steps.items()} for steps in (each[step], plain)))
        for step in LATE
    ]
    return OverSeeds.of(left, max, int(plateaus.planned.max()))


def _biases(findings: Findings) -> OverSeeds:
    """Of each seed, the larger ratio of the two biases with the attention multiplied, by either number, to without."""
    each = [
        _ratio("useful attention", ("×2.5", "×10"), "×1", quantity, max)(findings)
        for quantity in ("repetition", "collapse")
    ]
    return OverSeeds.of([ratio.numbers for ratio in each], max, each[0].planned)


def rise_over_before(plateaus: Plateaus, label: str) -> dict[int, float]:
    """Of each seed, the steps of the rise of the accuracy over those before it."""
    rises, before = plateaus.by_seed("rise", label), plateaus.by_seed("before", label)
    return {seed: quotient(rises[seed], max(before[seed], 1.0)) for seed in rises}


def _rise_of_blocks(label: str) -> Callable[[Findings], OverSeeds]:
    def measured(findings: Findings) -> OverSeeds:
        plateaus = findings.of(measure("blocks"))
        return OverSeeds(rise_over_before(plateaus, label), int(plateaus.planned.max()))

    return measured


LEARNT = "first step with half of the tokens right (the last step if there is none)"


def _plateau(
    text: str,
    family: str,
    figure: str,
    quantity: str,
    bound: Bound,
    over: Sequence[str],
    under: str,
    *more: Null,
    sweep: str = SWEEP,
) -> Claim:
    """A claim that the plateau of some variants is shorter, or longer, than that of another one: all of them."""
    of_all = max if bound.low == -np.inf else min
    which = (
        f"the {'larger' if of_all is max else 'smaller'} of {' and '.join(over)}: " if len(over) > 1 else f"{over[0]}: "
    )
    return Claim(
        text,
        "follow-up",
        f"{which}{LEARNT} / {quantity}",
        bound,
        _ratio(family, over, under, "learnt", of_all),
        more or (_another_seed(family, under, "learnt"),),
        figures=(figure,),
        sweep=sweep,
    )


ATTENTION_TAKEN = ("attention", "attention, frozen")

CLAIMS: dict[str, Claim] = {
    "attention-shortens": _plateau(
        "More useful attention shortens the plateau.",
        "useful attention",
        "plateau-attention",
        "that of ×1",
        Bound(high=EARLIER),
        ("×2.5", "×10"),
        "×1",
    ),
    "attention-lengthens": _plateau(
        "Less useful attention lengthens it.",
        "useful attention",
        "plateau-attention",
        "that of ×1",
        Bound(low=LATER),
        ("×0.2", "×0.5"),
        "×1",
    ),
    "attention-biases": Claim(
        "More useful attention lessens repetition bias and representation collapse.",
        "follow-up",
        "the largest of both, with ×2.5 and ×10: its largest value until half of the tokens are right / that of ×1",
        Bound(high=EARLIER),
        _biases,
        (_another_seed("useful attention", "×1", "repetition", "collapse"),),
        figures=("plateau-attention",),
        sweep=SWEEP,
    ),
    "attention-late": Claim(
        "More useful attention acts from the step on at which it begins.",
        "follow-up",
        f"the largest of {', '.join(map(str, LATE))}: {LEARNT} from that step on / that of ×1",
        Bound(high=EARLIER),
        _remaining,
        (_another_seed("late", "×1", "learnt"),),
        figures=("plateau-late",),
        sweep=SWEEP,
    ),
    "own-attention": _plateau(
        "Attention that starts as it ends in the same run, frozen or not, removes most of the plateau.",
        "own parts",
        "plateau-own-parts",
        "that of none",
        Bound(high=REMOVED),
        ATTENTION_TAKEN,
        "none",
        sweep=OWN,
    ),
    "own-others": _plateau(
        "Embeddings or MLP that start so do not.",
        "own parts",
        "plateau-own-parts",
        "that of none",
        Bound(low=REMOVED),
        ("embeddings", "MLP"),
        "none",
        null("attention", _median(_ratio("own parts", ATTENTION_TAKEN, "none", "learnt", max))),
        sweep=OWN,
    ),
    "frozen-attention": _plateau(
        "Attention that stays at random lengthens the plateau.",
        "frozen at random",
        "plateau-frozen",
        "that of none",
        Bound(low=LATER),
        ("attention",),
        "none",
    ),
    "frozen-others": _plateau(
        "Embeddings or MLP that stay at random do less.",
        "frozen at random",
        "plateau-frozen",
        "that of attention",
        Bound(high=EARLIER),
        ("embeddings", "MLP"),
        "attention",
        _another_seed("frozen at random", "none", "learnt"),
    ),
    "muon-shortens": _plateau(
        "Muon shortens the plateau.",
        "optimiser",
        "plateau-optimiser",
        "that of Adam",
        Bound(high=EARLIER),
        ("Muon",),
        "Adam",
    ),
    "blocks-plateau": Claim(
        "With more blocks the easiest task has a plateau.",
        "follow-up",
        "4 blocks: steps from a tenth to nine tenths of the accuracy's rise / steps before them",
        Bound(high=FAST),
        _rise_of_blocks("4 blocks"),
        (null("1 block", _median(_rise_of_blocks("1 block"))),),
        figures=("plateau-blocks",),
        sweep=EASY,
    ),
}
