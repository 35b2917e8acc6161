"""All methods against the floor, on made-up errors and on a small run; the script that does so for three tasks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.experiments import methods as module
from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.floor import BERT, MONTE_CARLO, POSTERIOR, VARIANCE, Floor, measure_floor, summarise
from abruptlab.experiments.held_out import held_out, held_out_of
from abruptlab.experiments.methods import NAMES
from abruptlab.paper import TABLES, Findings, make_table
from abruptlab.task.matrices import Batch
from abruptlab.task.matrix import MatrixTask
from scripts import floor as script
from tests.handmade import copier, handmade_run
from tests.synthetic import STEPS

ZERO = NAMES[0]


def test_means_medians_and_differences_are_those_of_the_errors() -> None:
    observed = torch.ones(4, 9, dtype=torch.bool)
    observed[0, :4] = False  # the first row has none, the second two: only the others are well observed
    observed[1, 8] = False
    batch = Batch(torch.ones(4, 9, dtype=torch.long), torch.zeros(4, 9), observed, (3, 3))
    hidden = ~observed
    errors = {"one": 0.5 * hidden.double(), POSTERIOR: 0.1 * hidden[:2].double()}
    found = summarise(errors, batch)
    assert found.names == ("one", POSTERIOR)
    assert found.matrices.tolist() == [4, 2]
    np.testing.assert_allclose(found.loss.mean, [0.5 * 5 / 36, 0.1 * 5 / 18])
    np.testing.assert_allclose(found.loss.error[1], 0.1 * np.std([4 / 9, 1 / 9], ddof=1) / 2**0.5)
    np.testing.assert_allclose(found.median, [0.0, 0.1 / 9])  # the lower of the middle two
    np.testing.assert_allclose(found.loss_masked.mean, [0.5, 0.1])
    np.testing.assert_allclose(found.well_observed.mean, [0.0, np.nan])
    np.testing.assert_allclose(found.excess.mean, [0.4 * 5 / 18, 0.0])
    np.testing.assert_allclose(found.heaviest, [4 / 5, 4 / 5])


def test_every_method_and_the_model_are_measured_on_held_out_matrices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PARTICLES", 32)
    run = handmade_run(tmp_path, {STEPS: copier()})
    found = measure_floor(run, matrices=40, seed=3)
    assert found.names == (*NAMES[:-1], BERT, POSTERIOR, VARIANCE, MONTE_CARLO)
    assert found.matrices.tolist() == 5 * [40] + 3 * [5]
    batch = held_out(run, 40, seed=3)
    nothing = (batch.values.square() * ~batch.observed).mean().item()
    np.testing.assert_allclose(found.loss.mean[[0, 4]], nothing, rtol=1e-3)  # a copier predicts zero
    assert found.loss.mean[found.names.index(VARIANCE)] < nothing
    columns, rows = (lambda table: (table.columns, table.rows))(TABLES["methods"].tabulate(found))
    assert len(rows) == 8
    assert all(len(row) == len(columns) for row in rows)
    paths = make_table("methods", Findings(run, tmp_path / "out", matrices=8), "abruptlab table methods RUN")
    assert len(paths[0].read_text().splitlines()) == 9


def test_the_script_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PARTICLES", 32)
    monkeypatch.setattr(script, "PART", 4)
    monkeypatch.setattr(script, "POSTERIOR_PART", 3)
    monkeypatch.setitem(script.TASKS, "small", MatrixTask(sizes=((3, 3),), rank=1, decimals=1))
    batch = held_out_of(script.TASKS["small"], 8)
    first = script.measure("small", batch, 4, tmp_path)
    [middle] = tmp_path.glob("small/nuclear norm 4.npz")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("small/*")}
    middle.unlink()
    again = script.measure("small", batch, 4, tmp_path)
    np.testing.assert_array_equal(again.loss.mean, first.loss.mean)
    assert {path for path in before if path.stat().st_mtime_ns != before[path]} == {middle}
    assert first.matrices.tolist() == 4 * [8] + 3 * [4]


def test_a_reference_is_met_within_two_standard_errors() -> None:
    names = ("predict zero", "nuclear norm", "factorisation", POSTERIOR)
    empty = Estimate(np.zeros(4), np.zeros(4))
    loss = Estimate(np.array([0.0667, 0.0118 + 3 * 0.0008, 1.15e-3 - 0.9e-4, 1.3e-3]), np.array([1e-4, 0, 0, 1.5e-4]))
    floor = Floor(names, np.zeros(4, int), loss, np.zeros(4), empty, empty, empty, np.zeros(4))
    table = script.compare({"7x7-rank-2": floor})
    assert [row[-1] for row in table.rows] == ["met", "NOT met", "met", "met"]
    assert table.rows[1][-2] == pytest.approx(3)


def test_the_script_s_first_task_is_that_of_the_shipped_run() -> None:
    from abruptlab import pretrained_run

    assert script.TASKS["5x5-rank-1"] == pretrained_run("laptop").config.task
    assert replace(script.TASKS["7x7-rank-2"], rank=1) == script.TASKS["7x7-rank-1"]
