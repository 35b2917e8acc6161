"""The paper's GPT: its drop, what it writes, and its attention (figures 11 and 12)."""

from collections.abc import Callable
from functools import partial

import numpy as np

from abruptlab.experiments.generation import measure_encoder_error, measure_generation, measure_gpt_learning
from abruptlab.experiments.sequence_attention import measure_sequence_attention
from abruptlab.figures.gpt import draw_gpt_learning, draw_sequence_attention
from abruptlab.paper.claim import INSIDE, STOPPED, Bound, Claim, Number, inside, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import FALLEN, FAST, STEADY_FALL, fall_width, known_drop, plateau_level, zero_level

FINAL = partial(measure_generation, step="final")
BEFORE = partial(measure_generation, step="before-drop")
AFTER = partial(measure_generation, step="after-drop")
FIGURES: Figures = {
    "11": FigureSpec(
        "A GPT's losses, and what it writes",
        "figure 11",
        "Next-token cross-entropy over training, faint each step's, on fresh matrices, strong its running mean: of the "
        "prompt [masked X, SEP], and of the observed and the hidden entries of the answer X, each given the true ones "
        "before it. Below, the matrices that the model writes by itself from the prompt, at checkpoints: the share of "
        "entries that are right to the last decimal, and their mean squared error (bars: one standard error over "
        "held-out matrices; untrained, beyond the axes); dashed the error of writing 0. The yellow band is the drop.",
        measure_gpt_learning,
        draw_gpt_learning,
        kind="decoder",
    ),
    "12": FigureSpec(
        "A GPT's attention before and after the drop",
        "figure 12",
        "All heads over [masked X, SEP, X], mean over held-out matrices; queries go down, keys across, lines part "
        "the prompt from the answer. The number above a map is the share of the attention, from the places where an "
        "observed entry is written next, on that entry in the prompt.",
        measure_sequence_attention,
        draw_sequence_attention,
        kind="decoder",
    ),
}

COPIES = 0.9  # of the observed entries, to the last decimal: one in ten may be wrong
LEARNT = 0.8  # of them, from before to after the drop
UNMOVED = 0.9  # of its level: the edge of the detector's plateau
WORSE = 2.0  # times: more than two seeds of one encoder differ (1.6 at laptop's scale)
APPEARED = 0.25  # of the attention: as of the encoder's heads


def _after_over_plateau(findings: Findings, metric: str) -> Number:
    """The median of a metric over as many steps after the drop's end as the drop took, over its plateau."""
    drop = known_drop(findings)
    if drop.end is None:
        return None
    steps, values = findings.run.metrics["step"], findings.run.metrics[metric]
    after = values[(steps >= drop.end) & (steps <= 2 * drop.end - drop.onset)]
    return float(np.nanmedian(after)) / plateau_level(findings, metric)


def _error(findings: Findings, unit: Callable[[Findings], float]) -> Number:
    """The final error of the hidden entries it writes; none for a model that does not copy the observed ones."""
    generation = findings.of(FINAL)
    return float(generation.error_masked.mean) / unit(findings) if generation.accuracy_observed.mean >= COPIES else None


def _encoder(findings: Findings) -> float:
    return float(findings.of(measure_encoder_error).mean)


def _heads(findings: Findings) -> Number:
    """How much the largest copying share rises from before to after the drop."""
    attention = findings.of(measure_sequence_attention)
    moments = findings.run.milestones
    if [*attention.step] != [moments.get("before-drop"), moments.get("after-drop")]:
        return None
    before, after = attention.copying.mean.max((-2, -1))
    return float(after - before)


_claim, _inside = partial(Claim, kind="decoder"), partial(inside, kind="decoder")

CLAIMS: dict[str, Claim] = {
    "gpt-drop": _claim(
        "A GPT has a plateau, then a sudden drop, too.",
        "caption",
        "steps of the fall of the loss at observed entries / steps before it",
        Bound(high=FAST),
        fall_width,
        (STEADY_FALL, STOPPED),
        figures=("11",),
        curve=True,
        fails_without_drop=True,
    ),
    "gpt-copies": _claim(
        "A GPT's drop is the learning to copy the observed entries.",
        "caption",
        "share of observed entries that are written right just after the drop − in the middle of the plateau",
        Bound(low=LEARNT),
        lambda findings: float(findings.of(AFTER).accuracy_observed.mean - findings.of(BEFORE).accuracy_observed.mean),
        INSIDE,
        figures=("11",),
    ),
    "gpt-prompt-stays": _claim(
        "The prompt's own loss does not drop with it.",
        "ours",
        "loss over the prompt just after the drop / on the plateau",
        Bound(low=UNMOVED),
        lambda findings: _after_over_plateau(findings, "loss_prompt"),
        (null("the loss at observed entries", lambda findings: _after_over_plateau(findings, "loss_observed")),),
        figures=("11",),
        curve=True,
    ),
    "gpt-not-completed": _inside(
        "A GPT that copies does not complete the hidden entries as a BERT does.",
        "caption",
        "final mean squared error of the hidden entries it writes / E[x²]; judged where it copies",
        Bound(low=FALLEN),
        lambda findings: _error(findings, zero_level),
        null("BERT", lambda findings: _encoder(findings) / zero_level(findings)),
        figures=("11",),
    ),
    "gpt-worse-than-bert": _inside(
        "Its hidden entries stay worse than a BERT's.",
        "caption",
        "final mean squared error of the hidden entries it writes / that of the package's encoder on the same "
        "matrices; judged where it copies",
        Bound(low=WORSE),
        lambda findings: _error(findings, _encoder),
        null("BERT", lambda findings: 1.0),
        figures=("11",),
    ),
    "gpt-copying-heads": _claim(
        "At the drop, a head comes to look up the entry that is to be copied.",
        "caption",
        "largest share of a head's attention on that entry, its rise from before to after the drop",
        Bound(low=APPEARED),
        _heads,
        INSIDE,
        figures=("12",),
    ),
}
