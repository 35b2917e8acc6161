"""Memory: what a run or a measurement needs at least, asked before the work; and keeping what is freed.

By default glibc gives every freed block of more than 32 MiB back to the system, and a training step at the paper's size
frees gigabytes: half a million page faults a step, a tenth of its time, only to get the same memory again.
"""

import ctypes
import os
import sys

import torch

from abruptlab.config import MatrixTask, RunConfig
from abruptlab.errors import ConfigError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's names for them
ENTRY = 8 + 4 + 1  # bytes of an entry of a batch: token, value, observed
STATES = {"adam": 4, "adamw": 4, "sgd": 2, "muon": 3}  # weight, gradient, and what the optimiser keeps of a parameter


def keep_freed_memory() -> None:
    """Let this process keep what it frees, for the next step. Does nothing where malloc is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


def parameters(config: RunConfig) -> int:
    """The parameters of a run's model, but for a few thousandths: without making it."""
    model, task = config.model, config.task
    block = 4 * model.width**2 + 2 * model.width * model.mlp_width
    vocabulary = 2 * round(task.limit * 10**task.decimals)
    return model.layers * block + model.width * (vocabulary + config.places)


def training_needs(config: RunConfig) -> int:
    """The least memory, in bytes, in which the run can be trained: the model, its optimiser, the batch, and the
    activations of the smallest part of it."""
    training, model = config.training, config.model
    state = 4 * STATES[training.optimizer] * parameters(config)
    batch = training.batch * config.places * ENTRY
    part = training.micro_batch or 1
    activations = 2 * part * config.places * model.layers * (4 * model.width + model.mlp_width)  # in bfloat16
    return state + batch + activations


def matrices_need(task: MatrixTask, matrices: int) -> int:
    """The memory, in bytes, that so many matrices take."""
    return matrices * task.positions * ENTRY


def require_memory(needed: int, what: str, device: torch.device | None = None) -> None:
    """Raises `ConfigError` if the machine (or the GPU) could not hold so many bytes even with nothing else on it."""
    there = _memory(device or torch.device("cpu"))
    if there is not None and needed > there:
        raise ConfigError(f"{what} takes at least {needed / 2**30:,.0f} GiB of memory; there are {there / 2**30:,.0f}")


def _memory(device: torch.device) -> int | None:
    """All memory of a device, in bytes; None where it is not known."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return None
