"""What changed inside the model, in a few numbers: in the middle of the plateau, and at the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from abruptlab.experiments.attention import AttentionOverTime
from abruptlab.experiments.losses import smooth
from abruptlab.experiments.probes import PLACES
from abruptlab.experiments.sequence_attention import SequenceAttention
from abruptlab.report.story import Story
from abruptlab.run.run import Run

LINES = ("row", "column", "row and column")  # labels of the heads that read along the lines of the matrix


@dataclass(frozen=True)
class Change:
    """A number before the drop and at the end."""

    what: str
    before: str
    after: str
    part: str  # of the page, where it can be seen


def changes(run: Run, story: Story) -> list[Change]:
    """The numbers that the parts of the story give; none without a drop, since then there is no before and after."""
    moments = run.milestones
    if "before-drop" not in moments:
        return []
    before, after = (story.steps.index(moments[name]) for name in ("before-drop", "final"))
    results, model = story.results, run.config.model
    table: list[Change] = []

    def add(part: str, what: str, written: str, values: Sequence[Any] | np.ndarray) -> None:
        table.append(Change(what, written.format(values[before]), written.format(values[after]), part))

    falling = smooth(run.metrics[run.objective.falling])
    level = falling[np.minimum(story.steps, len(falling) - 1)]
    add("loss", run.objective.drops.label, "{:.2g}", level)
    attention = results.get("attention")
    if isinstance(attention, AttentionOverTime):
        heads = model.layers * model.heads
        reading = np.isin(attention.label, LINES).sum((1, 2))
        add("attention", f"heads, of {heads}, that read the row or the column of an entry", "{}", reading)
    if isinstance(attention, SequenceAttention):
        best = 100 * attention.copying.mean.max((1, 2))
        add("attention", "attention of the best head on what the answer needs", "{:.0f} %", best)
    if progress := results.get("progress"):
        useful = "attention, over all heads, on the places that are needed"
        add("progress", useful, "{:.0f} %", 100 * progress.attention.run.mean)
        alike = "how alike the final states at two places are (mean cosine)"
        add("progress", alike, "{:.2f}", progress.collapse.run.mean)
    if probes := results.get("probes"):
        for target in ("row", "column"):
            best = [getattr(each, target).cosine.mean[:, PLACES.index("hidden")].max() for each in probes]
            what = f"how well a linear map reads a hidden entry's {target} off the best layer (cosine)"
            add("probes", what, "{:.2f}", best)
    return table
