"""Attention maps of all heads, and the scores of the heads (figures 4, 5, 22, 23 and `heads`)."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Shaped
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from abruptlab.experiments.attention import KINDS, LOOKS_AT, NO_LABEL, Attention, AttentionOverTime
from abruptlab.figures import style
from abruptlab.figures.style import SMALL, TEXT_WIDTH, drawing, new_figure

COLOURS = {
    "row": style.GREEN,
    "column": style.PURPLE,
    "row and column": style.ORANGE,
    "itself": style.SKY,
    "observed": style.OBSERVED,
    "hidden": style.MASKED,
}
SHORT = {"row and column": "row+col"}  # above a map, where there is little room,
SHORTER = SHORT | {"observed": "obs."}  # and above a small map
PALE = 0.35  # opacity
STRIPS = ListedColormap(["#DDDDDD", "#333333"])  # observed, hidden
AXES_OF_MAPS = "queries down, keys across"

# points
DENSE = 6.0  # the smallest print in a grid of maps
NAMES = 7.0  # of layers and heads

# inches
LEFT = 0.24  # for the layers' names
LARGEST = 1.6  # side of a map
GAP = 0.03  # between maps
TITLE = 0.1  # a line above a map
STRIP = 0.035  # a mask along a map's side
HEADING = 0.16  # the heads' names
MARGIN = 0.06  # of the sheet
BAR = 1.5, 0.07  # of the colours
TOP = 0.4  # the bar and what stands beside it
MASK = 0.6  # side of the mask as a matrix
LINE = 0.13  # of a note
WORDS = 0.26  # a map this wide has room for the words "Head 1" in DENSE,
WIDE = 0.33  # this wide, in NAMES, and for two shares in one line,
ONE_LINE = 0.5  # and this wide, for a label and its score in one line

NUMBERED = 48  # so many heads in one line have room for their numbers; of more, every second or third is numbered
NAMED = 8  # so many layers have room for their names in SMALL
PAIRED = 8  # blocks of up to so many heads stand two abreast


@drawing
def draw_attention(attention: Attention) -> Figure:
    """Figures 4 and 23: the map of every head, with its label and that label's score, and the mask if it is fixed."""
    shape = attention.label.shape
    titles, inks = np.full(shape, NO_LABEL, object), np.full(shape, style.REFERENCE, object)
    small = _side(attention, TEXT_WIDTH) < ONE_LINE
    for head, label in np.ndenumerate(attention.label):
        if label != NO_LABEL:
            score = attention.score.mean[(*head, KINDS.index(label))]
            name = (SHORTER if small else SHORT).get(label, label)
            titles[head] = f"{name}\n{score:.2f}" if small else f"{name} {score:.2f}"
            inks[head] = COLOURS[label]
    return _draw_maps(attention, titles, inks, ["above: label, and share there above uniform attention"])


@drawing
def draw_attention_to_rows(attention: Attention) -> Figure:
    """Figure 5: the maps and, above each, its shares on hidden places and on the only observed entries of rows."""
    return _draw_fixed(attention, "row")


@drawing
def draw_attention_to_columns(attention: Attention) -> Figure:
    """Figure 5 for columns."""
    return _draw_fixed(attention, "column")


@drawing
def draw_attention_over_time(attention: AttentionOverTime) -> Figure:
    """Figure 22: a block of all maps for each checkpoint, labelled maps framed in the colour of their label."""
    steps, layers, heads = attention.label.shape
    abreast = 2 if heads <= PAIRED and steps > 1 else 1
    width = TEXT_WIDTH / abreast
    side = _side(attention, width)
    block = 2 * HEADING + layers * (side + GAP) + MARGIN
    figure, canvas = _sheet(TOP + math.ceil(steps / abreast) * block)
    norm = _draw_bar(figure, canvas, attention.maps)
    _draw_legend(figure)
    for index, step in enumerate(attention.step):
        left, top = index % abreast * width, TOP + index // abreast * block
        canvas.text(left + (LEFT + width) / 2, top + 0.1, f"step {step:,}", ha="center", fontsize=8.5)
        for head, x, y in _places(canvas, (layers, heads), left, top + HEADING, width, side):
            _draw_map(canvas, attention.maps[(index, *head)], attention.size[1], norm, x, y, side)
            if (label := attention.label[(index, *head)]) != NO_LABEL:
                look = {"fill": False, "edgecolor": COLOURS[label], "linewidth": 1.2}
                canvas.add_patch(Rectangle((x, y), side, side, **look))
    return figure


@drawing
def draw_heads(attention: Attention) -> Figure:
    """The scores of all heads, a panel for each kind of places, strongly coloured where it is the head's label.

    Hidden places are the observed ones' opposite and share their panel.
    """
    layers, heads = attention.label.shape
    places, labels = np.arange(layers * heads), attention.label.ravel()
    kinds = ("itself", "row", "column", "row and column", "observed")
    figure = new_figure(4.7)
    panels = figure.subplots(len(kinds), 1, sharex=True)
    for axes, kind in zip(panels, kinds, strict=True):
        opposite = "hidden" if kind == "observed" else None
        estimates = attention.score.mean, attention.score.error
        score, error = (values[..., KINDS.index(kind)].ravel() for values in estimates)
        own = {kind: COLOURS[kind], opposite: COLOURS["hidden"]}
        colours = [(own[name], 1.0) if name in own else (COLOURS[kind], PALE) for name in labels]
        axes.bar(places, score, width=0.75, color=colours, yerr=error, error_kw={"elinewidth": 0.7})
        _draw_rule(axes, attention, kind)
        axes.set_title(kind, loc="left")
        if opposite is not None:
            _draw_rule(axes, attention, opposite, sign=-1)
            axes.set_title(f"{kind} (below zero: {opposite})", loc="left")
        axes.axhline(0, color="black", linewidth=0.6)
        for edge in range(heads, layers * heads, heads):
            axes.axvline(edge - 0.5, color=style.REFERENCE, linewidth=0.4)
    numbers = places[places % heads % math.ceil(layers * heads / NUMBERED) == 0]
    names = [f"Layer {layer + 1}" for layer in range(layers)]
    last = panels[-1]
    last.xaxis.remove_overlapping_locs = False  # a layer's name stands under its middle head's number
    last.set_xlim(-0.5, layers * heads - 0.5)
    last.set_xticks(numbers, [f"{place % heads + 1}" for place in numbers], fontsize=DENSE)
    last.set_xticks(np.arange(layers) * heads + (heads - 1) / 2, names, minor=True)
    last.tick_params(axis="x", which="minor", pad=11, labelsize=SMALL if layers <= NAMED else DENSE)
    for axes in panels:
        axes.tick_params(axis="x", which="both", length=0)
    last.set_xlabel("head")
    figure.supylabel("share of attention \N{MINUS SIGN} uniform", fontsize=8.5)
    return figure


def _draw_rule(axes: Axes, attention: Attention, kind: str, sign: int = 1) -> None:
    """The score from which a head is labelled by this kind."""
    score = LOOKS_AT * (1 - attention.uniform[KINDS.index(kind)])
    axes.axhline(sign * score, color=style.REFERENCE, dashes=(4, 3), linewidth=0.7)


def _draw_fixed(attention: Attention, line: str) -> Figure:
    kinds = [KINDS.index("hidden"), KINDS.index(f"alone in {line}")]
    titles = np.empty(attention.label.shape, object)
    between = " | " if _side(attention, TEXT_WIDTH) >= WIDE else "\n"
    for head in np.ndindex(titles.shape):
        titles[head] = between.join(f"{share:.2f}" for share in attention.share.mean[head][kinds])
    uniform = " and ".join(f"{share:.2f}" for share in attention.uniform[kinds])
    notes = [f"above: share on hidden places, then on the only observed entries of {line}s", f"(uniform: {uniform})"]
    return _draw_maps(attention, titles, np.full(titles.shape, "black", object), notes)


def _draw_maps(
    attention: Attention,
    titles: Shaped[np.ndarray, "layer head"],
    inks: Shaped[np.ndarray, "layer head"],
    notes: Sequence[str],
) -> Figure:
    """The maps of all heads with their titles, below the mask, if it is fixed, the notes and the colour bar."""
    layers, heads = titles.shape
    hidden, side, strip = attention.hidden, _side(attention, TEXT_WIDTH), _strip(attention)
    top = TOP if hidden is None else MASK + 2 * MARGIN
    above = TITLE * (1 + max(title.count("\n") for title in titles.flat)) + 0.03
    figure, canvas = _sheet(top + HEADING + layers * (above + side + strip + GAP))
    norm = _draw_bar(figure, canvas, attention.maps)
    x, y = MARGIN, MARGIN + BAR[1]
    if hidden is not None:
        x, y = _draw_mask(canvas, hidden.reshape(attention.size)) + 0.08, TOP - MARGIN
        notes = [f"{AXES_OF_MAPS}; hidden: hatched, dark beside the maps", *notes]
    else:
        notes = [AXES_OF_MAPS, *notes]
    for line, note in enumerate(notes):
        canvas.text(x, y + line * LINE, note, fontsize=SMALL)
    for head, x, y in _places(canvas, (layers, heads), 0.0, top, TEXT_WIDTH, side, above, strip):
        _draw_map(canvas, attention.maps[head], attention.size[1], norm, x, y, side)
        look = {"ha": "center", "fontsize": DENSE, "linespacing": 1.0, "color": inks[head]}
        canvas.text(x + side / 2, y - 0.025, titles[head], **look)
        if hidden is not None:
            _draw_strips(canvas, hidden, x, y, side)
    return figure


def _places(
    canvas: Axes,
    shape: tuple[int, int],
    left: float,
    top: float,
    width: float,
    side: float,
    above: float = 0.0,
    strip: float = 0.0,
) -> Iterator[tuple[tuple[int, int], float, float]]:
    """The top left corner of each head's map, a row for each layer, their names written beside."""
    layers, heads = shape
    across, down = side + strip + GAP, above + side + strip + GAP
    left += LEFT + strip + (width - LEFT - heads * across) / 2
    top += HEADING + above
    size = NAMES if side >= WIDE else DENSE
    layer_word, head_word = ("Layer ", "Head ") if side >= WORDS else ("", "")
    for head in range(heads):
        middle = left + head * across + side / 2
        canvas.text(middle, top - above - 0.04, f"{head_word}{head + 1}", ha="center", fontsize=size)
    for layer in range(layers):
        middle = top + layer * down + side / 2
        name = f"{layer_word}{layer + 1}"
        canvas.text(left - strip - 0.1, middle, name, ha="center", va="center", rotation=90, fontsize=size)
        for head in range(heads):
            yield (layer, head), left + head * across, top + layer * down


def _draw_map(
    canvas: Axes,
    values: Float[np.ndarray, "query key"],
    columns: int,
    norm: PowerNorm,
    x: float,
    y: float,
    side: float,
) -> None:
    """A map with lines between the rows of the matrix."""
    extent = (x, x + side, y + side, y)
    canvas.imshow(values, cmap=style.ATTENTION, norm=norm, extent=extent, aspect="auto", interpolation="none")
    between = side * np.arange(columns, len(values), columns) / len(values)
    fine = min(0.4, 0.3 * 72 * side / len(values))  # points, less than a third of a place
    canvas.hlines(y + between, x, x + side, color="white", linewidth=fine)
    canvas.vlines(x + between, y, y + side, color="white", linewidth=fine)


def _draw_strips(canvas: Axes, hidden: Bool[np.ndarray, " pos"], x: float, y: float, side: float) -> None:
    """The mask over the keys, below a map, and over the queries, at its left."""
    below = (x, x + side, y + side + STRIP, y + side + 0.008)
    beside = (x - STRIP, x - 0.008, y + side, y)
    for strip, extent in ((hidden[None], below), (hidden[:, None], beside)):
        canvas.imshow(strip, cmap=STRIPS, vmin=0, vmax=1, extent=extent, aspect="auto", interpolation="none")


def _draw_mask(canvas: Axes, hidden: Bool[np.ndarray, "rows columns"]) -> float:
    """The mask as a matrix, hidden entries hatched; returns where it ends at the right."""
    cell = MASK / max(hidden.shape)
    for (i, j), hole in np.ndenumerate(hidden):
        corner = MARGIN + (j + 0.04) * cell, MARGIN + (i + 0.04) * cell
        canvas.add_patch(Rectangle(corner, 0.92 * cell, 0.92 * cell, **(style.HOLE if hole else style.KNOWN)))
    return MARGIN + hidden.shape[1] * cell


def _draw_bar(figure: Figure, canvas: Axes, maps: Float[np.ndarray, "*head query key"]) -> PowerNorm:
    """The colour bar, at the top right, and the scale of all maps: a square root, as a head that attends to one place
    is many times above one that attends to a row."""
    highest = float(maps.max())
    norm = PowerNorm(0.5, vmin=0, vmax=highest)
    width, height = BAR
    left, high = TEXT_WIDTH - width - 2 * MARGIN, figure.get_figheight()
    cax = figure.add_axes((left / TEXT_WIDTH, 1 - (MARGIN + height) / high, width / TEXT_WIDTH, height / high))
    bar = style.draw_bar(figure, ScalarMappable(norm, style.ATTENTION), cax=cax, orientation="horizontal")
    ticks = [highest * part**2 for part in (0, 0.25, 0.5, 0.75, 1)]  # evenly spaced
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
    canvas.text(left - MARGIN, MARGIN + height, "mean attention", ha="right", fontsize=SMALL)
    return norm


def _draw_legend(figure: Figure) -> None:
    handles = [Patch(fill=False, edgecolor=colour, linewidth=1.2, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="upper left", ncols=3, handlelength=1.0, columnspacing=1.0, fontsize=SMALL)


def _sheet(height: float) -> tuple[Figure, Axes]:
    """A figure and axes all over it, in inches from the top left."""
    figure = new_figure(height)
    figure.set_layout_engine("none")
    canvas = figure.add_axes((0, 0, 1, 1))
    canvas.set(xlim=(0, TEXT_WIDTH), ylim=(height, 0))
    canvas.axis("off")
    return figure, canvas


def _strip(attention: Attention | AttentionOverTime) -> float:
    """The width of the strips beside the maps."""
    return 0.0 if getattr(attention, "hidden", None) is None else STRIP


def _side(attention: Attention | AttentionOverTime, width: float) -> float:
    """The side of a map, so that those of a layer fill the width."""
    heads = attention.label.shape[-1]
    return min(LARGEST, (width - LEFT - MARGIN) / heads - GAP - _strip(attention))
