"""What linear probes read off a decoder's hidden states (figure `answer-probes`)."""

from matplotlib.figure import Figure

from abruptlab.experiments.answer_probes import AnswerProbes
from abruptlab.figures.style import GREEN, REFERENCE, new_figure, paper_style

PARTS = {"mid": "attention", "post": "MLP"}
DASHES = (3, 2)


@paper_style()
def draw_answer_probes(probes: AnswerProbes) -> Figure:
    """The share of the answer that is read off each site, a panel for each checkpoint, beside chance and the model."""
    figure = new_figure(2.2)
    sites = range(len(probes.sites))
    panels = figure.subplots(1, len(probes.step), squeeze=False, sharey=True)[0]
    for at, (step, axes) in enumerate(zip(probes.step, panels, strict=True)):
        look = {"color": GREEN, "marker": "o", "markersize": 3, "elinewidth": 0.8, "clip_on": False}
        axes.errorbar(sites, probes.right.mean[at], probes.right.error[at], label="linear probe", **look)
        axes.plot(sites, probes.chance.mean[at], color=GREEN, dashes=DASHES, linewidth=0.8, label="chance")
        axes.axhline(probes.model.mean[at], color=REFERENCE, linewidth=0.8, label="the model")
        axes.set(title=f"step {step:,}", ylim=(0, 1.02))
        axes.set_xticks(sites, [_name(site) for site in probes.sites], rotation=30, ha="right")
    panels[0].set_ylabel("right, of the answer")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def _name(site: str) -> str:
    """A site of the residual stream as a person reads it."""
    if site == "embed":
        return "embedding"
    _, layer, part = site.split(".")
    return f"{PARTS[part.removeprefix('resid_')]} {int(layer) + 1}"
