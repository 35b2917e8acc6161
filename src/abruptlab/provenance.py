"""What a result was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version

import torch


def device_name(device: torch.device) -> str:
    """The hardware, in words: the GPU's name, or the processor's and how many threads are used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    processor = platform.processor() or platform.machine()
    return f"{processor} {device.type}, {torch.get_num_threads()} threads"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    found = {"python": platform.python_version()}
    for package in ("abruptlab", "torch", "numpy", "matplotlib"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that is not installed
            found[package] = "source tree"
    return found
