"""Going through a sweep: what is to do, who does it, what became of it."""

import shutil
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from filelock import FileLock, Timeout

from abruptlab.errors import RunError
from abruptlab.presets import PRESETS
from abruptlab.sweep.file import Sweep, SweepConfig, of_families
from abruptlab.sweep.state import RunState, read_state, write_index
from abruptlab.sweep.worker import Task
from abruptlab.system.files import write_atomically
from abruptlab.system.signals import finish_on_interrupt

POLL_S = 0.5
QUIET_S = 60.0  # without new metrics, and a run counts as waiting


@runtime_checkable
class Workers(Protocol):
    """Those who train the runs: each in a process of its own, by `worker.work`."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Take on one more run."""

    @abstractmethod
    def finished(self) -> list[tuple[Task, str]]:
        """The runs that nobody trains any more since the last call, and for those whose process died, how."""

    @abstractmethod
    def stop(self) -> None:
        """Let the runs in progress save, and train no more. Returns when nothing is being written."""


def prepare(file: Path, folder: Path) -> Sweep:
    """The sweep of `file` in its `folder`, which is made, or already holds runs of it.

    A sweep may have grown since: with more seeds or variants, the runs that are there are still its own. Raises
    `ConfigError` for a file that makes no sense, `RunError` for a folder with anything else in it, or that cannot be
    written.
    """
    config = SweepConfig.read(file)
    keys = {point.key for point in config.points(file.parent)}
    try:
        if folder.is_dir() and any(folder.iterdir()):
            if not (folder / "sweep.toml").is_file():
                raise RunError(f"{folder} is not empty and holds no sweep; choose another folder")
            others = [path.parent.name for path in folder.glob("*/config.toml") if path.parent.name not in keys]
            if others:
                raise RunError(f"{folder} holds a run, {others[0]}, that {file} does not have; choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        if config.base not in PRESETS and file.parent.resolve() != folder.resolve():
            shutil.copyfile(file.parent / config.base, folder / config.base)
        write_atomically(folder / "sweep.toml", file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"cannot write {error.filename or folder}: {error.strerror or error}") from None
    return Sweep(folder)


def run_sweep(
    sweep: Sweep,
    workers: Workers,
    *,
    only: Collection[str] = (),
    device: str | None = None,
    threads: int = 1,
    report: Callable[[list[RunState], set[str]], None] = lambda states, running: None,
) -> list[RunState]:
    """Train every run of a sweep (of some families: `only`) that is not done; returns how each of its points ended.

    A run that fails is noted and the others go on; called again, the failed ones are tried again. `report` is called
    about twice a second, with the runs' states and the keys of those that are being trained.

    On Ctrl-C (SIGINT) or SIGTERM every run in progress is saved before `KeyboardInterrupt` is raised. Raises
    `ConfigError` for a family that the sweep does not have, `RunError` if another process runs the sweep.
    """
    chosen = of_families(sweep.points, only)
    folder = sweep.folder.resolve()
    lock = FileLock(folder / ".lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(f"{sweep.folder} is being run by another process") from None
    with lock, finish_on_interrupt() as interrupted:
        tasks = {point.key: Task(point.config, folder / point.key, Path.cwd(), device, threads) for point in chosen}
        for task in tasks.values():
            task.note.unlink(missing_ok=True)  # it is tried again
        states = {
            point.key: read_state(folder / point.key, point) for point in reversed(sweep.points)
        }  # named by its first point
        pending = {key for key in tasks if states[key].state != "done"}
        watch = _Watch([tasks[key].folder for key in pending])
        try:
            for key, task in tasks.items():
                if key in pending:
                    workers.submit(task)
            while pending and not interrupted.is_set():
                ended = workers.finished()
                for task, death in ended:
                    if death and not task.note.exists():
                        write_atomically(task.note, f"{death}\n")
                    pending.discard(task.folder.name)
                running = watch.look() & pending
                for key in running | {task.folder.name for task, _ in ended}:
                    states[key] = read_state(folder / key, states[key].point)
                if ended:
                    _write_index(sweep, states)
                report([states[key] for key in tasks], running)
                time.sleep(POLL_S if pending else 0)
        finally:
            workers.stop()
        for key in pending:
            states[key] = read_state(folder / key, states[key].point)
        _write_index(sweep, states)
        if interrupted.is_set():
            raise KeyboardInterrupt
    return [replace(states[point.key], point=point) for point in chosen]


def _write_index(sweep: Sweep, states: dict[str, RunState]) -> None:
    """A row for every point; families that share a run have a row each."""
    write_index(sweep.folder, [replace(states[point.key], point=point) for point in sweep.points])


class _Watch:
    """Sees which runs are being trained, wherever: those whose metrics have changed of late.

    Times of change are told apart, not compared with our clock, since those of two machines differ.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._seen = {folder: _changed(folder) for folder in folders}
        self._when: dict[Path, float] = {}

    def look(self) -> set[str]:
        """The keys of the runs whose metrics have changed within the last QUIET_S."""
        now = time.monotonic()
        for folder, seen in self._seen.items():
            if (changed := _changed(folder)) != seen:
                self._seen[folder], self._when[folder] = changed, now
        return {folder.name for folder, when in self._when.items() if now - when < QUIET_S}


def _changed(run_folder: Path) -> int:
    try:
        return (run_folder / "metrics.jsonl").stat().st_mtime_ns
    except FileNotFoundError:
        return 0
