"""One look for every figure of the paper: sizes, fonts, colours."""

import io
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int
from matplotlib import colormaps, rc_context, rcdefaults, rcParams
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import LogFormatter, MaxNLocator, NullFormatter, StrMethodFormatter

from abruptlab.arguments import checked
from abruptlab.run.drop import Drop

Draw = TypeVar("Draw", bound=Callable[..., Figure])

TEXT_WIDTH = 5.5  # inches, NeurIPS
SCREEN = 150  # dots an inch in a notebook
SMALL = 7.5  # points, the smallest print outside a matrix

# Okabe and Ito's colours, which colour-blind readers tell apart
LOSS = "#000000"  # L
OBSERVED = "#0072B2"  # L_obs
MASKED = "#D55E00"  # L_mask
REFERENCE = "#666666"  # levels that are known beforehand
LEVEL: dict[str, Any] = {"color": REFERENCE, "dashes": (4, 3), "linewidth": 0.8}  # a line at such a level
DROP: dict[str, Any] = {"color": "#F0E442", "alpha": 0.35, "linewidth": 0, "zorder": 0}  # the drop, as a pale band
KNOWN = {"fill": False, "edgecolor": REFERENCE, "linewidth": 0.4}  # an observed entry
HOLE = {"facecolor": "#E3E3E3", "edgecolor": "white", "hatch": "//////", "linewidth": 0}  # a hidden entry
OUTLINE = {"fill": False, "edgecolor": "black", "linewidth": 0.7}  # the value at a hidden entry
DIVERGING = "RdBu_r"  # values: red above zero, blue below
ATTENTION = "viridis"  # shares of attention, from 0
DARK = 0.88  # of that colour map: its yellow end is too pale for lines
# the others of Okabe and Ito, for kinds of things
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
BROWN = "#7F4F24"  # one beyond theirs, for an eighth kind
BERT = LOSS  # the methods that complete matrices
NUCLEAR = "#0072B2"

_TICKS = {"labelsize": SMALL, "major.width": 0.6, "minor.width": 0.4, "major.size": 2.5, "minor.size": 1.5}
_RC: dict[Any, Any] = {
    "font.family": "STIXGeneral",  # Times-like, as the paper's text, and shipped with Matplotlib
    "mathtext.fontset": "stix",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.title_fontsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    **{f"{axis}tick.{name}": value for axis in "xy" for name, value in _TICKS.items()},
    "lines.linewidth": 1.2,
    "hatch.linewidth": 0.5,
    "figure.constrained_layout.h_pad": 0.07,  # inches; the default cuts the top off titles of two lines
    "legend.frameon": False,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # TrueType: text in the PDF stays text
    "agg.path.chunksize": 10_000,  # a curve of 50,000 steps is too much for one piece
}
_LOCK = threading.RLock()  # rc parameters are global: one thread draws at a time


@contextmanager
def paper_style() -> Iterator[None]:
    """Draw or save in the paper's style; also a decorator. The caller's own settings come back afterwards."""
    with _LOCK, rc_context():
        rcdefaults()
        rcParams.update(_RC)
        yield


def drawing(draw: Draw) -> Draw:
    """A function that draws a figure in the paper's style, and is `checked`."""
    return checked(paper_style()(draw))


class Drawing(Figure):
    """A figure that a notebook shows as a picture, as it does those of `matplotlib.pyplot`."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        with paper_style():
            self.savefig(picture, format="png", dpi=SCREEN)
        return picture.getvalue()


def new_figure(height: float) -> Figure:
    """An empty figure of the text's width, `height` inches high."""
    return Drawing(figsize=(TEXT_WIDTH, height), layout="constrained")


def curve_colour(metric: str) -> str:
    """The colour of a loss, by the name of the metric; one that nobody has named a colour for has one all the same."""
    known = {"loss": LOSS, "loss_prompt": REFERENCE, "loss_observed": OBSERVED, "loss_masked": MASKED}
    others = (MASKED, GREEN, PURPLE, SKY, ORANGE)
    return known.get(metric, others[zlib.crc32(metric.encode()) % len(others)])


def shades(count: int, brightest: float = DARK) -> Float[np.ndarray, "line 4"]:
    """Colours for lines in an order, from dark to bright."""
    return colormaps["viridis"](np.linspace(0, brightest, count))


def numbered(count: int, brightest: float = DARK) -> ScalarMappable:
    """A shade for each of the numbers from one on."""
    return ScalarMappable(BoundaryNorm(np.arange(count + 1) + 0.5, count), ListedColormap(shades(count, brightest)))


def draw_bar(figure: Figure | SubFigure, colours: ScalarMappable, **look: Any) -> Colorbar:
    """A colour bar with a thin outline."""
    bar = figure.colorbar(colours, **look)
    bar.outline.set_linewidth(0.4)
    return bar


def draw_numbered_bar(
    figure: Figure | SubFigure, scale: ScalarMappable, panels: Any, label: str, most: int, shrink: float, aspect: int
) -> None:
    """The colour bar of `numbered`, on which at most so many numbers are written."""
    bar = draw_bar(figure, scale, ax=panels, label=label, shrink=shrink, aspect=aspect, pad=0.02)
    bar.set_ticks(range(1, scale.cmap.N + 1, -(-scale.cmap.N // most)))
    bar.minorticks_off()
    bar.ax.tick_params(length=0)


def draw_legend(figure: Figure | SubFigure, *panels: Axes, **look: Any) -> None:
    """What is named in these panels, each name once; above them, if `look` says nothing else."""
    lines = {name: line for axes in panels for line, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend([*lines.values()], [*lines], **{"loc": "outside upper center", "ncols": 4} | look)


def count_steps(axes: Axes, most: int | None = None) -> None:
    """Steps along the axis in groups of three digits, `most` of them if that many are as much as fits."""
    if most is not None:
        axes.xaxis.set_major_locator(MaxNLocator(most))
    axes.locator_params("x", integer=True)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def signed(value: float | np.floating | np.ndarray, decimals: int = 2) -> str:
    """A number, with a minus of the width of its digits."""
    return f"{value:z.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def in_math(symbol: str) -> str:
    """A symbol such as L_mask, as Matplotlib sets it."""
    letter, _, index = symbol.partition("_")
    return rf"${letter}_\mathrm{{{index}}}$" if index else f"${letter}$"


def draw_curve(
    axes: Axes,
    step: Int[np.ndarray, " step"],
    raw: Float[np.ndarray, " step"],
    smooth: Float[np.ndarray, " step"],
    colour: str,
    label: str | None = None,
) -> None:
    """A loss over the steps, faint as it is and strong its running mean."""
    # the raw curve is pixels even in the PDF: tens of thousands of noisy points
    axes.plot(step, raw, color=colour, alpha=0.2, linewidth=0.4, rasterized=True)
    axes.plot(step, smooth, color=colour, label=label, marker="." if len(step) == 1 else None)


def draw_drop(axes: Axes, drop: Drop | None, last: int | np.integer) -> None:
    """The time of a drop, if there is one; of one that has not ended, up to the `last` step."""
    if drop is not None:
        axes.axvspan(drop.onset, int(last) if drop.end is None else drop.end, **DROP)


def logarithmic(axes: Axes) -> None:
    """A logarithmic axis of what is drawn; a word where nothing of it is above 0, as L_obs of a run that hides all."""
    if axes.dataLim.y1 > 0:
        axes.set_yscale("log")
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no such entries", ha="center", va="center", fontsize=SMALL, transform=axes.transAxes)


class ShortLog(LogFormatter):
    """Matplotlib's choice of ticks to name between powers of ten, as short numbers that do not overlap."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""
