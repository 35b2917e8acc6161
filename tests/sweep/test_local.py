"""Real processes: one is killed, one stopped by Ctrl-C; gone on with, both give the numbers of undisturbed runs."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from abruptlab.cli.sweeping import Sweep
from abruptlab.run.run import Run
from abruptlab.sweep import RunState, prepare, run_sweep
from abruptlab.sweep.file import Point
from abruptlab.sweep.local import LocalProcesses
from abruptlab.sweep.worker import Job
from abruptlab.training.loop import train

TEXT = """
name = "two"
base = "smoke"
seeds = [0, 1]
overrides.training = { steps = 1000000, rolling_every = 20 }
"""


def newest(folder: Path, point: Point) -> int:
    """The step of a run's newest checkpoint."""
    return max((int(path.name[5:]) for path in (folder / point.key).glob("checkpoints/step_*")), default=0)


def test_a_killed_run_stops_no_other_and_goes_on_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abruptlab.sweep.drive.POLL_S", 0.05)
    file = tmp_path / "two.toml"
    file.write_text(TEXT)
    sweep = prepare(file, tmp_path / "sweep")
    victim, other = sweep.points
    errors: set[str] = set()

    def kill_then_interrupt(states: list[RunState], running: set[str], mine: set[str]) -> None:
        children = {child.name: child.pid or 0 for child in multiprocessing.active_children()}
        if victim.key in children and newest(sweep.folder, victim) >= 16:
            os.kill(children[victim.key], signal.SIGKILL)
        errors.update(state.error for state in states if state.state == "failed")
        if errors and newest(sweep.folder, other) >= 16:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, LocalProcesses(2), device="cpu", report=kill_then_interrupt)
    assert not multiprocessing.active_children()
    assert errors == {"its process was killed by SIGKILL"}
    saved = [newest(sweep.folder, point) for point in sweep.points]
    assert len(Run(sweep.folder / other.key).metrics["step"]) == saved[1]  # it was let save

    def interrupt_later(states: list[RunState], running: set[str], mine: set[str]) -> None:
        if all(newest(sweep.folder, point) > step for point, step in zip(sweep.points, saved, strict=True)):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run_sweep(sweep, LocalProcesses(2), device="cpu", report=interrupt_later)
    for point, step in zip(sweep.points, saved, strict=True):
        losses = Run(sweep.folder / point.key).metrics["loss"]
        assert len(losses) > step
        training = replace(point.config.training, steps=len(losses))
        straight = train(replace(point.config, training=training), tmp_path / point.key, device="cpu")
        np.testing.assert_array_equal(losses, straight.metrics["loss"])


def test_the_slots_take_turns_with_the_devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Job] = []

    class Process:
        exitcode = None

        def __init__(self, target: object, args: tuple[Job, object], name: str) -> None:
            started.append(args[0])

        def start(self) -> None:
            pass

    monkeypatch.setattr("abruptlab.sweep.local.start_method", lambda: SimpleNamespace(Process=Process))
    workers = LocalProcesses(3, ["cuda:0", "cuda:1"])
    file = tmp_path / "many.toml"
    file.write_text(TEXT.replace("[0, 1]", "[0, 1, 2, 3]"))
    for point in prepare(file, tmp_path / "sweep").points[: workers.room]:
        workers.submit(Job(point.config, tmp_path / point.key, tmp_path, None, threads=1))
    assert workers.finished() == []
    assert workers.room == 0
    assert [job.device for job in started] == ["cuda:0", "cuda:1", "cuda:0"]


def test_a_run_is_told_once_to_end_however_often_one_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second Ctrl-C comes while the runs save."""
    told: list[str] = []
    interrupts = iter([KeyboardInterrupt])

    class Process:
        exitcode = None

        def __init__(self, target: object, args: object, name: str) -> None:
            self.name = name

        def start(self) -> None:
            pass

        def terminate(self) -> None:
            told.append(self.name)

        def join(self) -> None:
            for interrupt in interrupts:
                raise interrupt

    monkeypatch.setattr("abruptlab.sweep.local.start_method", lambda: SimpleNamespace(Process=Process))
    workers = LocalProcesses(2)
    file = tmp_path / "two.toml"
    file.write_text(TEXT)
    points = prepare(file, tmp_path / "sweep").points[:2]
    for point in points:
        workers.submit(Job(point.config, tmp_path / point.key, tmp_path, None, threads=1))
    with pytest.raises(KeyboardInterrupt):
        workers.stop()
    workers.stop()
    assert told == [point.key for point in points]


@pytest.mark.parametrize(
    ("device", "runs"), [("cpu", 4), ("cuda:1", 1), ("mps", 1), ("cuda", 2)], ids=lambda each: str(each)
)
def test_as_many_runs_at_a_time_as_there_are_cores_or_accelerators(
    device: str, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abruptlab.system.devices.choose_device", torch.device)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    workers, _, said = Sweep("variants", device=device)._workers(9)
    assert said.startswith(f"{runs} at a time")
    assert workers.room == runs
