"""What changed inside the model, in a few numbers: in the middle of the plateau, and at the end."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from abruptlab.experiments.attention import AttentionOverTime
from abruptlab.experiments.losses import smooth
from abruptlab.experiments.probes import PLACES, Probes
from abruptlab.experiments.sequence_attention import SequenceAttention
from abruptlab.report.story import Story
from abruptlab.runs import DROPS, Run

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
    at = [story.steps.index(moments[name]) for name in ("before-drop", "final")]
    found, model = story.results, run.config.model
    falling = DROPS[model.kind]
    level = smooth(run.metrics[falling])[[min(story.steps[step], len(run.metrics["step"]) - 1) for step in at]]
    name = "error at hidden entries (L_mask)" if model.kind == "encoder" else "loss at observed entries of the answer"
    table = [Change(name, *(f"{value:.2g}" for value in level), "loss")]
    if isinstance(attention := found.get("attention"), AttentionOverTime):
        of_lines = np.isin(attention.label, LINES).sum((1, 2))
        name = f"heads, of {model.layers * model.heads}, that read the row or the column of an entry"
        table.append(Change(name, *(str(of_lines[step]) for step in at), "attention"))
    if isinstance(attention, SequenceAttention):
        best = attention.copying.mean.max((1, 2))
        name = "attention of the best head on the entry to be copied"
        table.append(Change(name, *(_percent(best[step]) for step in at), "attention"))
    if progress := found.get("progress"):
        useful, alike = progress.attention.run.mean, progress.collapse.run.mean
        name = "attention, over all heads, on observed entries of the same row or column"
        table.append(Change(name, *(_percent(useful[step]) for step in at), "progress"))
        name = "how alike the final states of a matrix's entries are (mean cosine)"
        table.append(Change(name, *(f"{alike[step]:.2f}" for step in at), "progress"))
    if probes := found.get("probes"):
        table += [_probed(target, [probes[step] for step in at]) for target in ("row", "column")]
    return table


def _probed(target: str, probes: list[Probes]) -> Change:
    best: list[Any] = [getattr(each, target).cosine.mean[:, PLACES.index("hidden")].max() for each in probes]
    name = f"how well a linear map reads a hidden entry's {target} off the best layer (cosine)"
    return Change(name, *(f"{value:.2f}" for value in best), "probes")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
