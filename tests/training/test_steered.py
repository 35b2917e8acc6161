"""What the follow-up paper changes in a training: parts taken or frozen, useful attention multiplied, Muon's rates."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from abruptlab.config import StartConfig
from abruptlab.model.groups import parameters_of
from abruptlab.presets import preset
from abruptlab.run.run import Run
from abruptlab.training.loop import train
from abruptlab.training.optimizers import build_optimizers, set_learning_rate
from abruptlab.training.schedules import Schedule
from abruptlab.training.state import initial_model, initial_state
from abruptlab.training.update import Update
from tests.training.test_loop import SMOKE, assert_same_run, interrupt_at, with_training


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(SMOKE, tmp_path_factory.mktemp("runs") / "whole", device="cpu")


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "muon", "learning_rate": 0.02, "muon_scale": "spectral", "other_learning_rate": 1e-3},
        {"useful_attention": 2.5, "useful_from": 9, "clip_norm": 0.5},
    ],
    ids=["muon", "attention"],
)
def test_resume_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict) -> None:
    monkeypatch.setattr("abruptlab.training.loop.REPORT_EVERY_S", 0.0)
    config = with_training(SMOKE, **changes, steps=24)
    straight = train(config, tmp_path / "straight", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "broken", device="cpu", report=interrupt_at(13))
    assert_same_run(straight, train(config, tmp_path / "broken", resume=True, device="cpu"))
    assert straight.metrics["loss"][-4:].mean() < straight.metrics["loss"][:4].mean()


def test_parts_are_taken_or_frozen_and_all_else_is_as_ever(whole: Run, tmp_path: Path) -> None:
    final, fresh = whole.load("final"), initial_model(replace(SMOKE, seed=5))
    for start, taken, frozen in (
        (StartConfig(run=str(whole.folder), taken=("attention",)), ["attention"], []),
        (StartConfig(run=str(whole.folder), taken=("attention",), frozen=("attention", "mlp")), ["attention"], ["mlp"]),
        (StartConfig(frozen=("mlp",)), [], ["mlp"]),
    ):
        config = replace(with_training(SMOKE, steps=4), seed=5, start=start)
        run = train(config, tmp_path / f"run{len(start.frozen)}{len(taken)}", device="cpu")
        taken_names = parameters_of(final, taken)
        still = parameters_of(final, start.frozen)
        assert still.keys() >= parameters_of(final, frozen).keys()
        for name, parameter in run.load(0).named_parameters():
            assert torch.equal(parameter, (final if name in taken_names else fresh).get_parameter(name)), name
        for name, parameter in run.load(4).named_parameters():
            assert torch.equal(parameter, run.load(0).get_parameter(name)) == (name in still), name


def test_muon_has_rates_of_its_own() -> None:
    config = with_training(
        preset("gpt-laptop"), optimizer="muon", learning_rate=0.02, other_learning_rate=1e-4, schedule="cosine"
    )
    optimizers = build_optimizers(config.training, initial_model(config))
    for step in (0, 300):
        rate = Schedule(config.training).learning_rate(step)
        set_learning_rate(optimizers, rate)
        muon, adam = (optimizer.param_groups[0]["lr"] for optimizer in optimizers)
        assert (muon, adam) == (rate, pytest.approx(rate / 200))


@pytest.mark.parametrize("scale", ["adam", "spectral"])
def test_muon_s_step_is_of_adam_s_size_or_of_a_spectral_norm(scale: str) -> None:
    config = with_training(preset("gpt-laptop"), optimizer="muon", learning_rate=0.02, muon_scale=scale)
    state, before = initial_state(config), initial_model(config)
    Update(state, config, torch.device("cpu"))(next(config.task.stream(8, 0)))
    name = "blocks.0.mlp.input.weight"  # 256 × 64
    step = (state.model.get_parameter(name) - before.get_parameter(name)).detach()
    norm = torch.linalg.matrix_norm(step, 2).item()
    assert norm == pytest.approx(0.02 * (2 if scale == "spectral" else 0.2 * 16), rel=0.25)  # √(256/64), 0.2 √256
