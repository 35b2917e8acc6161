"""Reading a run while another process writes it: nothing twice, nothing half, nothing missing."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abruptlab.errors import RunError
from abruptlab.run.live import GrowingMetrics, GrowingRun
from abruptlab.run.metrics import Rows, parse_rows
from abruptlab.run.run import Run
from abruptlab.system.files import write_atomically
from tests.synthetic import CONFIG, END, ONSET, STEPS, make_metrics, make_run

NAMES = CONFIG.objective.names


def lines(steps: range, factor: float = 1.0) -> str:
    return "".join(json.dumps({"step": at} | dict.fromkeys(NAMES, factor * at)) + "\n" for at in steps)


def test_only_what_is_new_and_whole_is_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    metrics = GrowingMetrics(path, NAMES)
    assert not metrics.look()
    text = lines(range(5))
    path.write_text(text[:-10])
    assert metrics.look()
    np.testing.assert_array_equal(metrics.table["step"], range(4))
    parsed: list[int] = []

    def parse(new: bytes, names: tuple[str, ...], first: int) -> Rows:
        parsed.append(new.count(b"\n"))
        return parse_rows(new, names, first)

    monkeypatch.setattr("abruptlab.run.live.parse_rows", parse)
    with path.open("a") as file:
        file.write(text[-10:] + lines(range(5, 7)))
    assert metrics.look()
    assert not metrics.look()
    assert parsed == [3, 0]
    np.testing.assert_array_equal(metrics.table["loss_masked"], range(7))


def test_a_run_that_is_taken_up_again_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(range(8)))
    metrics = GrowingMetrics(path, NAMES)
    metrics.look()
    write_atomically(path, lines(range(3)) + lines(range(3, 12), factor=2))  # longer than before: no look at its size
    assert metrics.look()
    np.testing.assert_array_equal(metrics.table["loss"], [0, 1, 2, 6, 8, 10, 12, 14, 16, 18, 20, 22])


def test_a_run_that_has_yet_to_begin(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    growing = GrowingRun(folder)
    growing.look()
    folder.mkdir()
    (folder / ".lock").touch()
    growing.look()
    assert (growing.run, growing.step, growing.finished, growing.quiet_since) == (None, 0, False, None)
    (folder / "config.toml").write_text(CONFIG.to_toml())
    growing.look()
    assert growing.run is not None
    assert (growing.step, growing.drop, growing.seconds_per_step) == (0, None, None)


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(RunError, match="is not a run folder"):
            GrowingRun(path).look()


def test_a_run_in_the_middle_and_at_its_end(tmp_path: Path) -> None:
    metrics = make_metrics()
    run = make_run(tmp_path, {name: values[:1200] for name, values in metrics.items()}, (0, 1000))
    growing = GrowingRun(tmp_path)
    growing.look()
    assert (growing.step, growing.drop, growing.finished) == (1200, None, False)
    assert growing.seconds_per_step == pytest.approx(0.01)
    for name, values in run.metrics.items():
        np.testing.assert_array_equal(growing.metrics[name], values)
    make_run(tmp_path, metrics)
    growing.look()
    assert (growing.step, growing.drop, growing.finished) == (STEPS, Run(tmp_path).drop, True)
    assert growing.drop is not None
    assert ONSET - 50 < growing.drop.onset < (growing.drop.end or 0) < END + 50


@pytest.mark.parametrize(("ago", "slow", "quiet"), [(30, 0.01, False), (90, 0.01, True), (90, 12.0, False)])
def test_a_run_that_stands_still_is_told_from_a_slow_one(tmp_path: Path, ago: float, slow: float, quiet: bool) -> None:
    metrics = {name: values[:100] for name, values in make_metrics().items()}
    make_run(tmp_path, metrics | {"elapsed_s": metrics["step"] * slow}, ())
    changed = (tmp_path / "metrics.jsonl").stat().st_mtime - ago
    os.utime(tmp_path / "metrics.jsonl", (changed, changed))
    growing = GrowingRun(tmp_path)
    growing.look()
    assert growing.quiet_since == (pytest.approx(changed) if quiet else None)


def test_a_run_may_be_given_more_steps_while_it_is_watched(tmp_path: Path) -> None:
    make_run(tmp_path, {name: values[:1000] for name, values in make_metrics().items()}, (0, 1000))
    growing = GrowingRun(tmp_path)
    growing.look()
    shorter = replace(CONFIG, training=replace(CONFIG.training, steps=1000))
    assert not growing.finished
    write_atomically(tmp_path / "config.toml", shorter.to_toml())
    growing.look()
    assert growing.finished
