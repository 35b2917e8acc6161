"""What a result was made with."""

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def device_name(device: torch.device) -> str:
    """The hardware, in words: the GPU's name, or the processor's and how many threads are used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "mps":
        return f"{platform.processor()} GPU (mps)"
    return f"{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    """The processor's name; Python knows only its architecture on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions(*more: str) -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers, and of more."""
    installed = {"python": platform.python_version()}
    for package in ("abruptlab", "torch", "numpy", "matplotlib", *more):
        try:
            installed[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that is not installed
            installed[package] = "source tree"
    return installed


@cache
def code() -> str:
    """What tells this code from any other version of it: a hash of the package's source and of the weights in it."""
    folder = Path(__file__).parents[1]
    paths = (*folder.rglob("*.py"), *folder.rglob("meta.json"))  # that has the digests of the weights
    sources = (path.relative_to(folder).as_posix().encode() + path.read_bytes() for path in paths)
    return hashlib.sha256(b"".join(sorted(sources))).hexdigest()[:16]
