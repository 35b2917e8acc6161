"""Named configurations, of which `paper` is exactly the paper's."""

import math

from abruptlab.arguments import checked, choice
from abruptlab.config import MatrixTask, ModelConfig, RunConfig, TrainingConfig
from abruptlab.errors import ConfigError
from abruptlab.task.addition import Addition
from abruptlab.task.concatenated import ConcatenatedWindows
from abruptlab.task.copying import Copy
from abruptlab.task.histogram import Histogram
from abruptlab.task.permutation import Permutation
from abruptlab.task.repeat import Repeat
from abruptlab.task.sequence import SequenceTask
from abruptlab.task.window_sum import WindowSum


def init_std(width: int) -> float:
    """0.02·√(768/width): keeps the scale of the activations of the paper's model at a smaller width."""
    return round(0.02 * math.sqrt(768 / width), 4)


def _gpt(width: int, std: float = 0.02) -> ModelConfig:
    """The paper's GPT, whose weights start at 0.02, at some width; a narrow one that starts there falls too slowly."""
    return ModelConfig(
        kind="decoder",
        layers=2,
        heads=2,
        width=width,
        mlp_width=4 * width,
        init_std=std,
        mask_embedding="trained",
    )


def _follow_up(name: str, task: SequenceTask, steps: int, layers: int = 1, clip_norm: float | None = None) -> RunConfig:
    """A run of the follow-up paper (arXiv 2506.13688), at its own size: one head, linear attention."""
    return RunConfig(
        name=name,
        task=task,
        model=ModelConfig(
            kind="decoder",
            layers=layers,
            heads=1,
            width=256,
            mlp_width=1024,
            mask_embedding="trained",
            attention="linear",
        ),
        training=TrainingConfig(
            steps=steps,
            clip_norm=clip_norm,
            checkpoint_every=max(1, steps // 8),
            rolling_every=max(1, steps // 80),
            measure_every=max(1, steps // 1000),
        ),
    )


PRESETS: dict[str, tuple[str, RunConfig]] = {
    "smoke": (
        "3×3 rank 1, width 16, 60 steps: everything once, in seconds; no drop",
        RunConfig(
            name="smoke",
            task=MatrixTask(sizes=((3, 3),), rank=1, limit=1.0),
            model=ModelConfig(layers=1, heads=2, width=16, mlp_width=32, init_std=init_std(16)),
            training=TrainingConfig(steps=60, batch=16, learning_rate=1e-3, checkpoint_every=20, rolling_every=10),
        ),
    ),
    "pocket": (
        "4×4 rank 1, width 32: the drop in two minutes on a core; what is varied in the laptop-scale sweeps",
        RunConfig(
            name="pocket",
            task=MatrixTask(sizes=((4, 4),), rank=1, limit=1.0),
            model=ModelConfig(layers=4, heads=8, width=32, mlp_width=128, init_std=init_std(32)),
            training=TrainingConfig(
                steps=8000, batch=128, learning_rate=3e-3, checkpoint_every=1000, rolling_every=100
            ),
        ),
    ),
    "laptop": (
        "5×5 rank 1, the paper's layers at width 64, 16 heads: the drop in ten minutes on two cores",
        RunConfig(
            name="laptop",
            seed=1,  # of seeds 0 to 4 the one with the shortest drop; all five are in docs/presets.md
            task=MatrixTask(sizes=((5, 5),), rank=1, limit=2.0),
            model=ModelConfig(layers=4, heads=16, width=64, mlp_width=256, init_std=init_std(64)),
            training=TrainingConfig(
                steps=10_000, batch=128, learning_rate=2e-3, checkpoint_every=1000, rolling_every=100
            ),
        ),
    ),
    "base": (
        "7×7 rank 2, width 256, 16 heads: the paper's task at a third of its width, in hours on two cores",
        RunConfig(
            name="base",
            task=MatrixTask(limit=2.0),  # no entry of rank 2 exceeds 2
            model=ModelConfig(layers=4, heads=16, width=256, mlp_width=1024, init_std=init_std(256)),
            training=TrainingConfig(
                steps=20_000,
                learning_rate=5e-4,
                precision="bf16",
                checkpoint_every=1000,
                rolling_every=500,
            ),
        ),
    ),
    "paper": (
        "7×7 rank 2, width 768, 50,000 steps: the paper's main run",
        RunConfig(name="paper", training=TrainingConfig(checkpoint_every=2000)),
    ),
    "deep": (
        "7×7 rank 2, 12 layers of 12 heads, width 768: the model of the paper's probes in figures 20 and 21",
        RunConfig(name="deep", model=ModelConfig(layers=12, heads=12), training=TrainingConfig(checkpoint_every=2000)),
    ),
    "gpt": (
        "7×7 rank 2, 2 layers, 2 heads, width 256: the paper's GPT",
        RunConfig(
            name="gpt",
            task=MatrixTask(limit=2.0),  # no entry of rank 2 exceeds 2: 405 ids
            model=_gpt(256),
            training=TrainingConfig(steps=5000, checkpoint_every=500, rolling_every=20),
        ),
    ),
    "gpt-laptop": (
        "5×5 rank 1, the paper's GPT at width 64: its drop in a few minutes on one core",
        RunConfig(
            name="gpt-laptop",
            task=MatrixTask(sizes=((5, 5),), rank=1, limit=1.0),
            model=_gpt(64, init_std(64)),
            training=TrainingConfig(steps=1200, batch=64, learning_rate=5e-4, checkpoint_every=200, rolling_every=10),
        ),
    ),
    "window-sum": (
        "sums of neighbours modulo 17: the main run of the follow-up paper, 400 steps",
        _follow_up("window-sum", WindowSum(), 400),
    ),
    "prefix-sum": (
        "sums of all numbers so far, modulo 17; this and what follows: the follow-up paper's other tasks",
        _follow_up("prefix-sum", WindowSum(window=16), 1000),
    ),
    "addition": ("sums of two numbers of four digits", _follow_up("addition", Addition(), 10_000)),
    "permutation": ("numbers in the order of a permutation", _follow_up("permutation", Permutation(), 2000, layers=2)),
    "histogram": (
        "how often each letter occurs",
        _follow_up("histogram", Histogram(), 5000, layers=2, clip_norm=1.0),
    ),
    "concatenated-windows": (
        "sums of windows of 1, 2 and 3, one after another",
        _follow_up("concatenated-windows", ConcatenatedWindows(), 5000),
    ),
    "copy": ("numbers once more: an easy one", _follow_up("copy", Copy(), 100)),
    "reverse": ("numbers backwards: an easy one", _follow_up("reverse", Copy(backwards=True), 100)),
    "repeat": ("the first number again and again: the easiest", _follow_up("repeat", Repeat(), 200)),
}


@checked
def preset(name: str) -> RunConfig:
    """The configuration called `name`. Raises `ConfigError`, listing the names, if there is none."""
    if name not in PRESETS:
        raise ConfigError(f"no preset {name!r}; {choice(name, PRESETS)}")
    return PRESETS[name][1]
