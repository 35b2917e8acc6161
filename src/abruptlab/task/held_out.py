"""Examples that no training ever draws."""

import math
from itertools import islice

import numpy as np

from abruptlab.task.base import Task, require
from abruptlab.task.counter import BLOCK, generator
from abruptlab.task.examples import Examples, cat

HELD_OUT = 3  # key of the held-out stream; the training draws its batches and weights under 0, 1 and 2


def held_out_of(task: Task, count: int, seed: int = 0) -> Examples:
    """So many of them, on the CPU. They depend on the task and `seed` alone; of several sizes, the largest is taken.

    Raises `ConfigError` for less than one.
    """
    whole = isinstance(count, int | np.integer) and not isinstance(count, bool)
    require(whole and count >= 1, "matrices (or other examples)", "a whole number of at least 1", count)
    # the stream draws BLOCK steps at once: a little of each of them, instead of one step whole
    steps = task.of_one_size().stream(math.ceil(count / BLOCK), generator(seed, HELD_OUT).initial_seed())
    batches = list(islice(steps, BLOCK))
    return cat(batches)[:count]
