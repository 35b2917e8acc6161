"""When a run has forgotten what it had learnt, or has exploded: divergences that leave the loss finite.

The definition, fixed before any run was judged by it. The *level* of L_obs is its median over a block of steps, which
no spike moves. Copying counts as learnt once the level has been a hundredth of the first block's. The run has
*diverged* if after that the level is more than a hundred times the lowest there was, without a break for ten blocks:
noise, the drop (in which L_obs moves by a factor of a few) and the spikes of Adam, which last tens of steps, and four
blocks in the worst run there is (of addition), are far from both. The one divergence that was known beforehand, of a
BERT of width 128, went from 5e-5 to 0.1 within 50 steps and had not come back after 700.

A run that *explodes* has nothing to forget: before copying is learnt, it has diverged once the level is more than a
hundred times the untrained model's loss for two blocks in a row. Of a run that starts from another one's weights the
first losses are no untrained model's: what has learnt nothing has is told instead.
"""

import numpy as np
from jaxtyping import Bool, Float
from numpy.lib.stride_tricks import sliding_window_view

BLOCK = 50  # steps in a level
RISE = 100.0  # of the level over the lowest, and of the first one over that which counts as learnt
HELD = 10  # blocks in a row: 500 steps
EXPLODED = 2  # blocks in a row above RISE times the loss at step 0


def find_divergence(loss_observed: Float[np.ndarray, " time"], untrained: float | None = None) -> int | None:
    """The step at which a run diverged, by the module's definition; None if it has not (yet).

    Takes L_obs of every step from 0 on; a decoder's is the cross-entropy. Steps without a finite one are left out.
    `untrained` is the loss of a model that has learnt nothing (default: the run began as one).
    """
    count = len(loss_observed) // BLOCK
    if count < EXPLODED:
        return None
    blocks = np.sort(loss_observed[: count * BLOCK].reshape(count, BLOCK))  # NaN last
    known = np.isfinite(blocks).sum(1)
    levels = np.where(known > 0, blocks[np.arange(count), np.maximum(known - 1, 0) // 2], np.nan)
    lowest = np.fmin.accumulate(levels)
    begins = next(iter(loss_observed[np.isfinite(loss_observed)]), np.nan) if untrained is None else untrained
    learnt = lowest < (levels[0] if untrained is None else untrained) / RISE
    forgotten, exploded = learnt & (levels > RISE * lowest), ~learnt & (levels > RISE * begins)
    begun = _first(forgotten, HELD), _first(exploded, EXPLODED)
    return min((block * BLOCK for block in begun if block is not None), default=None)


def _first(high: Bool[np.ndarray, " block"], held: int) -> int | None:
    """The first of `held` blocks in a row that are high."""
    found = np.flatnonzero(sliding_window_view(high, held).all(1)) if len(high) >= held else []
    return int(found[0]) if len(found) else None
