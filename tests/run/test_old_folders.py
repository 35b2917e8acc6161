"""What older versions wrote can still be read: configurations, sweeps' folders, weights."""

import shutil
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from abruptlab.config import RunConfig
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep, SweepConfig, find_sweep

RESULTS = Path(__file__).parents[2] / "results"
CONFIG = """\
name = "smoke"
seed = 4

[task]
sizes = [[4, 4]]
rank = 1
factors = "uniform"
decimals = 1
limit = 2.0
mask = "random"
mask_probability = 0.3
coherence_fraction = 0.5
hidden_rows = []
hidden_columns = []
kept = []

[model]
kind = "encoder"
layers = 1
heads = 2
width = 16
mlp_width = 32
init_std = 0.1
mask_embedding = "zero"
positions = "free"
attention = "softmax"

[training]
steps = 60
batch = 16
optimizer = "adam"
learning_rate = 0.001
schedule = "constant"
warmup_steps = 0
weight_decay = 0.0
momentum = 0.0
precision = "fp32"
compile = "no"
checkpoint_every = 20
rolling_every = 10

[start]
run = ""
step = "final"
trained = []
"""


def test_a_configuration_of_version_0_1() -> None:
    config = RunConfig.from_toml(CONFIG)
    assert (config.name, config.seed, config.matrices.sizes, config.matrices.limit) == ("smoke", 4, ((4, 4),), 2.0)
    assert (config.model.kind, config.model.width, config.training.steps) == ("encoder", 16, 60)


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("config.toml")), ids=lambda path: path.parent.name)
def test_the_configurations_of_results(path: Path) -> None:
    config = RunConfig.read(path)
    assert RunConfig.from_toml(config.to_toml()) == config


@pytest.mark.parametrize("name", ["laptop", "pocket"])
def test_the_shipped_weights_load_at_every_step(name: str, tmp_path: Path) -> None:
    run = Run(shutil.copytree(pretrained_run(name).folder, tmp_path / "run"))
    for step in run.steps:
        assert all(torch.isfinite(parameter).all() for parameter in run.load(step).parameters())


@pytest.mark.parametrize(
    ("name", "added", "count", "keys"),
    [
        ("variants", "5×5, rank 2", 99, "51b179233d5e"),
        ("components", "embeddings, together", 18, "a519575fd9ff"),
    ],
)
def test_the_folders_of_a_sweep_s_first_runs_keep_their_names(name: str, added: str, count: int, keys: str) -> None:
    """All keys of the sweep as it was before the variant `added` was, in order, by their hash."""
    points = [point.key for point in SweepConfig.read(find_sweep(name)).points() if point.label != added]
    assert (len(points), sha256(" ".join(points).encode()).hexdigest()[:12]) == (count, keys)


def test_the_folders_of_a_sweep_s_runs_keep_their_names() -> None:
    points = SweepConfig.read(find_sweep("smoke")).points()
    assert (points[0].key, points[-1].key, len(points)) == ("82a924e127a0", "ab4fcc734fed", 8)


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("sweep.toml")), ids=lambda path: path.parent.name)
def test_the_sweeps_of_results(path: Path) -> None:
    assert Sweep(path.parent).points
