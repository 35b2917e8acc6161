"""Named configurations. `paper` is exactly the paper's; the smaller ones change sizes, rate, batch and steps only."""

import math

from abruptlab.config import MatrixTask, ModelConfig, RunConfig, TrainingConfig
from abruptlab.errors import ConfigError
from abruptlab.task.window_sum import WindowSum


def init_std(width: int) -> float:
    """0.02·√(768/width): keeps the scale of the activations of the paper's model at a smaller width."""
    return round(0.02 * math.sqrt(768 / width), 4)


def _gpt(width: int) -> ModelConfig:
    """The paper's GPT at some width; its weights start at 0.02 at every width."""
    return ModelConfig(
        kind="decoder",
        layers=2,
        heads=2,
        width=width,
        mlp_width=4 * width,
        mask_embedding="trained",
    )


# The follow-up paper's: one layer, one head, linear attention.
FOLLOW_UP = ModelConfig(
    kind="decoder", layers=1, heads=1, width=256, mlp_width=1024, mask_embedding="trained", attention="linear"
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
            model=_gpt(64),
            training=TrainingConfig(steps=1200, batch=64, learning_rate=5e-4, checkpoint_every=200, rolling_every=10),
        ),
    ),
    "window-sum": (
        "sums of neighbours modulo 17: the main run of the follow-up paper, 400 steps",
        RunConfig(
            name="window-sum",
            task=WindowSum(),
            model=FOLLOW_UP,
            training=TrainingConfig(steps=400, checkpoint_every=50, rolling_every=5),
        ),
    ),
}


def preset(name: str) -> RunConfig:
    """The configuration called `name`. Raises `ConfigError`, listing the names, if there is none."""
    if name not in PRESETS:
        raise ConfigError(f"no preset {name!r}; there are: {', '.join(PRESETS)}")
    return PRESETS[name][1]
