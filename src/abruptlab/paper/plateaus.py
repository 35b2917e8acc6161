"""What makes the plateau of the follow-up paper's main run longer or shorter, and tasks that have none (arXiv
2506.13688): the sweeps `plateau`, `plateau-spared`, `own-parts` and `repeat`."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from abruptlab.experiments.limits import quotient
from abruptlab.experiments.plateaus import Plateaus, measure_plateaus
from abruptlab.figures.plateau import draw_plateaus
from abruptlab.paper.claim import Bound, Claim, Null, OverSeeds, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.over_seeds import Measured, another_seed, most_named, most_of, most_over, ratio, typical, variant
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import FAST

SWEEP, SPARED, EASY, OWN = "plateau", "plateau-spared", "repeat", "own-parts"
REMOVED = 0.5  # of the plateau's steps: gone
EARLIER = 0.7  # of them: three times, in logarithms, what seeds 0 and 1 of the main run differ by (steps 146 and 164)
LATER = 1 / EARLIER
LATE = {25: "×10 from step 25", 50: "×10 from step 50", 75: "×10 from step 75", 100: "×10 from step 100"}

READING = (
    "Left: the share of the tokens that the model writes right, over the steps; thin each seed, bold their median. "
    "Right: the first step with half of them right; dots are seeds, open ones did not come that far by their last "
    "step, the tick is their median."
)


def _figure(title: str, family: str, what: str, sweep: str = SWEEP) -> FigureSpec:
    measure = partial(measure_plateaus, family=family)
    return FigureSpec(title, "follow-up paper", f"{what} {READING}", measure, draw_plateaus, sweep=sweep)


FIGURES: Figures = {
    "plateau-attention": _figure(
        "Useful attention multiplied",
        "useful attention",
        "The attention to what the answer needs is multiplied by a number, in training and when the model writes.",
    ),
    "plateau-late": _figure(
        "Useful attention multiplied from a step on", "late", "The same, from some step of the plateau on."
    ),
    "plateau-spared": _figure(
        "Useful attention multiplied, but at the answer's first place",
        "useful attention",
        "The attention to what the answer needs is multiplied by a number, in training and when the model writes, at "
        "all of its places but the first one, which is learnt at once.",
        SPARED,
    ),
    "plateau-spared-late": _figure(
        "Useful attention multiplied from a step on, but at the answer's first place",
        "late",
        "The same, from some step of the plateau on.",
        SPARED,
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


def rise_over_before(plateaus: Plateaus, label: str) -> dict[int, float]:
    """Of each seed, the steps of the rise of the accuracy over those before it."""
    rises, before = plateaus.by_seed("rise", label), plateaus.by_seed("before", label)
    return {seed: quotient(rises[seed], max(before[seed], 1.0)) for seed in rises}


def _rise_of_blocks(label: str) -> Measured:
    def measured(findings: Findings) -> OverSeeds:
        plateaus = findings.of(FIGURES["plateau-blocks"].measure)
        return OverSeeds(rise_over_before(plateaus, label), int(plateaus.planned.max()))

    return measured


LEARNT = "first step with half of the tokens right (the last step if there is none)"


def _plateau(text: str, figure: str, bound: Bound, over: Sequence[str], under: str, *more: Null) -> Claim:
    """A claim that the plateau of some variants in a figure is shorter, or longer, than that of another one: all of
    them."""
    spec = FIGURES[figure]
    of_all = max if bound.low == -np.inf else min
    return Claim(
        text,
        "follow-up",
        f"{most_named(of_all, over)}: {LEARNT} / that of {under}",
        bound,
        most_over(of_all, spec.measure, "learnt", over, under),
        more or (another_seed(variant(spec.measure, "learnt", under)),),
        figures=(figure,),
        sweep=spec.sweep,
    )


USEFUL, BIASES = FIGURES["plateau-attention"].measure, ("repetition", "collapse")


def _left(label: str, since: int) -> Measured:
    """The steps from one on at which the attention is multiplied, until half of the tokens are right."""
    return variant(FIGURES["plateau-late"].measure, "learnt", label, since)


ATTENTION_TAKEN = ("attention", "attention, frozen")


def _attention_claims(name: str, figure: str, late: str, but: str = "") -> dict[str, Claim]:
    """What the follow-up paper says of multiplied attention, on one of its two sweeps."""
    claim = partial(Claim, sweep=FIGURES[figure].sweep)
    return {
        f"{name}-shortens": _plateau(
            f"More useful attention{but} shortens the plateau.",
            figure,
            Bound(high=EARLIER),
            ("×2.5", "×10"),
            "×1",
        ),
        f"{name}-lengthens": _plateau(
            f"Less useful attention{but} lengthens it.",
            figure,
            Bound(low=LATER),
            ("×0.2", "×0.5"),
            "×1",
        ),
        f"{name}-biases": claim(
            f"More useful attention{but} lessens repetition bias and representation collapse.",
            "follow-up",
            "the largest of both, with ×2.5 and ×10: its largest value until half of the tokens are right / that of ×1",
            Bound(high=EARLIER),
            most_of(
                max,
                [
                    ratio(variant(USEFUL, bias, label), variant(USEFUL, bias, "×1"))
                    for bias in BIASES
                    for label in ("×2.5", "×10")
                ],
            ),
            (another_seed(*(variant(USEFUL, bias, "×1") for bias in BIASES)),),
            figures=(figure,),
        ),
        f"{name}-late": claim(
            f"More useful attention{but} acts from the step on at which it begins.",
            "follow-up",
            f"the largest of {', '.join(map(str, LATE))}: {LEARNT} from that step on / that of ×1",
            Bound(high=EARLIER),
            most_of(max, [ratio(_left(label, since), _left("×1", since)) for since, label in LATE.items()]),
            (another_seed(_left("×1", max(LATE))),),  # from which step on two seeds differ most
            figures=(late,),
        ),
    }


CLAIMS: dict[str, Claim] = {
    **_attention_claims("attention", "plateau-attention", "plateau-late"),
    # As the paper's public code has it: the answer's first place, a mere copy, keeps its attention.
    **_attention_claims("spared", "plateau-spared", "plateau-spared-late", ", but at the first place,"),
    "own-attention": _plateau(
        "Attention that starts as it ends in the same run, frozen or not, removes most of the plateau.",
        "plateau-own-parts",
        Bound(high=REMOVED),
        ATTENTION_TAKEN,
        "none",
    ),
    "own-others": _plateau(
        "Embeddings or MLP that start so do not.",
        "plateau-own-parts",
        Bound(low=REMOVED),
        ("embeddings", "MLP"),
        "none",
        null(
            "attention",
            typical(most_over(max, FIGURES["plateau-own-parts"].measure, "learnt", ATTENTION_TAKEN, "none")),
        ),
    ),
    "frozen-attention": _plateau(
        "Attention that stays at random lengthens the plateau.",
        "plateau-frozen",
        Bound(low=LATER),
        ("attention",),
        "none",
    ),
    "frozen-others": _plateau(
        "Embeddings or MLP that stay at random do less.",
        "plateau-frozen",
        Bound(high=EARLIER),
        ("embeddings", "MLP"),
        "attention",
        another_seed(variant(FIGURES["plateau-frozen"].measure, "learnt", "none")),
    ),
    "muon-shortens": _plateau(
        "Muon shortens the plateau.",
        "plateau-optimiser",
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
        (null("1 block", typical(_rise_of_blocks("1 block"))),),
        figures=("plateau-blocks",),
        sweep=EASY,
    ),
}
