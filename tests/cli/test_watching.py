"""`abruptlab watch` beside a training, each in a process of its own."""

import fcntl
import io
import os
import posix
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkProcess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from abruptlab.cli import main
from abruptlab.cli.watching import look_inside, picture, status
from abruptlab.run.checkpoints import checkpoint_folder
from abruptlab.run.live import GrowingRun
from abruptlab.run.run import Run
from tests.cli.test_cli import COMMAND, abruptlab
from tests.forks import forked
from tests.handmade_gpt import gpt_run
from tests.synthetic import make_metrics, make_run

PATIENCE_S = 240.0


def train(folder: Path, *words: str) -> ForkProcess:
    options = ("--device", "cpu", "--rolling-every", "20", "--out", str(folder), *words)
    return forked(lambda: main(["train", "smoke", *options]))


def test_a_path_that_may_be_misspelt_is_asked_about(tmp_path: Path) -> None:
    (tmp_path / "laptop-seed0").mkdir()
    (tmp_path / "laptop-seed0" / "config.toml").touch()
    for name, said in (("lap-seed0", "begin; did you mean laptop-seed0?"), ("mine", "begin")):
        [line] = status(GrowingRun(tmp_path / name))
        assert line.plain == f"{tmp_path / name}: waiting for the run to {said}"


def test_a_watched_run_has_the_numbers_of_one_that_is_not(tmp_path: Path) -> None:
    watched, alone = tmp_path / "watched", tmp_path / "alone"
    command = [*COMMAND, "watch", str(watched)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}
    watch = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert watch.stdout is not None
    assert watch.stdout.readline() == f"{watched}: waiting for the run to begin\n"
    trainings = [train(folder, "--steps", "300") for folder in (watched, alone)]
    output, _ = watch.communicate(timeout=PATIENCE_S)
    for training in trainings:
        training.join(PATIENCE_S)
    assert [training.exitcode for training in trainings] == [0, 0]
    assert watch.returncode == 0
    last = output.splitlines()[-1]
    assert re.match(rf"{watched}: step 300 of 300, 100%, finished  L 0\.\d+  L_obs \S+  L_mask \S+  no drop$", last)
    for name, values in Run(alone).metrics.items():
        if name != "elapsed_s":
            np.testing.assert_array_equal(Run(watched).metrics[name], values)
    files = [sorted(path.relative_to(folder) for path in folder.rglob("*")) for folder in (watched, alone)]
    assert files[0] == files[1]


class Terminal:
    """A window of 80 columns with the command in it."""

    def __init__(self, *words: str) -> None:
        self.shown = ""
        self._window, inside = pty.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 80, 0, 0))
        self.command = forked(lambda: main(words), inside)
        os.close(inside)
        os.set_blocking(self._window, False)

    def wait_for(self, text: str) -> None:
        self.wait(lambda: text in self.shown)

    def wait_for_the_end(self) -> int | None:
        self.wait(lambda: self.command.exitcode is not None)
        self.read()
        return self.command.exitcode

    def wait(self, over: Callable[[], bool]) -> None:
        """What is shown has to be read meanwhile, or the command would wait for that."""
        end = time.monotonic() + PATIENCE_S
        while not over():
            assert time.monotonic() < end, self.shown[-2000:]
            self.read()
            time.sleep(0.05)

    def read(self) -> None:
        try:
            self.shown += os.read(self._window, 1 << 20).decode(errors="replace")
        except (BlockingIOError, OSError):  # nothing new, or the command has ended
            return

    def newest_heads(self) -> int:
        return max(map(int, re.findall(r"attention at step (\d+)", self.shown)))

    def close(self) -> None:
        self.command.kill()
        self.command.join()
        os.close(self._window)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("os.nice", posix.nice)  # of its process, not of this one
    monkeypatch.setattr("abruptlab.cli.watching.LOOK_EVERY_S", 0.5)  # while the training takes all that it gets
    terminal = Terminal("watch", "run")
    yield terminal
    terminal.close()


def test_in_a_terminal_through_kill_and_resumption_until_ctrl_c(tmp_path: Path, terminal: Terminal) -> None:
    terminal.wait_for("waiting for the run to begin")
    training = train(tmp_path / "run", "--steps", "1000000")
    try:
        terminal.wait_for("attention at step")
        terminal.wait_for("ms/step")
        terminal.wait_for("▀")
        assert terminal.command.pid is not None
        assert os.getpriority(os.PRIO_PROCESS, terminal.command.pid) == 19
        training.kill()
        training.join()
        terminal.wait_for(f"step {len(Run(tmp_path / 'run').metrics['step'])} of 1000000")
        reached = Run(tmp_path / "run").steps[-1]
        training = train(tmp_path / "run", "--steps", "1000000", "--resume")
        while Run(tmp_path / "run").steps[-1] < reached + 40:
            time.sleep(0.1)
        newest = Run(tmp_path / "run").steps[-1]
        terminal.wait(lambda: terminal.newest_heads() >= newest)
        os.kill(terminal.command.pid, signal.SIGINT)
        assert terminal.wait_for_the_end() == 130
        assert "Traceback" not in terminal.shown
        assert "abruptlab:" not in terminal.shown
    finally:
        training.kill()
        training.join()


def looked_at(folder: Path) -> GrowingRun:
    seen = GrowingRun(folder)
    seen.look()
    return seen


def said(folder: Path) -> list[str]:
    return [line.plain for line in status(looked_at(folder))]


def test_the_numbers_are_the_runs(tmp_path: Path) -> None:
    metrics = make_metrics()
    make_run(tmp_path, {name: values[:1900] for name, values in metrics.items()}, (0, 1000))
    first, losses, drop = said(tmp_path)
    assert first == f"{tmp_path}: step 1900 of 4000, 48%, 0:00:21 left, 10 ms/step"
    masked = metrics["loss_masked"][1800:1900].mean()
    assert re.search(rf"L_mask {masked:.3g}$", losses)
    assert re.fullmatch(r"drop from step 1[45]\d\d, still falling", drop)
    os.utime(tmp_path / "metrics.jsonl", (0, 1_000_000))
    assert said(tmp_path)[-1].startswith("no new step since 1970-01-1")
    make_run(tmp_path, metrics)
    os.utime(tmp_path / "metrics.jsonl", (0, 1_000_000))
    shutil.rmtree(checkpoint_folder(tmp_path / "checkpoints", 4000))
    assert said(tmp_path)[-1].startswith("all steps are made, and no last checkpoint since 1970-01-1")
    make_run(tmp_path, metrics)
    assert said(tmp_path)[0].endswith("step 4000 of 4000, 100%, finished")
    assert re.fullmatch(r"drop from step 1[45]\d\d to (19|20)\d\d, \d+(\.\d)? times lower", said(tmp_path)[-1])


def test_a_decoders_numbers_and_heads(tmp_path: Path) -> None:
    seen = looked_at(gpt_run(tmp_path).folder)
    assert re.search(r"right at observed \d+%  right at hidden \d+%$", status(seen)[1].plain)
    glance = look_inside(seen, None)
    assert glance is not None
    shown = io.StringIO()
    Console(file=shown, width=80, height=40, force_terminal=True).print(picture(seen, glance, 80, 39))
    assert "query ↓ key →" in shown.getvalue()
    assert 20 < len(shown.getvalue().splitlines()) <= 39


def test_what_moves_first_is_told_until_the_drop_is_found(tmp_path: Path) -> None:
    def seen_with(metrics: dict[str, np.ndarray]) -> str:
        make_run(tmp_path, metrics, (0, 1000))
        seen, shown = looked_at(tmp_path), io.StringIO()
        Console(file=shown, width=120, height=40, force_terminal=True).print(
            picture(seen, look_inside(seen, None), 120, 39)
        )
        return " ".join(shown.getvalue().split())

    said = r"signs \(step 1000\): collapse -?0\.\d\d, best head's useful attention \d\.\d\d × uniform"
    assert re.search(said, seen_with(make_metrics(steps=1200)))
    assert "signs (" not in seen_with(make_metrics())


def test_a_checkpoint_that_is_being_deleted_is_passed_over(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(), (0, 1000))
    seen = looked_at(tmp_path)
    last = look_inside(seen, None)
    assert last is not None
    assert last.step == 1000
    assert look_inside(seen, last) is last
    half = checkpoint_folder(run.checkpoints, 2000)
    shutil.copytree(checkpoint_folder(run.checkpoints, 1000), half)
    (half / "meta.json").unlink()
    assert look_inside(seen, last) is last
    make_run(tmp_path, make_metrics(), (3000,))
    newer = look_inside(seen, last)
    assert newer is not None
    assert newer.step == 3000


def test_what_is_no_run_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    said = f"abruptlab: {tmp_path} is not a run folder: expected a config.toml in it"
    assert abruptlab("watch", tmp_path) == (1, said)
