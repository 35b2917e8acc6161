"""What comes with the package: whole in single precision, or of a wide run the plateau and the end in half."""

from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.run.checkpoints import load_checkpoint
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from abruptlab.task.matrices import sample
from scripts import ship_weights


def test_a_narrow_run_is_shipped_as_it_is(tmp_path: Path) -> None:
    run = pretrained_run("pocket")
    ship_weights.ship(run, tmp_path / "pocket")
    again = Run(tmp_path / "pocket")
    assert again.steps == run.steps
    for name, value in load_checkpoint(run.checkpoints, 8000).items():
        assert torch.equal(load_checkpoint(again.checkpoints, 8000)[name], value)
    np.testing.assert_array_equal(again.metrics["loss"], run.metrics["loss"])


def test_a_wide_run_is_shipped_in_half_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ship_weights, "WIDE", 32)
    run = pretrained_run("pocket")
    ship_weights.ship(run, tmp_path / "pocket")
    again = Run(tmp_path / "pocket")
    assert again.steps == [run.milestones["before-drop"], run.milestones["final"]]
    assert {value.dtype for value in load_checkpoint(again.checkpoints, 8000).values()} == {torch.float16}
    tokens = sample(run.config.matrices, 64, seed=1).tokens
    with torch.no_grad():
        half, single = (r.load_encoder("final")(tokens) for r in (again, run))
    assert half.dtype == torch.float32
    assert 0 < (half - single).square().mean() < 1e-6  # the loss it ends with is 7e-3


def test_the_base_model_completes_matrices_of_rank_2() -> None:
    run = pretrained_run("base")
    batch = sample(run.config.matrices, 256, seed=10)
    level = run.config.matrices.copying_level
    with torch.no_grad():
        before, final = (
            (run.load_encoder(name)(batch.tokens) - batch.values).square()[~batch.observed].mean().item()
            for name in ("before-drop", "final")
        )
    assert before == pytest.approx(level, rel=0.05)
    assert final < level / 8
