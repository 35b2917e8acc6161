"""The effects of activation patches by head, layer and position (figure `patching`)."""

import numpy as np
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from abruptlab.experiments.patching import PatchingMaps
from abruptlab.figures import style
from abruptlab.figures.style import TEXT_WIDTH, draw_bar, draw_legend, drawing, new_figure, signed

EFFECTS = "Greens"  # from 0; the few slightly negative ones count as 0
MARGINS = 1.3  # inches of the width that are names, colour bars and gaps
GAP = 0.06  # inches between the matrices
TITLED = 6  # layers whose whole titles fit above the matrices
LARGEST = 0.85  # inches of a matrix's side
ROW = 0.19  # inches of the height of a layer, above


@drawing
def draw_patching(maps: PatchingMaps) -> Figure:
    """Above, layer × head and the layers whole; below, a matrix of patched places for each layer."""
    layers = len(maps.layer_masked.mean)
    rows, columns = maps.size
    cell = min((TEXT_WIDTH - MARGINS) / layers / columns, LARGEST / max(rows, columns))
    above, below = 1.2 + ROW * max(layers, 3), 0.55 + 3 * (cell * rows + GAP)
    figure = new_figure(above + below)
    halves = figure.subfigures(2, 1, height_ratios=[above, below], squeeze=False)[:, 0]
    _draw_heads(halves[0], maps)
    _draw_places(halves[1], maps, cell)
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(w_pad=GAP / 2, h_pad=GAP / 2, wspace=0, hspace=0)
    return figure


def _draw_heads(figure: SubFigure, maps: PatchingMaps) -> None:
    layers, heads = maps.head_masked.mean.shape
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.7, 1])
    image = left.imshow(maps.head_masked.mean, cmap=EFFECTS, vmin=0, vmax=_top(maps.head_masked.mean), aspect="auto")
    for (layer, head), value in np.ndenumerate(maps.head_masked.mean):
        if np.isnan(value):  # where X and −X give the same
            continue
        ink = "white" if value > 0.6 * image.norm.vmax else "black"
        left.text(head, layer, signed(value), ha="center", va="center_baseline", fontsize=6, color=ink)
    left.set(xlabel="head", ylabel="layer", title=r"$z$ of one head, on hidden entries")
    left.set_xticks(range(heads), range(1, heads + 1))
    left.set_yticks(range(layers), range(1, layers + 1))
    left.tick_params(length=0)
    left.spines[:].set_visible(False)
    for shift, estimate, colour, name in (
        (-0.19, maps.layer_masked, style.MASKED, "hidden"),
        (0.19, maps.layer_observed, style.OBSERVED, "observed"),
    ):
        places = np.arange(layers) + shift
        look = {"color": colour, "label": name, "error_kw": {"elinewidth": 0.7}}
        right.barh(places, estimate.mean, height=0.38, xerr=estimate.error, **look)
    right.axvline(0, color="black", linewidth=0.6)
    right.tick_params(left=False, labelleft=False)
    right.spines.left.set_visible(False)
    right.set(xlabel="effect", title=r"$z$ of all heads of a layer")
    draw_legend(figure, right, loc="outside lower right", ncols=2)
    figure.suptitle(f"Step {maps.step:,}: effect of activations of X patched into −X", fontsize=8.5)


def _draw_places(figure: SubFigure, maps: PatchingMaps, cell: float) -> None:
    layers = len(maps.layer_masked.mean)
    rows, columns = maps.size
    middle = rows // 2 * columns + columns // 2
    side = max(0.05, TEXT_WIDTH - MARGINS - layers * (cell * columns + GAP)) / 2  # empty, for few layers
    grid = figure.add_gridspec(3, layers + 2, width_ratios=[side, *[cell * columns + GAP] * layers, side])
    for row, (name, effects) in enumerate(
        (
            ("itself", maps.between.mean.diagonal(axis1=1, axis2=2)),
            ("all others", maps.elsewhere.mean),
            ("outlined", maps.between.mean[:, :, middle]),
        )
    ):
        panels = [figure.add_subplot(grid[row, 1 + layer]) for layer in range(layers)]
        norm = Normalize(0, _top(effects))
        for axes, values in zip(panels, effects, strict=True):
            axes.imshow(values.reshape(rows, columns), cmap=EFFECTS, norm=norm)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set(visible=True, linewidth=0.4)
            if name == "outlined":
                axes.add_patch(Rectangle((columns // 2 - 0.46, rows // 2 - 0.46), 0.92, 0.92, **style.OUTLINE))
        panels[0].set_ylabel(name, rotation=0, ha="right", va="center")
        ticks = MaxNLocator(3, steps=[1, 2, 5, 10])
        draw_bar(figure, ScalarMappable(norm, EFFECTS), ax=panels, aspect=9, pad=0.02, ticks=ticks)
        if row == 0:
            for layer, axes in enumerate(panels, start=1):
                axes.set_title(f"Layer {layer}" if layers <= TITLED else f"{layer}")
    figure.suptitle("what enters a layer at one place, on hidden entries:", fontsize=8.5)


def _top(effects: Float[np.ndarray, "..."]) -> float:
    """The end of a colour scale from 0."""
    return max(float(np.nanmax(effects, initial=0.0)), 0.01)
