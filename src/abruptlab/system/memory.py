"""Keeping freed memory on a CPU.

By default glibc gives every freed block of more than 32 MiB back to the system, and a training step at the paper's size
frees gigabytes: half a million page faults a step, a tenth of its time, only to get the same memory again.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's names for them


def keep_freed_memory() -> None:
    """Let this process keep what it frees, for the next step. Does nothing where malloc is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, 2**31 - 1)
