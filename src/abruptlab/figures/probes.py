"""What linear probes read off each layer (figures 6, 20 and 21)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abruptlab.arguments import choice
from abruptlab.errors import ConfigError
from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.probes import PLACES, Probes
from abruptlab.figures.style import MASKED, OBSERVED, drawing, new_figure

TITLES = {
    "row": "the token's row, hidden entries as 0",
    "column": "the token's column, hidden entries as 0",
    "element": "the token's true value",
    "singular_vector": "the top left singular vector, up to its sign",
}
SHOWN = (("observed", OBSERVED, "o"), ("hidden", MASKED, "s"))  # kind of place, colour, marker
DASHES = (3, 2)


@drawing
def draw_probes(probes: Probes, targets: Sequence[str] = ("row", "column")) -> Figure:
    """Figures 6, 20 and 21: mean squared error and cosine similarity over the layers, two panels for each target."""
    for target in targets:
        if target not in TITLES:
            raise ConfigError(f"no target {target!r}; {choice(target, TITLES)}")
    figure = new_figure(0.75 + 1.6 * len(targets))
    axes = figure.subplots(len(targets), 2, squeeze=False, sharex=True, sharey="col")
    for row, target in enumerate(targets):
        error, cosine = axes[row]
        probe = getattr(probes, target)
        _draw(error, probe.mse, probe.chance_mse)
        _draw(cosine, probe.cosine, probe.chance_cosine)
        error.set_title(TITLES[target], loc="left")
        error.set_ylabel("mean squared error")
        cosine.set_ylabel("cosine similarity")
    layers = len(probes.sites) - 1
    error, cosine = axes[0]  # whose scales those below share
    error.set_ylim(0, 1.05 * error.get_ylim()[1])
    cosine.set_ylim(min(0, cosine.get_ylim()[0]), 1.02)
    for last in axes[-1]:
        last.set_xticks(range(layers + 1), ["emb.", *map(str, range(1, layers + 1))])
        last.set_xlabel(f"layer (step {probes.step:,})")
    handles, names = error.get_legend_handles_labels()  # those with error bars come last
    figure.legend(handles[2:] + handles[:2], names[2:] + names[:2], loc="outside upper center", ncols=4)
    return figure


def _draw(axes: Axes, estimate: Estimate, chance: Estimate) -> None:
    sites = range(len(estimate.mean))
    for kind, colour, marker in SHOWN:
        read = estimate[:, PLACES.index(kind)]
        look = {"color": colour, "marker": marker, "markersize": 3, "elinewidth": 0.8, "clip_on": False}
        axes.errorbar(sites, read.mean, read.error, label=f"{kind} places", **look)
    for kind, colour, _ in SHOWN:
        read = chance[:, PLACES.index(kind)]
        axes.plot(sites, read.mean, color=colour, dashes=DASHES, linewidth=0.8, label=f"chance, {kind}")
        axes.fill_between(sites, read.mean - read.error, read.mean + read.error, color=colour, alpha=0.15, linewidth=0)
