"""What makes the plateau of matrices longer or shorter: the follow-up paper's causal test (arXiv 2506.13688), which it
made on tasks of sequences alone, on the sweep `causal`; and what shortens it most on larger ones, on `causal-laptop`.

The bounds are those of the sweep of variants, for parts that of the claim on sequences, and three times; none was seen
a number for.
"""

from collections.abc import Sequence
from functools import partial

from abruptlab.experiments.falls import measure_falls
from abruptlab.figures.plateau import draw_falls
from abruptlab.paper.claim import Bound, Claim
from abruptlab.paper.over_seeds import OfAll, another_seed, most_named, most_over, variant
from abruptlab.paper.plateaus import REMOVED
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.variant_claims import EARLIER

SWEEP, LARGER = "causal", "causal-laptop"
LATER = 1 / EARLIER
FROM, FROM_LARGER = 1500, 2000  # the step in mid-plateau from which the late ones differ
THRICE = 1 / 3

READING = (
    "Left: L_mask (running mean) over that of predicting zero (dashed), over the steps; thin each seed, bold their "
    "median. Right: the first step with half of it gone; dots are seeds, open ones did not come that far by their last "
    "step, the tick is their median."
)


def _figure(title: str, family: str, what: str, sweep: str = SWEEP) -> FigureSpec:
    measure = partial(measure_falls, family=family)
    return FigureSpec(title, "beside the papers", f"{what} {READING}", measure, draw_falls, sweep=sweep)


FIGURES: Figures = {
    "causal-attention": _figure(
        "Useful attention multiplied, on matrices",
        "useful attention",
        "The attention of every head to the observed places of the query's row and column is multiplied by a number, "
        "in training.",
    ),
    "causal-late": _figure(
        "Useful attention multiplied from mid-plateau on", "late", "The same, from the middle of the plateau on."
    ),
    "causal-parts": _figure(
        "Parts that start as they end, on matrices",
        "parts",
        "Some parts of the model start as they ended in a finished run of another seed, or stay as they are drawn.",
    ),
    "causal-laptop-attention": _figure(
        "Useful attention multiplied, on larger matrices",
        "useful attention",
        "The attention of every head to the observed places of the query's row and column is multiplied by a number, "
        "in training.",
        LARGER,
    ),
    "causal-laptop-late": _figure(
        "Useful attention multiplied from mid-plateau on, on larger matrices",
        "late",
        "The same, from the middle of the plateau on.",
        LARGER,
    ),
    "causal-laptop-parts": _figure(
        "Attention that starts as it ends in the same run, on matrices",
        "own parts",
        "Query, key and value start as they ended in the finished run of the same seed, whose other weights are the "
        "same; all are trained, or those stay frozen.",
        LARGER,
    ),
}


HALVED = "first step with half of L_mask gone (the last step if there is none)"


def _claim(text: str, figure: str, bound: Bound, over: Sequence[str], of_all: OfAll, since: int = 0) -> Claim:
    """A claim on the steps of some variants in a figure until half of L_mask is gone, over those of the unchanged run;
    both counted from a step on."""
    spec = FIGURES[figure]
    unchanged = "none" if figure.endswith("parts") else "×1"
    from_there = f" from step {since:,} on" if since else ""
    return Claim(
        text,
        "ours",
        f"{most_named(of_all, over)}: {HALVED}{from_there} / that of the unchanged run",
        bound,
        most_over(of_all, spec.measure, "halved", over, unchanged, since),
        (another_seed(variant(spec.measure, "halved", unchanged, since)),),
        figures=(figure,),
        sweep=spec.sweep,
    )


CLAIMS: dict[str, Claim] = {
    "causal-more": _claim(
        "More useful attention shortens the plateau of matrices, too.",
        "causal-attention",
        Bound(high=EARLIER),
        ("×2.5", "×10"),
        max,
    ),
    "causal-less": _claim(
        "Less useful attention lengthens it.",
        "causal-attention",
        Bound(low=LATER),
        ("×0.2", "×0.5"),
        min,
    ),
    "causal-late": _claim(
        "More useful attention from mid-plateau on shortens what is left of it.",
        "causal-late",
        Bound(high=EARLIER),
        (f"×2.5 from step {FROM:,}", f"×10 from step {FROM:,}"),
        max,
        FROM,
    ),
    "causal-parts": _claim(
        "Attention that starts as it ends, frozen or not, removes most of the plateau.",
        "causal-parts",
        Bound(high=REMOVED),
        ("attention", "attention, frozen"),
        max,
    ),
    "causal-frozen": _claim(
        "Attention that stays at random lengthens it.",
        "causal-parts",
        Bound(low=LATER),
        ("attention, frozen at random",),
        min,
    ),
    "causal-thrice-by-attention": _claim(
        "More useful attention shortens it three times or more.",
        "causal-attention",
        Bound(high=THRICE),
        ("×2.5", "×10"),
        min,
    ),
    "causal-thrice-by-parts": _claim(
        "A part that starts as it ends shortens it three times or more.",
        "causal-parts",
        Bound(high=THRICE),
        ("attention", "MLP", "embeddings"),
        min,
    ),
    "causal-laptop-late": _claim(
        "More useful attention from mid-plateau on shortens what is left of the plateau of larger matrices.",
        "causal-laptop-late",
        Bound(high=EARLIER),
        (f"×10 from step {FROM_LARGER:,}",),
        max,
        FROM_LARGER,
    ),
    "causal-laptop-thrice": _claim(
        "More useful attention shortens the plateau of larger matrices three times or more.",
        "causal-laptop-attention",
        Bound(high=THRICE),
        ("×10",),
        max,
    ),
    "causal-laptop-parts": _claim(
        "Attention that starts as it ends in the same run, frozen or not, removes most of the plateau of matrices.",
        "causal-laptop-parts",
        Bound(high=REMOVED),
        ("attention", "attention, frozen"),
        max,
    ),
}
