import re
from pathlib import Path

import pytest

from abruptlab.errors import RunError
from abruptlab.paper import Verdict
from abruptlab.paper.ledger import ledger
from abruptlab.paper.plan import LARGER_MATRICES, ON_A_LAPTOP, PAPER
from abruptlab.paper.verdict import write_verdicts
from abruptlab.presets import PRESETS
from abruptlab.sweep.file import find_sweep

QUEUE = Path(__file__).parents[2] / "results" / "paper" / "PLAN.md"


def write(home: Path, *verdicts: tuple[str, tuple[bool | None, ...]]) -> None:
    home.mkdir(parents=True, exist_ok=True)
    judged = []
    for place, within in verdicts:
        kind, number = place.split()
        figures, tables = ((number,), ()) if kind == "figure" else ((), (number,))
        numbers = tuple(None if each is None else 1.0 for each in within)
        seeds = tuple(range(len(within)))
        judged.append(
            Verdict("id", "so", "caption", figures, tables, "x", "at most 2", seeds, numbers, within, {"null": numbers})
        )
    write_verdicts(home / "claims.json", judged)


def test_every_figure_has_a_line_with_a_command(tmp_path: Path) -> None:
    entries = ledger(tmp_path)
    assert [entry.name for entry in entries] == [*(f"figure {number}" for number in range(1, 28)), "table 1"]
    assert all(entry.command.startswith(f"abruptlab {entry.name} ") for entry in entries)
    assert {outcome for entry in entries for outcome in entry.outcomes.values()} == {"not run yet", "–"}


def test_the_verdicts_are_those_of_the_figure_at_its_scale(tmp_path: Path) -> None:
    write(
        tmp_path / "laptop",
        ("figure 7", (True,)),
        ("figure 7", (False,)),
        ("figure 2", (True,)),
        ("figure 22", (None,)),
        ("table 1", (False,)),
        ("figure 13", (True,)),  # not where that figure is looked for
    )
    write(tmp_path / "pocket", ("figure 15", (True, True)), ("figure 16", (True, False, None)))
    write(tmp_path / "paper" / "paper-seed1", ("figure 2", (False,)))
    write(tmp_path / "base", ("figure 2", (True, False)))
    for drawn in ("figure_22", "figure_23"):
        (tmp_path / "laptop" / "figures").mkdir(exist_ok=True)
        (tmp_path / "laptop" / "figures" / f"{drawn}.json").touch()
    entries = {entry.name: entry for entry in ledger(tmp_path)}
    assert entries["figure 7"].outcomes["laptop"] == "2: 1 hold, 1 fail"
    assert entries["figure 2"].outcomes == {
        "paper": "fails (1 seed)",
        "base": "undecided (1 of 2 seeds hold)",
        "laptop": "holds (1 seed)",
    }
    assert entries["table 1"].outcomes["laptop"] == "fails (1 seed)"
    assert entries["figure 22"].outcomes["laptop"] == "drawn, not judged"
    assert entries["figure 23"].outcomes["laptop"] == "drawn, no claim of its own"
    assert entries["figure 15"].outcomes["laptop"] == "holds (2 seeds)"
    assert entries["figure 16"].outcomes["laptop"] == "undecided (1 of 2 seeds hold)"
    assert entries["figure 13"].outcomes["laptop"] == entries["figure 5"].outcomes["laptop"] == "not run yet"


def test_results_that_are_not_there_or_damaged_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no folder of results at .*nowhere; expected the one"):
        ledger(tmp_path / "nowhere")
    write(tmp_path / "laptop")
    (tmp_path / "laptop" / "claims.json").write_text('[{"id": 1}]')
    with pytest.raises(RunError, match=r"cannot read the verdicts in .*claims\.json"):
        ledger(tmp_path)


def test_all_that_there_is_to_run_is_a_preset_or_a_sweep_of_the_package() -> None:
    """Also where a preset has a sweep's name."""
    sweeps = [name for name, home in ON_A_LAPTOP.items() if home.is_sweep]
    assert {"repeat", "variants", "own-parts"} < set(sweeps)
    assert all(find_sweep(name).stem == name for name in sweeps)
    assert set(ON_A_LAPTOP) - set(sweeps) == {"laptop", "gpt-laptop", "window-sum"}
    assert all(preset in PRESETS for home in ON_A_LAPTOP.values() for preset, _ in home.parents)


def test_the_queue_for_gpus_has_the_runs_of_the_plan_and_no_others() -> None:
    """Each line's command is of a preset or a sweep, and all that the plan has at the larger scales is among them."""
    commands = re.findall(r"^- \[[ x]\] [^:]+: (train|reproduce|sweep) (\S+)", QUEUE.read_text(), re.MULTILINE)
    assert len(commands) == QUEUE.read_text().count("\n- [")
    for command, name in commands:
        assert find_sweep(name).stem == name if command == "sweep" else name in PRESETS
    larger = [
        home.name for homes in (*PAPER.values(), LARGER_MATRICES) for scale, home in homes.items() if scale != "laptop"
    ]
    assert set(larger) == {name for _, name in commands}
