"""What a run needs is asked for before anything is made: memory, and a compiler where one is used."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from abruptlab.config import RunConfig
from abruptlab.errors import ConfigError
from abruptlab.presets import preset
from abruptlab.training.loop import train
from abruptlab.training.needs import parameter_count, training_needs
from abruptlab.training.ranks import Ranks
from abruptlab.training.state import initial_model
from abruptlab.training.update import part_size
from tests.cli.test_cli import abruptlab
from tests.training.test_loop import SMOKE, with_task, with_training


@pytest.mark.parametrize(
    "config",
    [
        with_training(SMOKE, batch=10**12),
        with_training(SMOKE, batch=10**12, micro_batch=1),
        replace(SMOKE, model=replace(SMOKE.model, width=10**6, heads=1)),
        replace(SMOKE, model=replace(SMOKE.model, layers=10**8)),
        with_task(SMOKE, sizes=((10**6, 10**6),)),
    ],
)
def test_what_no_memory_holds_is_said_before_anything_is_made(tmp_path: Path, config: RunConfig) -> None:
    with pytest.raises(ConfigError, match=r"such a run, .*\(micro_batch\), takes at least [\d,]+ GiB of memory"):
        train(config, tmp_path / "run", device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_goes_through_the_batch_at_once() -> None:
    config = with_training(preset("paper"), batch=65536)
    part = part_size(config, torch.device("cuda"))
    assert training_needs(config, part) > 24 * 2**30
    config = with_training(config, micro_batch=256)
    assert training_needs(config, part_size(config, torch.device("cuda"))) < 24 * 2**30


def test_of_several_processes_each_needs_its_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[int] = []

    def needs(config: RunConfig, part: int) -> int:
        asked.append(part)
        raise ConfigError("asked")

    monkeypatch.setattr("abruptlab.training.loop.training_needs", needs)
    monkeypatch.setattr("abruptlab.training.loop.part_size", lambda config, where: config.training.batch)
    monkeypatch.setattr(Ranks, "any", lambda ranks, here: here)
    for count in (1, 4):
        monkeypatch.setattr(Ranks, "__init__", lambda ranks, count=count: ranks.__dict__.update(rank=0, count=count))
        with pytest.raises(ConfigError, match="asked"):
            train(with_training(SMOKE, batch=32), tmp_path / "run", device="cpu")
    assert asked == [32, 8]


def test_a_gpu_without_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmuch more")

    monkeypatch.setattr("abruptlab.training.loop.initial_state", full)
    status, said = abruptlab("train", "smoke", "--out", tmp_path / "run", "--device", "cpu")
    assert (status, said.count("\n"), "out of the GPU's memory" in said) == (1, 0, True)


def test_a_machine_without_memory_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object, **__: object) -> None:
        torch.empty(1 << 60)

    monkeypatch.setattr("abruptlab.training.loop.initial_state", full)
    status, said = abruptlab("train", "smoke", "--out", tmp_path / "run", "--device", "cpu")
    expected = "abruptlab: out of memory; a training takes less with a smaller --micro-batch"
    assert (status, said.strip().splitlines()[-1]) == (1, expected)


@pytest.mark.parametrize("name", ["smoke", "laptop", "paper", "gpt"])
def test_a_model_has_about_as_many_parameters_as_are_reckoned_with(name: str) -> None:
    config = preset(name)
    count = sum(parameter.numel() for parameter in initial_model(config).parameters())
    assert 0.85 * count < parameter_count(config) <= count


def test_without_a_compiler_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_nothing(function: object) -> object:
        raise RuntimeError("No working C++ compiler found\nmuch more")

    monkeypatch.setattr("torch.compile", compile_nothing)
    with pytest.raises(ConfigError, match=r"cannot compile for cpu here: No working C\+\+ compiler found; choose no$"):
        train(with_training(SMOKE, compile="yes"), tmp_path / "run", device="cpu")
    assert list(tmp_path.iterdir()) == []
