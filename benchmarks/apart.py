"""A contestant in a process of its own: its memory is its own to measure, and so is how it is allocated.

Peak memory counts weights, gradients, the optimiser's state, and activations. On CUDA it is PyTorch's
`max_memory_allocated`. On a CPU it is the growth of the process's highest resident size (`ru_maxrss`) from after the
imports, so it holds freed memory that the allocator keeps, and for a compiled model the compiler too.
"""

import resource
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch

from abruptlab.config import RunConfig
from benchmarks.contestants import Contestant, build


@dataclass(frozen=True)
class FirstSteps:
    """What the first steps showed: those of the warm-up and one more, as Adam's state exists from the second on."""

    first_step_s: float
    """All of the warm-up: one step, with compilation, if there is any; before a graph a few, and its capture."""
    second_step_s: float
    peak_memory_bytes: int


class Apart:
    """The contestant called `name`, built and run in a fresh process; it may write to `scratch`."""

    def __init__(self, name: str, config: RunConfig, device: torch.device, scratch: Path) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"), _enter, (name, config, device, scratch))

    def first_steps(self) -> FirstSteps:
        """Take the steps of the warm-up and one more."""
        return self._process.submit(_first_steps).result()

    def __call__(self, steps: int) -> float:
        """Train that many steps; seconds a step."""
        return self._process.submit(_train, steps).result()

    def close(self) -> None:
        """End the process."""
        self._process.shutdown()


_here: Contestant  # in the contestant's process
_device: torch.device
_before: int


def _enter(name: str, config: RunConfig, device: torch.device, scratch: Path) -> None:
    global _here, _device, _before
    _device, _before = device, _peak(device)
    _here = build(name, config, device, scratch)


def _first_steps() -> FirstSteps:
    first, second = _here.warm_up * _here(_here.warm_up), _here(1)
    return FirstSteps(first, second, _peak(_device) - _before)


def _train(steps: int) -> float:
    return _here(steps)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
