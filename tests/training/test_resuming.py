"""A resume never leaves less on disk than there was, and never goes on with something else."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import abruptlab
from abruptlab.errors import RunError
from abruptlab.run.checkpoints import checkpoint_folder, load_checkpoint
from abruptlab.run.run import Run
from abruptlab.system.files import is_leftover, unfinished
from abruptlab.training.loop import train
from tests.training.test_loop import SMOKE, assert_same_run, interrupt_at, report_every_step, stopped_run

__all__ = ["report_every_step"]  # a fixture

LAST = SMOKE.training.steps

pytestmark = pytest.mark.filterwarnings("ignore:.* is finished")


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything in a folder, with the times of change."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux which file is synced")
def test_a_power_cut_finds_no_checkpoint_without_what_it_stands_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, then the files, then the folder that gets its name, then that name: each is on the disk before the next."""
    done: list[tuple[str, str]] = []
    rename = Path.replace

    def sync(file: int) -> None:
        done.append(("synced", os.readlink(f"/proc/self/fd/{file}")))

    def renamed(path: Path, target: Path) -> Path:
        done.append(("renamed", str(target)))
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", renamed)
    run = train(replace(SMOKE, training=replace(SMOKE.training, steps=8)), tmp_path / "run", device="cpu")
    begin = 0
    for step in run.steps:
        folder = checkpoint_folder(run.checkpoints, step)
        partial, named = unfinished(folder), done.index(("renamed", str(folder)))
        order = done[begin:named]
        rows = order.index(("synced", str(run.folder / "metrics.jsonl")))
        for name in ("model.safetensors", "optimizer.safetensors", "meta.json"):
            at = order.index(("renamed", str(partial / name)))
            what, neighbour = order[at - 1]
            assert what == "synced"
            assert is_leftover(Path(neighbour), [partial / name])
            assert rows < at
        assert done[named - 1] == ("synced", str(partial))
        assert done[named + 1] == ("synced", str(run.checkpoints))
        begin = named


def without_optimizers(folder: Path) -> None:
    for path in folder.rglob("optimizer.safetensors"):
        path.unlink()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(SMOKE, tmp_path_factory.mktemp("runs") / "whole", device="cpu")


@pytest.fixture
def finished(whole: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole.folder, tmp_path / "finished"))


@pytest.fixture(scope="module")
def stopped_at_45(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped_run(tmp_path_factory.mktemp("runs") / "stopped", 45)


@pytest.fixture
def stopped(stopped_at_45: Path, tmp_path: Path) -> Path:
    """A run stopped after 45 steps; the newest checkpoints are 40 and 45."""
    return Path(shutil.copytree(stopped_at_45, tmp_path / "stopped"))


def change_line(folder: Path, number: int, change: Callable[[bytes], bytes]) -> None:
    path = folder / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = change(lines[number - 1])
    path.write_bytes(b"".join(lines))


def keep_lines(folder: Path, count: int) -> None:
    path = folder / "metrics.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:count]))


def other_digit(line: bytes) -> bytes:
    """The first digit of the loss is another one: still a row, still a number."""
    at = line.index(b'"loss": 0.') + len(b'"loss": 0.')
    return line[:at] + bytes([ord("0") + (line[at] - ord("0") + 1) % 10]) + line[at + 1 :]


@pytest.mark.parametrize("spoil", [lambda folder: None, without_optimizers])
def test_a_finished_run_is_finished(finished: Path, spoil: Callable[[Path], None]) -> None:
    spoil(finished)
    (finished / ".lock").unlink(missing_ok=True)
    before, said = content(finished), []
    train(SMOKE, finished, resume=True, device="cpu", warn=said.append)
    assert said == [f"{finished} is finished: all 60 steps were made before"]
    assert content(finished) == before


def test_the_package_s_runs_cannot_be_trained_away(tmp_path: Path) -> None:
    shipped = abruptlab.pretrained_run("pocket")
    folder = Path(shutil.copytree(shipped.folder, tmp_path / "pocket"))
    before = content(folder)
    assert train(shipped.config, folder, resume=True, device="cpu").finished
    assert content(folder) == before


def test_weights_without_an_optimizer_are_left_alone(stopped: Path) -> None:
    without_optimizers(stopped)
    before = content(stopped)
    with pytest.raises(RunError, match=r"cannot be gone on with: cannot read .*step_000045/optimizer\.safetensors: No"):
        train(SMOKE, stopped, resume=True, device="cpu")
    assert content(stopped) == before


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "metrics.jsonl").unlink(), "ends with 0 rows: expected the rows"),
        (lambda folder: keep_lines(folder, 30), "metrics.jsonl ends with 30 rows"),
        (lambda folder: change_line(folder, 6, lambda line: b"\x80" + line[1:]), "damaged: line 6: exp"),
        (lambda folder: change_line(folder, 6, lambda line: b""), "line 6: expected the row of step 5, got that"),
        (lambda folder: change_line(folder, 6, other_digit), "metrics.jsonl is damaged: expected the rows"),
        (lambda folder: shutil.rmtree(folder / "checkpoints"), "metrics.jsonl is there, and no checkpoint"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("which", ["stopped", "finished"])
def test_metrics_that_no_checkpoint_can_go_on_from_are_left_alone(
    which: str, damage: Callable[[Path], None], said: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(which)
    damage(folder)
    before = content(folder)
    with pytest.raises(RunError, match=f"{folder} cannot be gone on with: .*{said}.*; everything is left as it was"):
        train(SMOKE, folder, resume=True, device="cpu")
    assert content(folder) | {".lock": 0} == before | {".lock": 0}


def test_what_is_dropped_is_kept_until_it_is_made_again(finished: Path, whole: Run) -> None:
    """Row 55 of a finished run is damaged: it goes on from step 50, whose rows are there."""
    change_line(finished, 56, other_digit)
    spoilt = (finished / "metrics.jsonl").read_bytes()
    weights = (checkpoint_folder(finished / "checkpoints", LAST) / "model.safetensors").read_bytes()
    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        train(SMOKE, finished, resume=True, device="cpu", warn=said.append, report=interrupt_at(53))
    assert said == [
        f"{finished}/metrics.jsonl is damaged: expected the rows of the 60 steps before the checkpoint; "
        "trying the one before it"
    ]
    aside = finished / "set-aside" / "until_000060"
    kept = (finished / "metrics.jsonl").read_bytes().splitlines(keepends=True)[:50]
    assert b"".join(kept) + (aside / "metrics.jsonl").read_bytes() == spoilt
    assert (aside / "checkpoints" / "step_000060" / "model.safetensors").read_bytes() == weights
    assert Run(finished).steps[-1] == 53
    assert_same_run(whole, train(SMOKE, finished, resume=True, device="cpu"))
    assert not (finished / "set-aside").exists()


def test_rows_after_the_checkpoint_are_set_aside_each_time(stopped: Path, whole: Run) -> None:
    later = (whole.folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)[45:58]
    for _ in range(2):  # as if killed twice at the same place
        with (stopped / "metrics.jsonl").open("ab") as file:
            file.write(b"".join(later) + b'{"step": 58, "lo')
        with pytest.raises(KeyboardInterrupt):
            train(SMOKE, stopped, resume=True, device="cpu", report=interrupt_at(0))
        keep_lines(stopped, 45)
        for step in Run(stopped).steps:
            if step > 45:
                shutil.rmtree(checkpoint_folder(stopped / "checkpoints", step))
    assert sorted(path.name for path in (stopped / "set-aside").iterdir()) == ["until_000059", "until_000059_1"]
    assert (stopped / "set-aside" / "until_000059" / "metrics.jsonl").read_bytes().count(b"\n") == 13
    assert_same_run(whole, train(SMOKE, stopped, resume=True, device="cpu"))
    assert not (stopped / "set-aside").exists()


def test_the_last_weights_damaged_are_made_again(finished: Path, whole: Run) -> None:
    path = checkpoint_folder(finished / "checkpoints", LAST) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    said: list[str] = []
    assert_same_run(whole, train(SMOKE, finished, resume=True, device="cpu", warn=said.append))
    assert [str(path) in line for line in said] == [True]
    assert not (finished / "set-aside").exists()


@pytest.mark.parametrize("field", ["seed = 0", "width = 16", "batch = 16"])
@pytest.mark.parametrize("which", ["stopped", "finished"])
def test_an_edited_configuration_is_noticed(which: str, field: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(which)
    path, name = folder / "config.toml", field.partition(" ")[0]
    path.write_text(path.read_text().replace(f"\n{field}\n", f"\n{name} = 8\n"))
    before = content(folder)
    config = type(SMOKE).read(path)
    assert config != SMOKE
    with pytest.raises(RunError, match=rf"config\.toml has \S*{name} 8, its checkpoint of step \d+ is of a run with"):
        train(config, folder, resume=True, device="cpu")
    with pytest.raises(RunError, match=rf"config\.toml has \S*{name} 8"):
        Run(folder)
    assert content(folder) | {".lock": 0} == before | {".lock": 0}


def test_a_checkpoint_of_no_number_of_steps_is_one_line(finished: Path) -> None:
    for path in finished.glob("checkpoints/*/meta.json"):
        path.write_text(path.read_text().replace(f'"training.steps": {LAST}', '"training.steps": null'))
    with pytest.raises(RunError, match=r"config\.toml has training\.steps \d+, .* is of a run with None"):
        Run(finished)


def test_a_run_that_cannot_be_gone_on_with_cannot_be_trained_on_either(finished: Path) -> None:
    without_optimizers(finished)
    before = content(finished)
    longer = replace(SMOKE, training=replace(SMOKE.training, steps=2 * LAST))
    with pytest.raises(RunError, match=r"cannot be gone on with: cannot read .*optimizer\.safetensors"):
        train(longer, finished, resume=True, device="cpu")
    assert content(finished) | {".lock": 0} == before | {".lock": 0}
    assert train(SMOKE, finished, resume=True, device="cpu").finished


def test_the_name_of_a_run_may_be_changed(finished: Path) -> None:
    path = finished / "config.toml"
    path.write_text(path.read_text().replace('name = "smoke"', 'name = "first"'))
    assert train(replace(SMOKE, name="second"), finished, resume=True, device="cpu").config.name == "first"


@pytest.mark.parametrize("left", [[], [".config.toml.tmp"], [".lock", ".config.toml.0a1b2c3d.tmp"], ["config.toml"]])
def test_a_kill_at_the_very_start_leaves_no_dead_folder(tmp_path: Path, whole: Run, left: list[str]) -> None:
    for name in left:
        (tmp_path / name).write_text(SMOKE.to_toml() if name == "config.toml" else "[task]\nran")
    assert_same_run(whole, train(SMOKE, tmp_path, resume=True, device="cpu"))
    assert not list(tmp_path.glob(".*.tmp"))


def test_half_written_and_half_deleted_checkpoints_go(stopped: Path, whole: Run) -> None:
    shutil.copytree(checkpoint_folder(stopped / "checkpoints", 40), stopped / "checkpoints" / ".step_000040.tmp")
    (stopped / ".metrics.jsonl.0a1b2c3d.tmp").write_text('{"step": 0')
    assert_same_run(whole, train(SMOKE, stopped, resume=True, device="cpu"))
    assert not list(stopped.rglob("*.tmp"))


def test_a_file_in_the_place_of_a_checkpoint_is_not_called_safe(stopped: Path) -> None:
    (stopped / "checkpoints" / "step_000050").write_text("mine")
    with pytest.raises(RunError, match=r"cannot write .*step_000050.*; the run is safe up to step 45"):
        train(SMOKE, stopped, resume=True, device="cpu")
    assert (stopped / "checkpoints" / "step_000050").read_text() == "mine"


def test_a_checkpoint_signs_the_rows_it_stands_on(whole: Run) -> None:
    meta = json.loads((checkpoint_folder(whole.checkpoints, 20) / "meta.json").read_text())
    rows = b"".join((whole.folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)[:20])
    assert meta["metrics"]["bytes"] == len(rows)
    assert meta["config"]["training.steps"] == LAST
    assert load_checkpoint(whole.checkpoints, 20)
    np.testing.assert_array_equal(whole.metrics["step"], range(LAST))
