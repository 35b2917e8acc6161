"""Where the plateau of a run ends and how far and how fast its loss then drops.

The definition, fixed in advance and the same for every run. Levels are medians over steps, so neither a step's noise
nor a spike moves them.

- The *level* at a step is the median of L_mask over a bin of steps, each bin 1/64 of the training so far.
- The *plateau* at a step is the level held for most of the time until then (the median over time). It counts only if
  the levels within 10 % of it fill at least half of that time: a plateau outlasts the transient before it and the
  fall after it together. An exponential, a power law or a straight line fills at most a fifth, and is no drop.
- A *drop* is there once the level has fallen below half the plateau, three bins in a row. That is beyond noise: as
  half of the levels lie within 10 % of the plateau, their standard error is at most 15 %, and a halving is more than
  three of them, three times over. A run with several drops has its first one reported.
- Its *onset* is where L_mask crosses 90 % of the plateau, so the first of the stages of a fall.
- Its *end* is where 90 % of the way to the final level is covered. The *final* level is what L_mask settles to, below
  half the plateau: with w steps from onset to end, the level over w steps that begin w steps after the end. So a
  shoulder counts as part of the fall unless it lasts about twice as long as what fell before it, and the slow
  improvement long after a drop does not stretch it.

A bin, and so each decision, depends on earlier steps alone. Online, therefore, `find_drop` returns None until the
drop is certain, then a `Drop` whose plateau and onset never change, with `end` None while the fall is under way;
once there, the end does not change either. That is so from `WHOLE_BINS` recorded steps on; with fewer, of a series that
somebody has at hand, the bins are smaller, so that a clear drop is seen in two dozen steps.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from abruptlab.arguments import checked, require
from abruptlab.errors import ConfigError

BIN_GROWTH = 1 + 1 / 64  # a bin's end over its start: 60 steps at step 4,000, which cut a step's noise to a sixth
BIN_POINTS = 8  # recorded steps in a bin at least, so that its median outvotes a spike of three
SHORT_POINTS = 2  # and in one of a short series
PLATEAU_BINS = 8  # bins in a plateau at least (64 recorded steps): fewer could be one corner of a steep decay
PLATEAU_BAND = 0.1  # how far a level may lie from the plateau; plateaus creep by 5 % and early bins are as noisy
PLATEAU_SHARE = 0.5  # of the time until the drop; the decays above fill at most 0.2, the paper's plateau about 0.9
DEPTH = 2.0  # the least factor of a drop; noise and creep stay far from it, the paper's drop is a factor of 30
CONFIRMING_BINS = 3  # below plateau / DEPTH, in a row: a dip that passes is no drop
WHOLE_BINS = (PLATEAU_BINS + CONFIRMING_BINS) * BIN_POINTS + 1  # recorded steps from which on bins are whole
LEAST = (PLATEAU_BINS + CONFIRMING_BINS) * SHORT_POINTS + 1  # recorded steps in which there can be a drop
ONSET = 0.1  # the fallen fraction of the plateau at the onset: the edge of the plateau's band
LANDING = 0.9  # the covered fraction of the way to the final level at the end


@dataclass(frozen=True)
class Drop:
    """A plateau of L_mask and the drop that ended it, as the module defines them."""

    plateau: float  # the level of L_mask before the drop
    final: float  # the level after it; the latest level while the fall is under way
    onset: int  # step
    end: int | None  # step; None while the fall is under way

    @property
    def depth(self) -> float:
        """How many times lower the final level is than the plateau."""
        return self.plateau / self.final if self.final else math.inf

    @property
    def width(self) -> int | None:
        """Steps from onset to end; None while the fall is under way."""
        return None if self.end is None else self.end - self.onset


def _bin_edges(steps: Int[np.ndarray, " time"]) -> list[int]:
    """The index of each bin's first step, closed by that of the first step in no complete bin."""
    points = BIN_POINTS if len(steps) >= WHOLE_BINS else SHORT_POINTS
    edges = [0]
    while (edge := edges[-1] + points) < len(steps):
        edge = max(edge, int(np.searchsorted(steps, math.ceil(steps[edges[-1]] * BIN_GROWTH))))
        if edge == len(steps):  # a bin is complete once a step after it is known
            break
        edges.append(edge)
    return edges


def _crossing(losses: Float[np.ndarray, " time"], level: float) -> int:
    """The last index before the losses cross the level downwards: the split with most of them above it before, and
    below it after. It needs no smoothing, and single outliers have one vote each."""
    return int(np.sign(losses - level).cumsum().argmax())


def _settled(
    starts: Int[np.ndarray, " bin"], levels: Float[np.ndarray, " bin"], plateau: float, onset: int, earliest: int
) -> tuple[int, float] | None:
    """The bin by whose start the fall has settled, and the level over it; None if it has not.

    `earliest` is the first bin that may have landed; it starts after the onset.
    """
    for landed in range(earliest, len(levels)):
        width = starts[landed] - onset
        first, last = np.searchsorted(starts, starts[landed] + np.array([1, 2]) * width)
        if last >= len(levels):
            return None
        final = float(np.median(levels[first : last + 1]))
        if final < plateau / DEPTH and plateau - levels[landed] >= LANDING * (plateau - final):
            return int(last), final
    return None


@checked
def find_drop(steps: ArrayLike, loss_masked: ArrayLike) -> Drop | None:
    """The first drop of a run that ended a plateau, by the module's definition; None if there is none (yet), or if
    fewer than LEAST steps were recorded, in which no plateau and drop can be told from chance.

    Args:
        steps: the recorded training steps, strictly increasing integers; gaps are no harm.
        loss_masked: L_mask of the batch of each step (mean squared error); steps without a finite one are left out.

    Raises `ConfigError` if the two are no numbers or differ in length, or the steps do not increase.
    """
    try:
        steps, losses = np.asarray(steps), np.asarray(loss_masked, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"steps, loss_masked: expected two arrays of numbers, got others: {error}") from None
    if not losses.size:
        steps = steps.astype(np.int64)  # an empty list has no type of its own
    require(steps.dtype.kind in "iu", "steps", "integers", steps.dtype)
    fits = steps.ndim == 1 and steps.shape == losses.shape
    require(fits, "loss_masked", "one loss per step", f"shapes {steps.shape} and {losses.shape}")
    if (np.diff(steps) <= 0).any():
        raise ConfigError("steps: expected strictly increasing ones")
    known = np.isfinite(losses)
    steps, losses = steps[known], losses[known]
    edges = _bin_edges(steps)
    if len(edges) <= PLATEAU_BINS + CONFIRMING_BINS:
        return None
    # upper medians, since np.median takes five times as long on small bins
    levels = np.array([np.sort(losses[first:stop])[(stop - first) // 2] for first, stop in pairwise(edges)])
    starts, sizes = steps[edges[:-1]], np.diff(edges)

    # row c judges a fall at bin c by the bins before it
    spent = np.tril(np.broadcast_to(np.diff(steps[edges]), (len(levels), len(levels))), -1)
    ranking = levels.argsort()
    share = spent[:, ranking].cumsum(1) / np.maximum(starts - starts[0], 1)[:, None]
    plateaus = levels[ranking][(share >= 0.5).argmax(1)]
    held = (np.abs(levels - plateaus[:, None]) <= PLATEAU_BAND * plateaus[:, None]) & (spent > 0)
    long_enough = (held.sum(1) >= PLATEAU_BINS) & ((held * spent).sum(1) >= PLATEAU_SHARE * (starts - starts[0]))
    low = sliding_window_view(levels, CONFIRMING_BINS).max(1) < plateaus[: 1 - CONFIRMING_BINS] / DEPTH

    falls = np.flatnonzero(long_enough[: len(low)] & low)
    if not len(falls):
        return None

    fall = int(falls[0])
    plateau = float(np.median(losses[: edges[-1]][np.repeat(held[fall], sizes)]))
    before = _crossing(losses[: edges[fall + 1]], (1 - ONSET) * plateau)
    onset = int(steps[before])
    settled = _settled(starts, levels, plateau, onset, fall + 1)
    if settled is None:
        return Drop(plateau, float(np.median(losses[edges[-2] :])), onset, None)
    last, final = settled
    way = plateau - LANDING * (plateau - final)
    return Drop(plateau, final, onset, int(steps[before + _crossing(losses[before : edges[last + 1]], way)]))
