"""Memory: whether there is enough, asked before the work; and keeping what is freed.

By default glibc gives every freed block of more than 32 MiB back to the system, and a training step at the paper's size
frees gigabytes: half a million page faults a step, a tenth of its time, only to get the same memory again.
"""

import ctypes
import os
import sys

import torch

from abruptlab.errors import ConfigError

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's names for them


def keep_freed_memory() -> None:
    """Let this process keep what it frees, for the next step. Does nothing where malloc is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)


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
