"""What linear probes read off a decoder's hidden states over the training (figure `answer-probes`)."""

from itertools import cycle

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from abruptlab.experiments.answer_probes import AnswerProbes
from abruptlab.figures import style
from abruptlab.figures.style import DROP, LOSS, REFERENCE, count_steps, drawing, new_figure

PARTS = {"attn.out": "output of attention", "resid_mid": "state after attention", "resid_post": "state after MLP"}
# of the sites, in their order
COLOURS = REFERENCE, style.MASKED, style.SKY, style.GREEN, style.OBSERVED, style.ORANGE, style.PURPLE
DASHES = (3, 2)


@drawing
def draw_answer_probes(probes: AnswerProbes) -> Figure:
    """The share of the answer that is read off each site at each checkpoint, beside chance and the model's own."""
    figure = new_figure(2.4)
    axes = figure.subplots()
    look = {"marker": "o", "markersize": 2.5, "elinewidth": 0.8}
    for index, (site, colour) in enumerate(zip(probes.sites, cycle(COLOURS), strict=False)):
        right = probes.right[:, index]
        axes.errorbar(probes.step, right.mean, right.error, color=colour, label=f"probe of the {_name(site)}", **look)
    axes.plot(probes.step, probes.chance.mean.max(1), color=REFERENCE, dashes=DASHES, linewidth=0.8, label="chance")
    axes.errorbar(probes.step, probes.model.mean, probes.model.error, color=LOSS, label="the model", **look)
    onset, end = probes.drop
    if np.isfinite(onset):
        axes.axvspan(onset, end if np.isfinite(end) else probes.step[-1], **DROP)
    axes.set(xlabel="training step", ylabel="right, of the answer", ylim=(0, 1.02))
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    count_steps(axes)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    figure.legend(loc="outside right center")
    return figure


def _name(site: str) -> str:
    """A site as a person reads it."""
    if site == "embed":
        return "embeddings"
    _, layer, part = site.split(".", 2)
    return f"{PARTS[part]} {int(layer) + 1}"
