"""Which device to compute on."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from abruptlab.errors import RunError

_wanted: ContextVar[str | None] = ContextVar("device", default=None)


@contextmanager
def computing_on(name: str | None) -> Iterator[None]:
    """Inside, `choose_device` without a name gives this device; None leaves it as it is. Raises `RunError` as that."""
    token = _wanted.set(name or _wanted.get())
    try:
        choose_device()
        yield
    finally:
        _wanted.reset(token)


def choose_device(name: str | None = None) -> torch.device:
    """The device called `name` (cpu, cuda, cuda:1, mps), by default that of `computing_on`, else the fastest there is.

    Raises `RunError` if this machine does not have it.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    wanted = name or _wanted.get() or available[0]
    if wanted not in (*available, *(f"cuda:{index}" for index in range(torch.cuda.device_count()))):
        raise RunError(f"device {wanted!r}: expected one of this machine's: {', '.join(available)}")
    return torch.device(wanted)
