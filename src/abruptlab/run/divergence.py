"""When a run has forgotten what it had learnt: a divergence that leaves the loss finite.

The definition, fixed before any run was judged by it. The *level* of L_obs is its median over a block of steps, which
no spike moves. Copying counts as learnt once the level has been a hundredth of the first block's. The run has
*diverged* if after that the level is more than a hundred times the lowest there was, without a break for ten blocks:
noise, the drop (in which L_obs moves by a factor of a few) and the spikes of Adam, which last tens of steps, are far
from both. The one divergence that was known beforehand, of a BERT of width 128, went from 5e-5 to 0.1 within 50 steps
and had not come back after 700.
"""

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import sliding_window_view

BLOCK = 50  # steps in a level
RISE = 100.0  # of the level over the lowest, and of the first one over that which counts as learnt
HELD = 10  # blocks in a row: 500 steps


def find_divergence(loss_observed: Float[np.ndarray, " time"]) -> int | None:
    """The step at which a run diverged, by the module's definition; None if it has not (yet).

    Takes L_obs of every step from 0 on; a decoder's is the cross-entropy. Steps without a finite one are left out.
    """
    count = len(loss_observed) // BLOCK
    if count <= HELD:
        return None
    blocks = np.sort(loss_observed[: count * BLOCK].reshape(count, BLOCK))  # NaN last
    known = np.isfinite(blocks).sum(1)
    levels = np.where(known > 0, blocks[np.arange(count), np.maximum(known - 1, 0) // 2], np.nan)
    lowest = np.fmin.accumulate(levels)
    high = (levels > RISE * lowest) & (lowest < levels[0] / RISE)
    diverged = np.flatnonzero(sliding_window_view(high, HELD).all(1))
    return int(diverged[0]) * BLOCK if len(diverged) else None
