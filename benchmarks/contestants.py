"""Who takes part, by name."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, get_args

import torch

from abruptlab.config import RunConfig
from abruptlab.training import compiles
from benchmarks.ours import Ours
from benchmarks.reference import Reference

REFERENCE = "reference"
Precision = Literal["fp32", "bf16"]


class Contestant(Protocol):
    """One way to train."""

    def __call__(self, steps: int) -> float:
        """Train that many steps; seconds a step."""
        ...


def contestants(config: RunConfig, device: torch.device, variants: bool) -> dict[str, RunConfig]:
    """Configurations by name: the reference, ours in both precisions with the preset's own setting of `compile`, and
    with `variants` ours with the other setting."""
    named = {REFERENCE: config}
    as_trained = compiles(config.training, device)
    for compiled in (as_trained, not as_trained)[: 1 + variants]:
        for precision in get_args(Precision):
            training = replace(config.training, precision=precision, compile="yes" if compiled else "no")
            named[f"{precision} {'compiled' if compiled else 'eager'}"] = replace(config, training=training)
    return named


def build(name: str, config: RunConfig, device: torch.device, scratch: Path) -> Contestant:
    """The contestant called `name`; it may write to `scratch`."""
    if name == REFERENCE:
        return Reference(config, device)
    return Ours(config, device, scratch / config.name / name)
