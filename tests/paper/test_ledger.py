import json
from dataclasses import asdict
from pathlib import Path

import pytest

from abruptlab.errors import RunError
from abruptlab.paper import Verdict
from abruptlab.paper.ledger import ledger


def write(home: Path, *verdicts: tuple[str, bool | None, str]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    judged = [Verdict("id", "it is so", place, 1.0, "x: at most 2", holds, note) for place, holds, note in verdicts]
    (home / "claims.json").write_text(json.dumps([asdict(verdict) for verdict in judged]))


def test_every_figure_has_a_line_and_none_says_missing(tmp_path: Path) -> None:
    entries = ledger(tmp_path)
    assert [entry.name for entry in entries] == [*(f"figure {number}" for number in range(1, 28)), "table 1"]
    undescribed = [entry.name for entry in entries if not entry.command]
    assert undescribed == [f"figure {number}" for number in (24, 25, 26, 27)]
    assert {entry.laptop for entry in entries if entry.command} == {"not run yet"}


def test_the_verdicts_are_those_of_the_figure_at_its_scale(tmp_path: Path) -> None:
    write(
        tmp_path / "laptop",
        ("figure 7a", True, ""),
        ("figure 7c", False, ""),
        ("text, figure 2", True, ""),
        ("figure 22", None, "no such checkpoint"),
        ("text, table 1", False, ""),
        ("figure 13", True, ""),  # not where that figure is looked for
    )
    write(tmp_path / "pocket", ("figures 15, 17", True, "2 of 3 seeds"))
    write(tmp_path / "paper" / "paper", ("figure 2", False, ""))
    for drawn in ("figure_22", "figure_23"):
        (tmp_path / "laptop" / "figures").mkdir(exist_ok=True)
        (tmp_path / "laptop" / "figures" / f"{drawn}.json").touch()
    entries = {entry.name: entry for entry in ledger(tmp_path)}
    assert entries["figure 7"].laptop == "1 of 2 claims hold"
    assert (entries["figure 2"].laptop, entries["figure 2"].paper) == ("holds", "fails")
    assert entries["table 1"].laptop == "fails"
    assert entries["figure 22"].laptop == "drawn, not judged"
    assert entries["figure 23"].laptop == "drawn, no claim of its own"
    assert entries["figure 15"].laptop == entries["figure 17"].laptop == "holds (2 of 3 seeds)"
    assert entries["figure 13"].laptop == entries["figure 5"].laptop == "not run yet"


def test_results_that_are_not_there_or_damaged_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no folder of results at .*nowhere; expected the one"):
        ledger(tmp_path / "nowhere")
    write(tmp_path / "laptop")
    (tmp_path / "laptop" / "claims.json").write_text('[{"id": 1}]')
    with pytest.raises(RunError, match=r"cannot read the verdicts in .*claims\.json"):
        ledger(tmp_path)
