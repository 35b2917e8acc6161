"""Who takes part, by name."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, get_args

import torch

from abruptlab.config import RunConfig
from abruptlab.presets import init_std, preset
from abruptlab.training.update import compiles
from benchmarks.ours import Ours
from benchmarks.reference import Reference

REFERENCE = "reference"
NARROW = "width-128"
Precision = Literal["fp32", "bf16"]
COMPILE = {"eager": "no", "compiled": "yes", "graph": "graph"}


class Contestant(Protocol):
    """One way to train."""

    warm_up: int
    """The first so many steps are unlike the others."""

    def __call__(self, steps: int) -> float:
        """Train that many steps; seconds a step."""
        ...


def size(name: str) -> RunConfig:
    """The configuration of a preset, or of `base` at half its width and batch."""
    if name != NARROW:
        return preset(name)
    base = preset("base")
    model = replace(base.model, width=128, mlp_width=512, init_std=init_std(128))
    return replace(base, name=name, model=model, training=replace(base.training, batch=128))


def contestants(config: RunConfig, device: torch.device, variants: bool) -> dict[str, RunConfig]:
    """Configurations by name: the reference, ours in both precisions with the preset's own setting of `compile`, with
    `variants` ours with the other setting, and on CUDA as a graph."""
    named = {REFERENCE: config}
    ways = ["eager", "compiled"]
    if compiles(config.training, device):
        ways.reverse()
    for way in (*ways[: 1 + variants], *(["graph"] if device.type == "cuda" else [])):
        for precision in get_args(Precision):
            training = replace(config.training, precision=precision, compile=COMPILE[way])
            named[f"{precision} {way}"] = replace(config, training=training)
    return named


def build(name: str, config: RunConfig, device: torch.device, scratch: Path) -> Contestant:
    """The contestant called `name`; it may write to `scratch`."""
    if name == REFERENCE:
        return Reference(config, device)
    return Ours(config, device, scratch / config.name / name)
