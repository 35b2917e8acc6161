"""Going through a sweep: what is to do, who does it, what became of it.

Several processes may go through the same sweep, as the tasks of a job array do: each takes what nobody has.
"""

import time
import tomllib
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from filelock import FileLock

from abruptlab.errors import RunError
from abruptlab.presets import PRESETS
from abruptlab.sweep.claims import Claims
from abruptlab.sweep.file import Sweep, SweepConfig, of_families
from abruptlab.sweep.state import RunState, read_state, write_index
from abruptlab.sweep.worker import PATIENCE_S, Job
from abruptlab.system.files import is_leftover, remove_leftovers, write_atomically, writing
from abruptlab.system.signals import finish_on_interrupt
from abruptlab.training.trackers import TrackerName

POLL_S = 0.5
QUIET_S = 60.0  # without new metrics, and a run counts as waiting


@runtime_checkable
class Workers(Protocol):
    """Those who train the runs: each in a process of its own, by `worker.work`."""

    @property
    @abstractmethod
    def room(self) -> int:
        """How many more runs they would take on now."""

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Take on one more run."""

    @abstractmethod
    def finished(self) -> list[tuple[Job, str]]:
        """The runs that nobody trains any more since the last call, and for those whose process died, how."""

    @abstractmethod
    def stop(self) -> None:
        """Let the runs in progress save, and train no more. Returns when nothing is being written."""


def prepare(file: Path, folder: Path) -> Sweep:
    """The sweep of `file` in its `folder`, which is made, or already holds runs of it.

    A sweep may have grown since: with more seeds or variants, the runs that are there are still its own. Raises
    `ConfigError` for a file that makes no sense, `RunError` for a folder with anything else in it, be it a file of
    the same name that is no such sweep's, or that cannot be written.
    """
    config = SweepConfig.read(file)
    keys = {point.key for point in config.points(file.parent)}
    with writing(folder):
        base = file.parent / config.base
        ours = {folder / config.base, folder / "sweep.toml", folder / ".lock"}
        there = {*folder.iterdir()} - ours if folder.is_dir() else set()
        if any(not is_leftover(path, ours) for path in there):  # nor what a kill at the start may leave
            if not (folder / "sweep.toml").is_file():
                raise RunError(f"{folder} is not empty and holds no sweep; choose another folder")
            others = [path.parent.name for path in folder.glob("*/config.toml") if path.parent.name not in keys]
            if others:
                raise RunError(f"{folder} holds a run, {others[0]}, that {file} does not have; choose another folder")
        copies = {} if config.base in PRESETS else {folder / config.base: base.read_bytes()}
        copies[folder / "sweep.toml"] = file.read_bytes()  # the last: with its base it is one
        if not _holds(folder, config.name):
            for path, content in copies.items():
                if path.is_file() and path.read_bytes() != content:
                    raise RunError(f"{path} is there already, and is another file; choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        with _files_of(folder):
            remove_leftovers(folder, [*ours, folder / "index.json"])
            for path, content in copies.items():
                if not path.is_file() or path.read_bytes() != content:
                    write_atomically(path, content)
    return Sweep(folder)


def run_sweep(
    sweep: Sweep,
    workers: Workers,
    *,
    only: Collection[str] = (),
    device: str | None = None,
    threads: int = 1,
    track: Sequence[TrackerName] = (),
    report: Callable[[list[RunState], set[str], set[str]], None] = lambda states, running, mine: None,
) -> list[RunState]:
    """Train every run of a sweep (of some families: `only`) that is not done; returns how each of its points ended.

    A run that fails is noted and the others go on; called again, the failed ones are tried again. Runs that another
    process is training are left to it: returned is how far they are. `report` is called about twice a second, with the
    runs' states, the keys of those that are being trained, here or elsewhere, and the keys of those that were taken
    on here.

    On Ctrl-C (SIGINT), SIGTERM, SIGHUP or SIGUSR1 every run in progress is saved before `KeyboardInterrupt` is
    raised. Raises `ConfigError` for a family that the sweep does not have.
    """
    chosen = of_families(sweep.points, only)
    folder = sweep.folder.resolve()
    jobs = {
        point.key: Job(point.config, folder / point.key, Path.cwd(), device, threads, tuple(track)) for point in chosen
    }
    for job in jobs.values():
        job.note.unlink(missing_ok=True)  # it is tried again
    # named by its first point
    states = {point.key: read_state(folder / point.key, point) for point in reversed(sweep.points)}
    todo = [key for key in jobs if states[key].state != "done"]  # and nobody here is at it
    ours: set[str] = set()
    mine: set[str] = set()  # ours, and those that were
    watch = _Watch([jobs[key].folder for key in todo])

    def look(keys: Iterable[str]) -> None:
        states.update({key: read_state(folder / key, states[key].point) for key in keys})

    with Claims(folder) as claims, finish_on_interrupt() as interrupted:
        busy = time.monotonic()  # when one of ours was last in progress
        try:
            while (todo or ours) and not interrupted.is_set():
                for key in list(todo):
                    if workers.room > 0 and claims.take(key):
                        todo.remove(key)
                        look([key])
                        if states[key].state == "done" or jobs[key].note.exists():  # elsewhere, since we began
                            claims.release(key)
                        else:
                            workers.submit(jobs[key])
                            if states[key].state == "failed":  # damaged, and now mended
                                states[key] = replace(states[key], state="begun", error="")
                            ours.add(key)
                            mine.add(key)
                ended = workers.finished()
                for job, death in ended:
                    if death and not job.note.exists() and not interrupted.is_set():  # else it was told to stop
                        write_atomically(job.note, f"{death}\n")
                    ours.discard(job.folder.name)
                    claims.release(job.folder.name)
                running = watch.look() & {*todo, *ours}
                look(running | {job.folder.name for job, _ in ended})
                if ended:
                    look(todo)
                    _write_index(sweep, states)
                report([states[key] for key in jobs], running, mine)
                busy = time.monotonic() if ours or ended else busy
                if todo and not ours and (running >= {*todo} or time.monotonic() - busy > PATIENCE_S):
                    break  # others are at them, or have died in a way that a network file system is slow to notice
                time.sleep(POLL_S if todo or ours else 0)
        finally:
            workers.stop()
        look([*todo, *ours])
        _write_index(sweep, states)
        if interrupted.is_set():
            raise KeyboardInterrupt
    return [replace(states[point.key], point=point) for point in chosen]


def _holds(folder: Path, name: str) -> bool:
    """Whether a folder is that of a sweep, by its runs or by the `name`: its files are not somebody's own then."""
    if any(any(folder.glob(trace)) for trace in (".claims", "*/config.toml")):
        return True
    try:
        return tomllib.loads((folder / "sweep.toml").read_text(encoding="utf-8")).get("name") == name
    except (OSError, ValueError):
        return False


def _files_of(sweep_folder: Path) -> FileLock:
    """Held while a file of the sweep itself is written, by whichever of its processes."""
    return FileLock(sweep_folder / ".lock")


def _write_index(sweep: Sweep, states: dict[str, RunState]) -> None:
    """A row for every point; families that share a run have a row each."""
    with _files_of(sweep.folder):
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
