"""The figures of a run whose task is one of sequences (the follow-up paper)."""

from functools import partial
from typing import Any

from abruptlab.experiments.losses import measure_curves
from abruptlab.experiments.plateau import measure_plateau
from abruptlab.experiments.plateaus import measure_plateaus
from abruptlab.experiments.progress import measure_progress
from abruptlab.experiments.sequence_attention import measure_sequence_attention
from abruptlab.figures.curves import draw_curves
from abruptlab.figures.gpt import draw_sequence_attention
from abruptlab.figures.plateau import draw_plateau, draw_plateaus
from abruptlab.figures.progress import draw_progress
from abruptlab.paper.registry import Figures, FigureSpec

READING = (
    "Left: the share of the tokens that the model writes right, over the steps; thin each seed, bold their median. "
    "Right: the first step with half of them right; dots are seeds, open ones did not come that far by their last "
    "step, the tick is their median."
)


def _variants(title: str, family: str, what: str, sweep: str = "plateau") -> FigureSpec[Any]:
    measure = partial(measure_plateaus, family=family)
    return FigureSpec(
        title, "follow-up paper", f"{what} {READING}", measure, draw_plateaus, kind="sequence", sweep=sweep
    )


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
    "plateau-attention": _variants(
        "Useful attention multiplied",
        "useful attention",
        "The attention to what the answer needs is multiplied by a number, in training and when the model writes.",
    ),
    "plateau-late": _variants(
        "Useful attention multiplied from a step on", "late", "The same, from some step of the plateau on."
    ),
    "plateau-parts": _variants(
        "Parts that start as they end",
        "parts",
        "Some parts of the model start as they ended in a finished run of another seed; all are trained, or those stay "
        "frozen.",
    ),
    "plateau-frozen": _variants(
        "Parts that stay as they start", "frozen at random", "Some parts of the model are never trained."
    ),
    "plateau-optimiser": _variants("Other optimisers", "optimiser", "Muon, and Adam with warm-up and a cosine."),
    "plateau-blocks": _variants(
        "From an easy task to a harder one",
        "blocks",
        "The first number repeated, in blocks that count up.",
        "repeat",
    ),
    "losses": FigureSpec(
        "The losses over training",
        "follow-up paper",
        "Cross-entropy of the next token, on fresh sequences: faint the value of each step, strong the running mean; "
        "right the loss over the answer alone, on a logarithmic axis. Dashed: what is lost by who reads nothing. "
        "Yellow: the drop, from onset to end.",
        measure_curves,
        draw_curves,
        kind="sequence",
    ),
    "answer-progress": FigureSpec(
        "Hidden states before the drop",
        "follow-up paper",
        "Under the loss over the answer: representation collapse, the mean cosine similarity of a layer's hidden "
        "states at two places of the answer, and attention progress, the share of attention that goes to the places "
        "of the prompt that the answer needs. Otherwise as the figure progress.",
        measure_progress,
        draw_progress,
        kind="sequence",
    ),
    "answer-attention": FigureSpec(
        "Attention of the heads over the sequence",
        "follow-up paper",
        "The map of every head, averaged over held-out sequences, in the middle of the plateau and after the drop; "
        "above each the share of its attention that goes to what the answer needs.",
        measure_sequence_attention,
        draw_sequence_attention,
        kind="sequence",
    ),
}
