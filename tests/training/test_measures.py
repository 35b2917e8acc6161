"""What is measured in the course of a training: by value on a model made by hand, and in a run's folder."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from abruptlab.config import RunConfig
from abruptlab.errors import CheckpointError, ConfigError, RunError
from abruptlab.model.decoder import Decoder
from abruptlab.model.generate import generate
from abruptlab.presets import preset
from abruptlab.run.checkpoints import saved_steps
from abruptlab.run.measures import MEASURES, read_measures
from abruptlab.run.run import Run
from abruptlab.task.answers import SequenceBatch
from abruptlab.task.held_out import held_out_of
from abruptlab.task.window_sum import WindowSum
from abruptlab.training.loop import Progress, train
from abruptlab.training.measures import Measures, repetition
from abruptlab.training.state import initial_model

SMALL = preset("window-sum")
SMALL = replace(
    SMALL,
    task=WindowSum(length=4, modulus=5),
    model=replace(SMALL.model, width=16, mlp_width=16, init_std=0.2),
    training=replace(SMALL.training, steps=21, batch=16, checkpoint_every=10, learning_rate=1e-3, measure_every=2),
)


def with_training(**changes: object) -> RunConfig:
    return replace(SMALL, training=replace(SMALL.training, **changes))


def named(values: torch.Tensor) -> dict[str, float]:
    return dict(zip(MEASURES, values.tolist(), strict=False))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(SMALL, tmp_path_factory.mktemp("measures") / "run", device="cpu")


def test_repetition_is_the_share_of_equal_neighbours() -> None:
    written = torch.tensor([[1, 1, 1, 2], [1, 2, 1, 2], [3, 3, 4, 4], [0, 0, 0, 0]])
    assert repetition(written).item() == pytest.approx((2 + 0 + 2 + 3) / 12)


def test_measures_of_an_untrained_model_are_what_they_say() -> None:
    model = cast(Decoder, initial_model(SMALL))
    values = Measures(SMALL, examples=32).of(model)
    batch = cast(SequenceBatch, held_out_of(SMALL.task, 32))
    written = generate(model, batch.prompts)
    right = (written == batch.answers).numpy()
    expected = {"accuracy": right.mean(), "whole": right.all(1).mean()}
    expected["repetition"] = np.mean(written.numpy()[:, 1:] == written.numpy()[:, :-1])
    with torch.no_grad():  # attention and states by the formulas, place by place
        x = model.token_embedding(batch.tokens[:, :-1]) + model.position_embedding.weight[:8]
        block, norm, qkv = (model.get_submodule(f"blocks.0{name}") for name in ("", ".attn_norm", ".attn.qkv"))
        q, k, _ = qkv(norm(x)).chunk(3, -1)
        pattern = (q @ k.mT / 4).tril().abs().numpy()
        needed = [(4, (0,)), (5, (0, 1)), (6, (1, 2)), (7, (2, 3))]
        shares = [
            sum(p[query, list(keys)].sum() for query, keys in needed) / sum(p[query].sum() for query, _ in needed)
            for p in pattern
        ]
        states = block(x)[:, 4:].numpy()
    unit = states / np.linalg.norm(states, axis=-1, keepdims=True)
    cosines = [u[i] @ u[j] for u in unit for i in range(4) for j in range(4) if i != j]
    expected |= {"attention": np.mean(shares), "collapse": np.mean(cosines)}
    found = named(values)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(values[len(MEASURES) :], right.mean(0), atol=1e-6)


def test_a_model_that_knows_the_answer_is_right_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = cast(SequenceBatch, held_out_of(SMALL.task, 16)).answers
    monkeypatch.setattr("abruptlab.training.measures.generate", lambda model, prompts: answers)
    values = Measures(SMALL, examples=16).of(initial_model(SMALL))
    assert named(values)["accuracy"] == named(values)["whole"] == 1
    wrong = answers.clone()
    wrong[:8, 1] = 4 - wrong[:8, 1] + 5  # no sum is that large
    monkeypatch.setattr("abruptlab.training.measures.generate", lambda model, prompts: wrong)
    values = Measures(SMALL, examples=16).of(initial_model(SMALL))
    assert (named(values)["accuracy"], named(values)["whole"]) == (7 / 8, 1 / 2)
    assert values[len(MEASURES) :].tolist() == [1, 0.5, 1, 1]


def test_a_run_has_them_every_so_many_steps_and_at_the_end(run: Run) -> None:
    measures = run.measures
    assert measures["step"].tolist() == [*range(0, 21, 2), 21]
    assert measures["places"].shape == (12, 4)
    again = Measures(SMALL).of(run.load("final")).numpy()
    for at, name in enumerate(MEASURES):
        assert measures[name][-1] == pytest.approx(again[at], abs=1e-6)
    np.testing.assert_allclose(measures["places"].mean(1), measures["accuracy"], atol=1e-6)


def test_they_change_nothing_of_the_training(run: Run, tmp_path: Path) -> None:
    without = train(with_training(measure_every=0), tmp_path / "run", device="cpu")
    np.testing.assert_array_equal(without.metrics["loss"], run.metrics["loss"])
    assert not (tmp_path / "run" / "measures.jsonl").exists()
    assert without.measures["step"].tolist() == []


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run that was stopped after 12 steps."""
    monkeypatch.setattr("abruptlab.training.loop.REPORT_EVERY_S", 0.0)

    def stop(progress: Progress) -> None:
        if progress.step == 12:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(SMALL, tmp_path / "run", device="cpu", report=stop)
    return tmp_path / "run"


def test_a_resumed_run_has_the_same(run: Run, interrupted: Path) -> None:
    with (interrupted / "measures.jsonl").open("a") as file:
        file.write('{"step": 14, "acc')  # a killed run may end in half a line
    resumed = train(SMALL, interrupted, resume=True, device="cpu")
    rows = (run.folder / "measures.jsonl").read_text()
    assert (resumed.folder / "measures.jsonl").read_text() == rows


def test_a_checkpoint_whose_measures_are_lost_is_passed_over(run: Run, interrupted: Path) -> None:
    assert saved_steps(interrupted / "checkpoints")[-2:] == [10, 12]
    path = interrupted / "measures.jsonl"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rows[:3]))  # of steps 0, 2, 4
    with pytest.raises(CheckpointError, match=r"cannot be gone on with: .*measures.jsonl is damaged: .* of step 6"):
        train(SMALL, interrupted, resume=True, device="cpu")
    path.write_text("".join(rows[:5]))  # all that the checkpoint of step 10 stands on
    said: list[str] = []
    train(SMALL, interrupted, resume=True, device="cpu", warn=said.append)
    assert ["expected the measures of step 10; trying the one before it" in line for line in said] == [True]
    assert path.read_text() == (run.folder / "measures.jsonl").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which file is synced")
def test_a_power_cut_finds_no_checkpoint_without_its_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.readlink(f"/proc/self/fd/{file}")))
    train(with_training(steps=4), tmp_path / "run", device="cpu")
    rows, weights = str(tmp_path / "run" / "measures.jsonl"), [name for name in synced if "model.safetensors" in name]
    assert len(weights) == 4
    assert synced.count(rows) == 4
    assert all(synced.index(rows) < synced.index(name) for name in weights)


def test_a_damaged_file_is_named(run: Run, tmp_path: Path) -> None:
    for line in ('{"step": 14}\n', "no JSON\n", (run.folder / "measures.jsonl").read_text()):
        (tmp_path / "measures.jsonl").write_text((run.folder / "measures.jsonl").read_text() + line)
        with pytest.raises(RunError, match=r"measures.jsonl is damaged: line 13: expected the measures of a later"):
            read_measures(tmp_path / "measures.jsonl")


def test_matrices_have_none() -> None:
    smoke = preset("smoke")
    for field in ("measure_every", "useful_spared"):
        with pytest.raises(ConfigError, match=rf"{field}: expected 0 \(the task writes no answers\), got 1"):
            replace(smoke, training=replace(smoke.training, **{field: 1}))


def test_no_more_places_are_spared_than_there_are_and_none_where_nothing_is_multiplied(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"useful_spared: expected below the answer's length \(4\), got 4"):
        with_training(useful_attention=2.0, useful_spared=4)
    with pytest.raises(ConfigError, match="useful_spared: expected useful_attention other than 1 beside it, got 1"):
        train(with_training(useful_spared=1), tmp_path / "run", device="cpu")


def test_useful_attention_is_multiplied_from_its_step_on(run: Run, tmp_path: Path) -> None:
    changed = train(with_training(useful_attention=4.0, useful_from=10), tmp_path / "run", device="cpu")
    np.testing.assert_array_equal(changed.metrics["loss"][:10], run.metrics["loss"][:10])
    assert (changed.metrics["loss"][10:] != run.metrics["loss"][10:]).all()
    before, after = changed.measures["attention"][:5], changed.measures["attention"][5:]
    np.testing.assert_array_equal(before, run.measures["attention"][:5])
    share = run.measures["attention"][5]  # the weights after ten steps are the same
    assert after[0] > share
    assert after[0] < 4 * share


def test_places_that_are_spared_are_so_in_training_and_in_measures(run: Run, tmp_path: Path) -> None:
    changed = {
        spared: train(
            with_training(useful_attention=4.0, useful_from=10, useful_spared=spared),
            tmp_path / str(spared),
            device="cpu",
        )
        for spared in (0, 1)
    }
    shares = [run.measures["attention"][5], *(changed[spared].measures["attention"][5] for spared in (1, 0))]
    assert shares == sorted(set(shares))  # with one place spared, between that of none multiplied and that of all
    losses = [each.metrics["loss"][10] for each in (run, *changed.values())]
    assert len(set(losses)) == 3
