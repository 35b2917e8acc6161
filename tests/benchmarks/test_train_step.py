"""The benchmark runs, at the smallest size, and counts what it says it counts."""

import json
import math
import sys
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from abruptlab.config import RunConfig
from abruptlab.presets import preset
from abruptlab.task.matrices import sample
from abruptlab.training.state import initial_model
from benchmarks import train_step
from benchmarks.apart import FirstSteps
from benchmarks.contestants import NARROW, contestants, size
from benchmarks.goals import judge
from benchmarks.limit import forward_flops
from benchmarks.measurement import Entry, Measurement
from benchmarks.reference import Reference

CPU = torch.device("cpu")


@pytest.fixture
def config() -> RunConfig:
    return preset("smoke")


def test_flops_are_those_that_pytorch_counts(config: RunConfig) -> None:
    batch = sample(config.matrices, config.training.batch, config.seed)
    with FlopCounterMode(display=False) as counter:
        initial_model(config)(batch.tokens).sum().backward()
    assert counter.get_total_flops() == 3 * forward_flops(config, config.training.batch)


def test_on_a_gpu_a_graph_takes_part_beside_the_compiled_step(config: RunConfig) -> None:
    names = contestants(config, torch.device("cuda"), variants=False)
    assert list(names) == ["reference", "fp32 compiled", "bf16 compiled", "fp32 graph", "bf16 graph"]
    assert [names[f"bf16 {way}"].training.compile for way in ("compiled", "graph")] == ["yes", "graph"]
    assert list(contestants(config, CPU, variants=True))[1::2] == ["fp32 eager", "fp32 compiled"]


def test_base_at_half_its_width() -> None:
    base, half = size("base"), size(NARROW)
    assert base == preset("base")
    assert (half.model.width, half.model.heads, half.model.mlp_width, half.training.batch) == (128, 16, 512, 128)
    assert (half.task, half.training) == (base.task, replace(base.training, batch=128))


def test_reference_learns_and_reads_nine_losses(config: RunConfig) -> None:
    reference = Reference(config, CPU)
    read = [reference.step() for _ in range(60)]
    assert all(len(losses) == 3 for step in read for losses in step)
    assert all(math.isfinite(loss) for step in read for losses in step for loss in losses)
    first, last = (sum(step[0][0] for step in steps) for steps in (read[:10], read[-10:]))
    assert last < first


def test_ratios_are_within_a_round(config: RunConfig) -> None:
    first = FirstSteps(first_step_s=2.0, second_step_s=1.0, peak_memory_bytes=2**30)
    result = Measurement(
        preset="smoke",
        device_type="cpu",
        batch=16,
        positions=9,
        entries={
            "reference": Entry("fp32", 100, first, 1, [4.0, 8.0, 12.0]),
            "fp32 eager": Entry("fp32", 60, first, 1, [2.0, 2.0, 4.0]),
            "bf16 eager": Entry("bf16", 60, first, 1, [1.0, 1.0, 2.0]),
        },
        overhead_s=[0.2, 0.1, 0.8],
        rates={"fp32": [60.0, 30.0, 15.0], "bf16": [60.0, 30.0, 15.0]},
    )
    assert (result.speedup("fp32 eager").median, result.speedup("fp32 eager").high) == (3.0, 4.0)
    assert (result.share("fp32 eager").low, result.share("fp32 eager").high) == (0.5, 1.0)
    assert result.overhead().median == pytest.approx(0.1)
    assert [(goal.measured, goal.met) for goal in judge(replace(result, preset="laptop"))] == [
        ("3.00×", True),
        ("10.0%", False),
    ]


def test_whole_benchmark(config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forks = get_context("forkserver")
    forks.set_forkserver_preload(["benchmarks.contestants", "torch._dynamo"])
    monkeypatch.setattr(train_step, "STRETCH_S", 0.01)
    monkeypatch.setattr(train_step, "size", lambda name: replace(config, name=name))  # goals go by name
    monkeypatch.setattr(sys, "argv", ["train_step", "--out", "results"])
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # restored afterwards
    monkeypatch.setattr("benchmarks.apart.get_context", lambda _: forks)  # each would import PyTorch and transformers
    train_step.main(tmp_path, models=("paper",), rounds=2, seconds=0)
    assert {path.name for path in tmp_path.iterdir()} == {f"train_step.{e}" for e in ("json", "md", "png", "pdf")}
    written = json.loads((tmp_path / "train_step.json").read_text())
    assert written["made_with"]["command"] == "python -m benchmarks.train_step --out results"
    assert [len(model["goals"]) for model in written["models"]] == [6]
    for model in written["models"]:
        assert list(model["raw"]["entries"]) == ["reference", "fp32 eager", "bf16 eager"]
        assert all(len(entry["step_s"]) == 2 for entry in model["raw"]["entries"].values())
        assert model["derived"]["reference"]["speedup"]["median"] == 1.0
    assert "peak memory of fp32 eager" in (tmp_path / "train_step.md").read_text(encoding="utf-8")
