"""Signs of a coming drop, on models whose weights are set by hand."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.experiments import forward, signs
from abruptlab.experiments.answer_probes import AnswerProbes
from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.probes import Probe, Probes
from abruptlab.experiments.signs import (
    attention_entropy,
    easy_entries,
    easy_loss,
    other_signs,
    read_of_answers,
    read_of_entries,
)
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from abruptlab.task.matrices import Batch
from tests.handmade import COLUMNS, ROWS, averager, copier, handmade_run
from tests.plateaus import make_folder
from tests.synthetic import STEPS


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """First a copier whose heads look everywhere alike, then a model with one head of six that looks along the row."""
    return handmade_run(tmp_path, {750: copier(), STEPS: averager("row")})


def test_the_entropy_of_looking_everywhere_and_along_a_row(run: Run) -> None:
    everywhere, along = math.log(ROWS * COLUMNS), math.log(COLUMNS)
    assert attention_entropy(run, 750, matrices=16) == pytest.approx(everywhere, abs=1e-4)
    assert attention_entropy(run, STEPS, matrices=16) == pytest.approx((5 * everywhere + along) / 6, abs=1e-3)


def test_every_example_weighs_alike_whatever_part_it_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    run = pretrained_run("pocket")
    whole = attention_entropy(run, 8000, matrices=16)
    monkeypatch.setattr(forward, "PART", 7)
    assert attention_entropy(run, 8000, matrices=16) == pytest.approx(whole, rel=1e-6)


def test_easy_entries_complete_a_block_of_three() -> None:
    seen = torch.tensor([[[0, 1, 1], [1, 0, 0], [0, 1, 0]]]).bool()
    batch = Batch(torch.zeros(1, 9, dtype=torch.long), torch.zeros(1, 9), seen.flatten(1), (3, 3))
    expected = [[0, 0, 0], [0, 0, 0], [0, 0, 1]]  # x_22 by x_21, x_02 and x_01; no other one has three
    assert easy_entries(batch).unflatten(1, (3, 3))[0].int().tolist() == expected


def test_the_loss_on_them_of_predicting_zero(run: Run) -> None:
    batch = held_out(run, 32)
    expected = batch.values[easy_entries(batch)].square().mean().item()
    assert easy_loss(run, 750, matrices=32) == pytest.approx(expected, rel=1e-4)


def estimate(*numbers: object) -> Estimate:
    return Estimate(np.array(numbers), np.zeros_like(numbers, dtype=float))


def test_the_best_probe_counts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two sites the one with less error at hidden places, of chance's; of the answer, the one that reads more."""
    nothing = estimate((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    hidden = Probe(
        mse=estimate((0.0, 0.0, 0.9), (0.5, 0.5, 0.3)),
        cosine=nothing,
        chance_mse=estimate((1.0, 1.0, 1.0), (1.0, 1.0, 0.5)),
        chance_cosine=nothing,
    )
    probes = Probes(STEPS, np.array(["embed", "blocks.0.resid_post"]), hidden, hidden, hidden, hidden)
    monkeypatch.setattr(signs, "measure_probes", lambda *_args, **_options: probes)
    assert read_of_entries(run, STEPS) == pytest.approx(0.6)
    answers = AnswerProbes(
        np.array([STEPS]), np.array(["a", "b"]), estimate((0.2, 0.7)), estimate((0.1, 0.1)), estimate(0.3), (1.0, 2.0)
    )
    monkeypatch.setattr(signs, "measure_answer_probes", lambda *_args, **_options: answers)
    assert read_of_answers(run, STEPS) == pytest.approx(0.7)


def test_a_task_has_its_own(run: Run, tmp_path: Path) -> None:
    assert other_signs(run, 750, matrices=16).keys() == {
        "attention, entropy",
        "the loss on easy entries",
        "a probe of the hidden entries",
    }
    (tmp_path / "sums").mkdir()
    sums = make_folder(tmp_path / "sums")
    assert other_signs(sums, sums.steps[-1], matrices=16).keys() == {"attention, entropy", "a probe of the answer"}
