"""The follow-up paper's loop on a plain GPT is ours: same loss, same measures; and the benchmark runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from abruptlab.config import RunConfig
from abruptlab.presets import preset
from abruptlab.run.measures import MEASURES
from abruptlab.training.measures import Measures
from abruptlab.training.state import initial_model, initial_state
from abruptlab.training.update import update_of
from benchmarks import plateau
from benchmarks.reference_gpt import ReferenceGpt

CPU = torch.device("cpu")


@pytest.fixture
def config() -> RunConfig:
    window_sum = preset("window-sum")
    training = replace(window_sum.training, steps=10, batch=8)
    return replace(window_sum, model=replace(window_sum.model, width=32, mlp_width=64), training=training)


def test_the_reference_measures_what_we_measure(config: RunConfig) -> None:
    reference = ReferenceGpt(config, CPU)
    model = initial_model(config)
    with torch.no_grad():
        for mine, theirs in zip(model.parameters(), reference.model.parameters(), strict=True):
            grown = 2 * torch.randn(mine.shape, generator=torch.Generator().manual_seed(mine.numel())) / mine.shape[-1]
            mine.add_(grown)
            theirs.add_(grown)
    ours = dict(zip(MEASURES, Measures(config).of(model).tolist(), strict=False))
    accuracy, repetition, collapse, progress = reference.measure()
    assert (accuracy, repetition) == pytest.approx((ours["accuracy"], ours["repetition"]))
    assert collapse == pytest.approx(ours["collapse"], abs=1e-5)
    assert 0 < repetition < 1
    assert 0.01 < abs(collapse) < 0.99
    assert progress == pytest.approx(ours["attention"], abs=1e-5)


def test_the_reference_trains_as_we_train(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = next(iter(config.task.stream(8, config.seed)))
    reference, state = ReferenceGpt(config, CPU), initial_state(config, CPU)
    monkeypatch.setattr(type(config.task), "draw", lambda *_: (batch.tokens[:, :16], batch.tokens[:, 17:]))
    update = update_of(state, config, CPU)
    theirs = [reference.train() for _ in range(5)]
    ours = [update(batch)[0].item() for _ in range(5)]
    assert theirs == pytest.approx(ours, rel=1e-4)
    assert theirs[-1] < theirs[0] - 1e-3


def test_it_is_run_at_the_smallest_size(tmp_path: Path) -> None:
    plateau.main(tmp_path, "copy", rounds=1, steps=1)
    data = json.loads((tmp_path / "plateau.json").read_text())
    assert set(data["contestants"]) == {"reference", "ours, fp32", "ours, bf16"}
    assert all(len(times["trained_s"]) == 1 for times in data["contestants"].values())
    assert "| ours, bf16: measuring" in (tmp_path / "plateau.md").read_text()
