"""Drawing by counter: random numbers that depend on a seed and a key alone.

The batch of a step depends on the task, the batch size, the seed and the step alone (and on the kind of device), so
any step can be replayed and a resumed run needs no generator state. Steps are drawn in blocks, on the device.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch

from abruptlab.arguments import require_count

BLOCK = 64  # steps drawn at once; part of what decides the numbers

Drawn = TypeVar("Drawn")


def generator(seed: int, *key: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator whose stream depends on `seed` and `key` alone; different keys give independent streams.

    Raises `ConfigError` for a negative seed, or one that is no whole number.
    """
    require_count(seed, "seed", least=0)
    state = np.random.SeedSequence(seed, spawn_key=key).generate_state(1, np.uint64)
    return torch.Generator(device).manual_seed(int(state[0] >> np.uint64(1)))


def by_blocks(draw: Callable[[int], Sequence[Drawn]], start: int) -> Iterator[Drawn]:
    """The batches of the steps from `start` on, without end; `draw` gives those of the `BLOCK` steps of a block.

    Raises `ConfigError` for a step that is no whole number, or below 0.
    """
    require_count(start, "start", 0)
    for block in itertools.count(start // BLOCK):
        yield from draw(block)[max(0, start - block * BLOCK) :]
