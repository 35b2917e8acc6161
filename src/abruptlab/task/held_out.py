"""Examples that no training ever draws."""

import math
from itertools import islice

from abruptlab.task.base import Task
from abruptlab.task.counter import BLOCK, generator
from abruptlab.task.examples import Examples, cat

HELD_OUT = 3  # key of the held-out stream; the training draws its batches and weights under 0, 1 and 2


def held_out_of(task: Task, count: int, seed: int = 0) -> Examples:
    """So many of them, on the CPU. They depend on the three arguments alone; of several sizes, the largest is taken."""
    # the stream draws BLOCK steps at once: a little of each of them, instead of one step whole
    steps = task.of_one_size().stream(math.ceil(count / BLOCK), generator(seed, HELD_OUT).initial_seed())
    return cat(list(islice(steps, BLOCK)))[:count]
