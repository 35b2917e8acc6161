"""Training on beyond a run's end, and branching off from one of its checkpoints."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.paper import Findings
from abruptlab.presets import preset
from abruptlab.report import build, build_report
from abruptlab.run.run import Run
from abruptlab.training.loop import train
from tests.cli.test_cli import abruptlab


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert abruptlab("train", "smoke", "--steps", "40", "--out", "parent", "--device", "cpu") == (0, "")
    return tmp_path / "parent"


def test_a_finished_run_is_trained_on_as_if_it_had_been_longer(parent: Path, tmp_path: Path) -> None:
    assert abruptlab("train", parent, "--steps", "70", "--device", "cpu") == (0, "")
    run = Run(parent)
    assert (run.finished, run.config.training.steps) == (True, 70)
    config = preset("smoke")
    straight = train(replace(config, training=replace(config.training, steps=70)), tmp_path / "straight", device="cpu")
    np.testing.assert_array_equal(run.metrics["loss"], straight.metrics["loss"])
    torch.testing.assert_close(run.load(70).state_dict(), straight.load(70).state_dict(), rtol=0, atol=0)


def test_a_run_is_neither_shortened_nor_changed_nor_lengthened_if_its_rate_knows_its_end(parent: Path) -> None:
    before = (parent / "config.toml").read_text()
    for words in (["--steps", "20"], ["--steps", "70", "--seed", "4"], ["--steps", "70", "--schedule", "cosine"]):
        status, said = abruptlab("train", parent, *words, "--device", "cpu")
        assert status == 1
        assert "holds a different run" in said
    assert (parent / "config.toml").read_text() == before
    assert abruptlab("train", "smoke", "--schedule", "cosine", "--steps", "20", "--out", "cosine") == (0, "")
    status, said = abruptlab("train", "cosine", "--steps", "40")
    assert (status, "training.steps is 20 there, 40 here" in said) == (1, True)
    status, said = abruptlab("train", parent, "--out", "elsewhere", "--steps", "70")
    assert (status, "to branch off: train --from" in said) == (1, True)


@pytest.mark.parametrize("command", ["train", "reproduce"])
def test_a_folder_is_gone_on_with_where_it_is(
    command: str, parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abruptlab.cli.training._look_at", lambda findings: None)
    monkeypatch.setattr("abruptlab.report.build_report", lambda findings: findings.folder)
    assert abruptlab(command, parent, "--steps", "50", "--device", "cpu") == (0, "")
    assert (Run(parent).finished, Run(parent).config.training.steps) == (True, 50)
    assert not (tmp_path / "runs").exists()


def test_a_branch_starts_from_the_weights_with_any_field_changed(parent: Path, tmp_path: Path) -> None:
    words = [
        "--from",
        f"{parent}@32",
        "--seed",
        "7",
        "--learning-rate",
        "1e-2",
        "--mask-probability",
        "0.4",
        "--steps",
        "5",
    ]
    assert abruptlab("train", *words, "--device", "cpu") == (0, "")
    run = Run(tmp_path / "runs/smoke-seed7-from32")
    assert (run.config.start.run, run.config.start.step, run.config.start.trained) == (str(parent), "32", ())
    assert (run.config.seed, run.config.training.learning_rate, run.config.training.steps) == (7, 1e-2, 5)
    assert run.config.matrices.mask_probability == 0.4
    torch.testing.assert_close(run.load(0).state_dict(), Run(parent).load(32).state_dict(), rtol=0, atol=0)
    start, end = run.load(0).state_dict(), run.load(5).state_dict()
    assert all(not torch.equal(start[name], end[name]) for name in start)  # nothing is frozen


def test_a_branch_goes_on_without_its_parent(parent: Path, tmp_path: Path) -> None:
    assert abruptlab("train", "--from", f"{parent}@32", "--steps", "5", "--out", "branch", "--device", "cpu") == (0, "")
    parent.rename(tmp_path / "moved")
    assert abruptlab("train", "branch", "--steps", "8", "--device", "cpu") == (0, "")
    assert Run(tmp_path / "branch").finished


def test_a_branch_says_its_parent(
    parent: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "FIGURES", {})  # and claims: what they take half a minute for is not asked here
    monkeypatch.setattr(build, "judge", lambda _: [])
    assert abruptlab("train", "--from", "parent", "--steps", "5", "--out", "child", "--device", "cpu") == (0, "")
    said = "start       parent, step 40"
    assert said in capsys.readouterr().out
    assert "<th>start</th><td>parent, step 40</td>" in Run("child")._repr_html_()
    page = build_report(Findings(Run("child"))).read_text()
    assert re.search(r"started from\s+parent, step 40", page)


def test_a_branch_from_what_is_not_there_or_does_not_fit(parent: Path) -> None:
    for words, said in (
        (["--from", "nowhere@3"], "nowhere is neither a run folder nor a run of the package"),
        (["--from", "parent@33"], "parent has no checkpoint 33; there are: 0, 1, 2, 4"),
        (["--from", "parent@4", "--width", "32"], "start: expected a run whose model has the sizes of this one"),
        (["smoke", "--from", "parent@4"], "expected a preset, --config or --from, got several: smoke, parent@4"),
    ):
        status, message = abruptlab("train", *words, "--out", "child")
        assert status == 1
        assert said in message
        assert not Path("child").exists() or not any(Path("child").glob("checkpoints/step_*"))
