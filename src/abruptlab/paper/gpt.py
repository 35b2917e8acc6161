"""The paper's GPT: its drop, what it writes, and its attention (figures 11 and 12)."""

from typing import TYPE_CHECKING

import numpy as np

from abruptlab.paper.registry import Bound, Claim, FigureSpec, Findings, later
from abruptlab.paper.training import FALLEN, FAST, plateau_level

if TYPE_CHECKING:
    from abruptlab.experiments.generation import Generation
    from abruptlab.experiments.sequence_attention import SequenceAttention
    from abruptlab.run.drop import Drop

LEARNING = later("experiments.generation", "measure_gpt_learning")
FINAL = later("experiments.generation", "measure_generation", step="final")
BEFORE = later("experiments.generation", "measure_generation", step="before-drop")
AFTER = later("experiments.generation", "measure_generation", step="after-drop")
ENCODER = later("experiments.generation", "measure_encoder_error")
ATTENTION = later("experiments.sequence_attention", "measure_sequence_attention")

FIGURES: dict[str, FigureSpec] = {
    "11": FigureSpec(
        "A GPT's losses, and what it writes",
        "figure 11",
        "Next-token cross-entropy over training, faint each step's, on fresh matrices, strong its running mean: of the "
        "prompt [masked X, SEP], and of the observed and the hidden entries of the answer X, each given the true ones "
        "before it. Below, the matrices that the model writes by itself from the prompt, at checkpoints: the share of "
        "entries that are right to the last decimal, and their mean squared error (bars: one standard error over "
        "held-out matrices; untrained, beyond the axes); dashed the error of writing 0. The yellow band is the drop.",
        LEARNING,
        later("figures.gpt", "draw_gpt_learning"),
        kind="decoder",
    ),
    "12": FigureSpec(
        "A GPT's attention before and after the drop",
        "figure 12",
        "All heads over [masked X, SEP, X], mean over held-out matrices; queries go down, keys across, lines part "
        "the prompt from the answer. The number above a map is the share of the attention, from the places where an "
        "observed entry is written next, on that entry in the prompt.",
        ATTENTION,
        later("figures.gpt", "draw_sequence_attention"),
        kind="decoder",
    ),
}

COPIES = 0.9  # of the observed entries, to the last decimal: one in ten may be wrong
NO_COPY = 0.1  # three times what the most frequent value alone gives (rank 1: 0.00, in 3 % of the entries)
UNMOVED = 0.9  # of its level: the edge of the detector's plateau
WORSE = 2.0  # times: more than two seeds of one encoder differ (1.6 at laptop's scale)
APPEARED = 0.25  # of the attention: as of the encoder's heads


def _over_plateau_after(found: Findings, drop: "Drop", metric: str) -> float | None:
    """The median of a metric over as many steps after the drop's end as the drop took, over its plateau."""
    if drop.end is None:
        return None
    steps, values = found.run.metrics["step"], found.run.metrics[metric]
    after = values[(steps >= drop.end) & (steps <= 2 * drop.end - drop.onset)]
    return float(np.nanmedian(after)) / plateau_level(found, drop, metric)


def _final_error(found: Findings) -> float:
    generation: Generation = found.of(FINAL)
    return float(generation.error_masked.mean)


def _heads(found: Findings) -> float | None:
    """How much the largest copying share rises from before to after the drop."""
    attention: SequenceAttention = found.of(ATTENTION)
    moments = found.run.milestones
    if [*attention.step] != [moments.get("before-drop"), moments.get("after-drop")]:
        return None
    before, after = attention.copying.mean.max((-2, -1))
    return float(after - before)


CLAIMS: dict[str, Claim] = {
    "gpt-drop": Claim(
        "A GPT has a plateau, then a sudden drop, too.",
        "figure 11",
        "steps of the fall of the loss at observed entries / steps before it",
        Bound(high=FAST),
        lambda found, drop: None if drop.width is None else drop.width / drop.onset,
        kind="decoder",
        needs_drop=False,
    ),
    "gpt-copies-not-yet": Claim(
        "Before its drop, a GPT does not copy what it sees.",
        "figure 11",
        "share of observed entries that are written right in the middle of the plateau",
        Bound(high=NO_COPY),
        lambda found, drop: float(found.of(BEFORE).accuracy_observed.mean),
        kind="decoder",
    ),
    "gpt-copies": Claim(
        "A GPT's drop is the learning to copy the observed entries.",
        "figure 11",
        "share of observed entries that are written right just after the drop",
        Bound(low=COPIES),
        lambda found, drop: float(found.of(AFTER).accuracy_observed.mean),
        kind="decoder",
    ),
    "gpt-prompt-stays": Claim(
        "The prompt's own loss does not drop with it.",
        "figure 11",
        "loss over the prompt just after the drop / on the plateau",
        Bound(low=UNMOVED),
        lambda found, drop: _over_plateau_after(found, drop, "loss_prompt"),
        kind="decoder",
    ),
    "gpt-not-completed": Claim(
        "A GPT does not complete the hidden entries as a BERT does.",
        "figure 11",
        "final mean squared error of the hidden entries it writes / E[x²]",
        Bound(low=FALLEN),
        lambda found, drop: _final_error(found) / found.run.config.matrices.copying_level,
        kind="decoder",
    ),
    "gpt-worse-than-bert": Claim(
        "Its hidden entries stay worse than a BERT's.",
        "figure 11",
        "final mean squared error of the hidden entries it writes / that of the package's encoder on the same matrices",
        Bound(low=WORSE),
        lambda found, drop: _final_error(found) / float(found.of(ENCODER).mean),
        kind="decoder",
    ),
    "gpt-copying-heads": Claim(
        "At the drop, a head comes to look up the entry that is to be copied.",
        "figure 12",
        "largest share of a head's attention on that entry, its rise from before to after the drop",
        Bound(low=APPEARED),
        lambda found, drop: _heads(found),
        kind="decoder",
    ),
}
