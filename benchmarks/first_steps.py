"""The first two steps of a contestant, each in a process of its own: what compilation costs, and the peak of memory.

Peak memory counts weights, gradients, the optimiser's state, and activations. On CUDA it is PyTorch's
`max_memory_allocated`. On a CPU it is the growth of the process's highest resident size (`ru_maxrss`) from after the
imports, so it holds freed memory that the allocator keeps, and for a compiled model the compiler too. Two steps,
because Adam's state exists from the second on.

On Linux a process starts with its parent's highest size: call this while the parent is still small.
"""

import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from abruptlab.config import RunConfig
from benchmarks.contestants import build


@dataclass(frozen=True)
class FirstSteps:
    """What the first two steps showed."""

    first_step_s: float
    """With compilation, if there is any, and warm-up."""
    second_step_s: float
    peak_memory_bytes: int


def first_steps_apart(name: str, config: RunConfig, device: torch.device) -> FirstSteps:
    """`first_steps` in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(first_steps, name, config, device).result()


def first_steps(name: str, config: RunConfig, device: torch.device) -> FirstSteps:
    """Take the first two steps here."""
    before = _peak(device)
    with TemporaryDirectory() as scratch:
        contestant = build(name, config, device, Path(scratch))
        first, second = contestant(1), contestant(1)
    return FirstSteps(first, second, _peak(device) - before)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
