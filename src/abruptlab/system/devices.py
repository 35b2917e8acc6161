"""Which device to compute on."""

import torch

from abruptlab.errors import RunError


def choose_device(name: str | None = None) -> torch.device:
    """The device called `name` (cpu, cuda, cuda:1, mps), by default the fastest there is.

    Raises `RunError` if this machine does not have it.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available.insert(0, "cuda")
    wanted = name or available[0]
    known = wanted in available or (
        wanted.startswith("cuda:") and wanted[5:].isdecimal() and int(wanted[5:]) < torch.cuda.device_count()
    )
    if not known:
        raise RunError(f"device {wanted!r}: expected one of this machine's: {', '.join(available)}")
    return torch.device(wanted)
