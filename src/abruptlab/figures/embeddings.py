"""Token and positional embeddings (figures 7, 9 and 10)."""

import math

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure, SubFigure

from abruptlab.arguments import require
from abruptlab.experiments.embeddings import Embeddings, Explained, magnitude_and_sign
from abruptlab.figures.style import LOSS, SMALL, draw_bar, draw_numbered_bar, drawing, new_figure, numbered, signed

VALUES = "coolwarm"  # red above zero, blue below, as everywhere; its middle is grey, which shows on white
FRAME = "#B0B0B0"  # of a panel without axes
ACROSS = 5  # checkpoints beside each other, at most
WIDTH = 4.4  # inches of all of them
LABELLED = 8  # columns or rows that are all named on the colour bar


@drawing
def draw_embeddings(embeddings: Embeddings) -> Figure:
    """Figure 7: norms of the tokens, their components, and the positions by column and by row."""
    require(embeddings.step.ndim == 0, "embeddings", "one checkpoint, as measure_embeddings gives", "several")
    figure = new_figure(3.75)
    (top,), (bottom,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(1.0, 0.9))
    norms, tokens = top.subplots(1, 2, width_ratios=(1.1, 1.0))
    norms.plot(embeddings.value, embeddings.tokens.norm, color=LOSS, linewidth=0.9)
    norms.set(xlabel="value $x$ of the token", ylabel="norm of its embedding")
    norms.set_title(f"(a) tokens: symmetry of norms {signed(embeddings.tokens.norm_symmetry)}", loc="left")
    points = _draw_tokens(tokens, embeddings.tokens.components, embeddings.value)
    tokens.set_title("(b) tokens: PCA", loc="left")
    for axis, component in ((tokens.xaxis, 0), (tokens.yaxis, 1)):
        magnitude, sign = embeddings.tokens.magnitude[component], embeddings.tokens.sign[component]
        follows = f"$|x|$ {signed(magnitude)}, sign {signed(sign)}"
        axis.set_label_text(
            f"PC {component + 1} ({embeddings.tokens.explained[component]:.0%})\n{follows}", linespacing=1.15
        )
    _draw_bar_of_values(top, points, tokens)

    panels = bottom.subplots(1, 4)
    positions = embeddings.positions
    groupings = (
        ("c", "column", embeddings.column, positions.by_column),
        ("d", "row", embeddings.row, positions.by_row),
    )
    for index, (letter, name, group, explained) in enumerate(groupings):
        layout, components = panels[2 * index : 2 * index + 2]
        _draw_positions(layout, positions.layout, group, embeddings)
        _draw_positions(components, positions.components, group, embeddings)
        layout.set_title(f"({letter}) by {name}: t-SNE", loc="left")
        layout.set_xlabel(f"explains {explained.score:.0%}\n{_chance(explained)}", loc="left", linespacing=1.1)
        components.set_title("PCA", loc="left")
        components.set_xlabel(f"PC 1 ({positions.explained[0]:.0%})")
        components.set_ylabel(f"PC 2 ({positions.explained[1]:.0%})", labelpad=1)
    _bar_of_places(bottom, panels, embeddings)
    return figure


def _require_several(embeddings: Embeddings) -> None:
    require(
        embeddings.step.ndim == 1, "embeddings", "checkpoints, as measure_embeddings_over_time gives", "a single one"
    )


@drawing
def draw_tokens_over_time(embeddings: Embeddings) -> Figure:
    """Figure 9: the tokens of each checkpoint on the final components."""
    _require_several(embeddings)
    count = len(embeddings.step)
    rows, across = _grid(count)
    figure = new_figure(0.25 + (WIDTH / across + 0.85) * rows)
    panels = figure.subplots(rows, across, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[count:]:
        axes.set_axis_off()
    follows, tokens = magnitude_and_sign(embeddings.tokens), embeddings.tokens
    for index, axes in enumerate(panels.flat[:count]):
        _draw_tokens(axes, tokens.components[index], embeddings.value)
        axes.set_title(f"step {embeddings.step[index]:,}")
        axes.tick_params(labelbottom=True)
        axes.locator_params(nbins=4)
        axes.set_box_aspect(1)
        magnitude, sign = follows[index]
        lines = (
            f"$|x|$ {magnitude:.2f}, sign {sign:.2f}",
            f"by $|x|$ {tokens.magnitude_share[index]:.1%}",
            f"by sign {tokens.sign_share[index]:.1%}",
            f"symmetry {signed(tokens.norm_symmetry[index])}",
        )
        axes.set_xlabel("\n".join(lines), fontsize=SMALL, linespacing=1.2)
    for axes in panels[:, 0]:
        axes.set_ylabel("final PC 2")
    figure.supxlabel("final PC 1", fontsize=8.5)
    _draw_bar_of_values(figure, panels[0, 0].collections[0], panels)
    return figure


@drawing
def draw_positions_over_time(embeddings: Embeddings) -> Figure:
    """Figure 10: the t-SNE of the positions of each checkpoint, by column and by row."""
    _require_several(embeddings)
    rows, across = _grid(len(embeddings.step))
    figure = new_figure((2 * WIDTH / across + 0.7) * rows)
    panels = figure.subplots(2 * rows, across, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    positions = embeddings.positions
    for index, step in enumerate(embeddings.step):
        row, place = divmod(index, across)
        groupings = (("column", embeddings.column, positions.by_column), ("row", embeddings.row, positions.by_row))
        for which, (name, group, explained) in enumerate(groupings):
            axes = panels[2 * row + which, place]
            axes.set_axis_on()
            _draw_positions(axes, positions.layout[index], group, embeddings)
            axes.set_xlabel(f"explains {explained.score[index]:.0%}", fontsize=SMALL)
            if place == 0:
                axes.set_ylabel(f"by {name}")
        panels[2 * row, place].set_title(f"step {step:,}")
    _bar_of_places(figure, panels, embeddings)
    return figure


def _grid(checkpoints: int) -> tuple[int, int]:
    """Rows, and checkpoints in a row: three at least, so that few are not huge."""
    across = min(ACROSS, max(3, checkpoints))
    return math.ceil(checkpoints / across), across


def _draw_tokens(
    axes: Axes, components: Float[np.ndarray, "value component=2"], value: Float[np.ndarray, " value"]
) -> PathCollection:
    limit = value.max()
    return axes.scatter(*components.T, c=value, cmap=VALUES, vmin=-limit, vmax=limit, s=5, linewidths=0)


def _draw_positions(
    axes: Axes, layout: Float[np.ndarray, "pos 2"], group: Int[np.ndarray, " pos"], embeddings: Embeddings
) -> None:
    size = float(np.clip(400 / len(group), 3, 16))
    axes.set_box_aspect(1)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=FRAME)
    axes.margins(0.12)
    colours = _scale(embeddings).to_rgba(group + 1)
    axes.scatter(*layout.T, c=colours, s=size, edgecolors="black", linewidths=size / 60)


def _scale(embeddings: Embeddings) -> ScalarMappable:
    """A colour for each column or row, numbered from one."""
    return numbered(int(max(embeddings.row.max(), embeddings.column.max())) + 1, brightest=1.0)


def _draw_bar_of_values(figure: Figure | SubFigure, points: ScalarMappable, panels: Axes | np.ndarray) -> None:
    draw_bar(figure, points, ax=panels, label="value $x$", shrink=0.9, aspect=25, pad=0.02)


def _bar_of_places(figure: Figure | SubFigure, panels: np.ndarray, embeddings: Embeddings) -> None:
    draw_numbered_bar(figure, _scale(embeddings), panels, "column or row", LABELLED, shrink=0.8, aspect=20)


def _chance(explained: Explained) -> str:
    return rf"(shuffled {explained.shuffled:.0%} $\pm$ {explained.spread:.0%})"
