"""Representation collapse and attention progress over the training (the follow-up paper's measures)."""

import math
from functools import partial

import numpy as np

from abruptlab.errors import CheckpointError
from abruptlab.experiments.progress import measure_progress
from abruptlab.figures.progress import draw_progress
from abruptlab.paper.claim import INSIDE, Bound, Claim, Number, null
from abruptlab.paper.findings import Findings
from abruptlab.paper.registry import Figures, FigureSpec
from abruptlab.paper.training import known_drop

FIGURES: Figures = {
    "progress": FigureSpec(
        "Hidden states before the drop",
        "follow-up paper",
        "Under L_mask (faint the value of each step, strong the running mean): representation collapse, the mean "
        "cosine similarity of a layer's hidden states at two places of a matrix, and attention progress, the share of "
        "attention that goes to observed places in the query's row or column other than the query itself. Coloured: "
        "each layer (attention: mean over its heads). Black: the last layer's collapse, whose states the read-out "
        "sees, and the attention of all layers. Dashed in colour, where it was measured: that collapse at hidden and "
        "at observed places alone. Bands: one standard error over matrices. A measure first moves (dotted) at the "
        "first checkpoint after mid-plateau from which on the black line has made a tenth of its way from there to the "
        "end of the drop, and more than three standard errors; at the onset (dashed) L_mask has fallen by a tenth.",
        measure_progress,
        draw_progress,
    ),
}

WITH = 1.05  # of the onset: not after it, but for the space between two checkpoints
ALIKE = 0.1  # of a cosine: far more than noise, far less than a full collapse


def _first_move(findings: Findings, name: str) -> Number:
    """The step of the first move, or the last step if there is none, over the onset; none unless the measure goes
    further, from mid-plateau to the end, than any two untrained models differ."""
    drop = known_drop(findings)
    progress, untrained = findings.of(measure_progress), findings.on("untrained").of(measure_progress)
    values, strangers = (getattr(each, name).run.mean for each in (progress, untrained))
    before, after = (values[progress.step == findings.run.resolve(step)].item() for step in ("before-drop", "final"))
    if abs(after - before) <= np.ptp(strangers):
        return None
    moved = float(getattr(progress, name).moved)
    return (float(progress.step[-1]) if math.isnan(moved) else moved) / drop.onset


def _with_the_end(findings: Findings) -> Number:
    """The same of what stays as it is until the drop has ended (the last checkpoint, if it has not)."""
    run = findings.run
    return run.milestones.get("after-drop", run.steps[-1]) / known_drop(findings).onset


def _collapse(findings: Findings, moment: str) -> float:
    progress = findings.of(measure_progress)
    step = findings.run.resolve(moment)
    if step not in progress.step:
        raise CheckpointError(f"representation collapse has not been measured at step {step}")
    return float(progress.collapse.run.mean[progress.step == step][0])


CLAIMS: dict[str, Claim] = {
    **{
        f"{name}-moves-first": Claim(
            f"{what} begins to change before the drop, or with it.",
            "follow-up",
            "step at which it first moves (the last step if it does not) / onset",
            Bound(high=WITH),
            partial(_first_move, name=name),
            (*INSIDE, null("moves with the drop's end", _with_the_end)),
            figures=("progress",),
            curve=True,
        )
        for name, what in (("collapse", "Representation collapse"), ("attention", "Attention to useful places"))
    },
    "collapsed-plateau": Claim(
        "Hidden states are more alike on the plateau than after the drop.",
        "follow-up",
        "mean cosine similarity of the last layer's states, at mid-plateau − after the drop",
        Bound(low=ALIKE),
        lambda findings: _collapse(findings, "before-drop") - _collapse(findings, "after-drop"),
        INSIDE,
        figures=("progress",),
    ),
}
