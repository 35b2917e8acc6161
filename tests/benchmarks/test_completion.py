"""The benchmark of completion runs, and counts what it says it counts."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cvxpy")

from benchmarks import completion
from benchmarks.completion import COMPILED, FACTORISATION, OURS, REBUILT, Entry, goals, rebuilt, speedup


def test_the_rebuilt_problem_has_the_answer_known_by_hand() -> None:
    np.testing.assert_allclose(rebuilt(np.array([[2, 1], [1, np.nan]])), [[2, 1], [1, 0.5]], atol=1e-2)


def test_ratios_are_within_a_round_and_goals_need_accuracy_too() -> None:
    def entries(norm_difference: float) -> dict[str, Entry]:
        return {
            OURS: Entry(8, 0.0, norm_difference, [1.0, 2.0, 1.0]),
            REBUILT: Entry(8, 0.0, 0.0, [30.0, 50.0, 20.0]),
            FACTORISATION: Entry(8, 0.0, None, [0.02, 0.02, 0.02]),
        }

    assert (speedup(entries(0.0), OURS).low, speedup(entries(0.0), OURS).median) == (20.0, 25.0)
    assert [row[-1] for row in goals({"task": entries(1e-5)})] == ["yes", "**no**"]
    assert [row[-1] for row in goals({"task": entries(1e-3)})] == ["**no**", "**no**"]


def test_whole_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "SHARE", dict.fromkeys(completion.SHARE, 1.0))
    monkeypatch.setattr(sys, "argv", ["completion", "--out", "results"])
    completion.main(tmp_path, matrices=3, rounds=2)
    written = json.loads((tmp_path / "completion.json").read_text())
    assert written["made_with"]["command"] == "python -m benchmarks.completion --out results"
    five, seven = written["tasks"].values()
    assert set(five) == set(completion.SHARE)
    assert set(seven) == set(completion.SHARE) - {completion.BERT}
    for entries in (five, seven):
        assert all(len(entry["matrix_s"]) == 2 and np.isfinite(entry["loss"]) for entry in entries.values())
        assert entries[REBUILT]["speedup"]["median"] == 1.0
        assert all(entries[name]["norm_difference"] < 1e-3 for name in (OURS, COMPILED))
    assert "cvxpy, rebuilt" in (tmp_path / "completion.md").read_text(encoding="utf-8")
