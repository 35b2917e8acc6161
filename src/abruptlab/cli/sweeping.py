"""`sweep`: many runs around one configuration, on this machine or on a Ray cluster."""

import math
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from abruptlab.arguments import require
from abruptlab.cli.printing import LINE_EVERY_S, command_line, hours, plain_console
from abruptlab.errors import ConfigError, RunError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from abruptlab.sweep import RunState, Workers


@dataclass
class Sweep:
    """Train all runs of a sweep that are not done, each in a folder of its own; go on with those that were begun.

    Several of these commands may share a folder, on any machines that see it: each takes runs that nobody has."""

    sweep: Positional[str]
    """TOML file of the sweep, or the name of one that comes with the package."""
    out: Path | None = None
    """The sweep's folder (default: runs/sweeps/NAME)."""
    only: tuple[str, ...] | None = None
    """Only the runs of these families."""
    jobs: int | None = None
    """Runs at a time on this machine (default: one for each core, or each GPU). The cores are shared out among them,
    and with the number of threads the last bits of the numbers change."""
    device: str | None = None
    """cpu, cuda, cuda:N or mps (default: the fastest there is; the runs take turns with several GPUs)."""
    track: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Trackers that are given the metrics of every run, too."""
    ray: str | None = None
    """Train on the Ray cluster at this address instead; auto: the one that this machine is part of."""
    cpus_per_run: float | None = None
    """With --ray: processors, and so threads, of each run (default: 1)."""
    gpus_per_run: float | None = None
    """With --ray: GPUs of each run (default: 0); several small runs share one by a fraction such as 0.25."""

    def __call__(self) -> None:
        from abruptlab.sweep import prepare, run_sweep
        from abruptlab.sweep.file import SweepConfig, find_sweep, of_families
        from abruptlab.training.ranks import require_no_torchrun
        from abruptlab.training.trackers import require_trackers

        require_no_torchrun("sweep has --jobs, and --ray")
        require_trackers(self.track)
        self._check()
        file = find_sweep(self.sweep)
        config = SweepConfig.read(file)
        folder = self.out or Path("runs") / "sweeps" / config.name
        console = plain_console(stderr=True)
        points = config.points(file.parent)
        of_families(points, self.only or ())  # a mistake is said before anything is made
        workers, threads, where = self._workers(len({point.key for point in points}))
        try:
            sweep = prepare(file, folder)
            console.print(f"sweep {config.name} in {folder}, {where}", soft_wrap=True)
            # how many a cluster has room for shows only when they run
            with _Display(console, workers.room if self.ray is None else 0) as display:
                states = run_sweep(
                    sweep,
                    workers,
                    only=self.only or (),
                    device=self.device,
                    threads=threads,
                    track=self.track,
                    report=display.report,
                )
        except KeyboardInterrupt:
            workers.stop()  # to its end, which another Ctrl-C has cut short
            console.print(f"stopped, every run is saved; to go on: {command_line()}", soft_wrap=True)
            raise
        finally:
            workers.stop()
        plain_console().print(_table(states, "Runs of the sweep"))
        elsewhere = {state.point.key for state in states if state.state in ("waiting", "begun")}
        if elsewhere:
            console.print(f"{len(elsewhere)} of the runs are left to other processes of this sweep")
        failed = {state.point.key for state in states if state.state == "failed"}
        if failed:
            raise RunError(f"{len(failed)} of the runs failed, as said above; to try them again: {command_line()}")

    def _check(self) -> None:
        if self.ray is None and (self.cpus_per_run is not None or self.gpus_per_run is not None):
            raise ConfigError(
                "--cpus-per-run, --gpus-per-run: expected with --ray only; on one machine there is --jobs"
            )
        if self.ray is not None and self.jobs is not None:
            raise ConfigError("--jobs: expected without --ray only; there, the share of a run decides how many fit")
        if self.cpus_per_run is not None and not 0 < self.cpus_per_run < math.inf:
            raise ConfigError(f"--cpus-per-run: expected above 0 and finite, got {self.cpus_per_run:g}")
        if self.gpus_per_run is not None and not 0 <= self.gpus_per_run < math.inf:
            raise ConfigError(f"--gpus-per-run: expected 0 or more, finite, got {self.gpus_per_run:g}")
        for name, share in (("--cpus-per-run", self.cpus_per_run), ("--gpus-per-run", self.gpus_per_run)):
            require(share is None or share == round(share, 4), name, "at most four decimals", share)
        whole = self.gpus_per_run is None or self.gpus_per_run <= 1 or self.gpus_per_run.is_integer()
        require(whole, "--gpus-per-run", "a part of one, or a whole number", self.gpus_per_run)
        require(self.only is None or len(self.only) > 0, "--only", "at least one", "none")
        require(self.jobs is None or self.jobs >= 1, "--jobs", "at least 1", self.jobs)

    def _workers(self, runs: int) -> tuple["Workers", int, str]:
        """Who trains, with how many threads each, and that in words."""
        import torch

        from abruptlab.system.devices import choose_device

        if self.ray is not None:
            from abruptlab.sweep.cluster import RayCluster

            cpus, gpus = self.cpus_per_run or 1.0, self.gpus_per_run or 0.0
            threads = max(1, int(cpus))
            return RayCluster(self.ray, cpus, gpus), threads, f"each run on {cpus:g} CPU, {gpus:g} GPU of the cluster"
        from abruptlab.sweep.local import LocalProcesses

        device = choose_device(self.device)
        gpus = [str(device)] if device.type != "cpu" else []
        if str(device) == "cuda":
            gpus = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        cores = torch.get_num_threads()
        jobs = self.jobs or min(runs, len(gpus) or cores)
        threads = max(1, cores // jobs)
        words = f"{jobs} at a time, {threads} {'thread' if threads == 1 else 'threads'} each"
        return LocalProcesses(jobs, gpus), threads, words


class _Display(ExitStack):
    """All runs in one table that is kept up to date; where there is no terminal, a line for each event."""

    def __init__(self, console: "Console", jobs: int) -> None:
        from rich.live import Live

        super().__init__()
        self._console = console
        live = Live(console=console, auto_refresh=False, transient=True)
        self._live = self.enter_context(live) if console.is_terminal else None
        self._said: set[str] = set()
        self._last_line = 0.0
        self._jobs = jobs  # here at a time, also while some of them are only starting

    def report(self, states: "Sequence[RunState]", running: set[str], mine: set[str]) -> None:
        """Called about twice a second (`run_sweep`)."""
        for state in states:
            if state.state in ("done", "failed") and state.name not in self._said:
                self._said.add(state.name)
                # "found" as another process has left it, or left it before
                prefix = "" if state.point.key in mine else "found "
                self._console.print(prefix + _line(state), soft_wrap=True)
        title = _title(states, len(running & mine), len(running - mine), self._jobs)
        if self._live:
            active = [state for state in states if state.point.key in running]
            self._live.update(_table(active, title), refresh=True)
        elif time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.print(title, soft_wrap=True)


def _title(states: "Sequence[RunState]", running: int, elsewhere: int, jobs: int) -> str:
    from abruptlab.sweep import seconds_left

    count = Counter(state.state for state in states)
    left = seconds_left(states, max(running, jobs) + elsewhere)
    others = f" and {elsewhere} elsewhere" if elsewhere else ""
    return (
        f"{count['done']} of {len(states)} runs done, {running} running{others}, {count['failed']} failed, "
        f"{'time left unknown' if left is None else f'{hours(left)} left'}"
    )


def _line(state: "RunState") -> str:
    what = state.error if state.state == "failed" else f"{state.steps} steps in {hours(state.seconds)}"
    return f"{state.state}: {state.name}, {what}"


def _table(states: "Sequence[RunState]", title: str) -> "Table":
    from rich.table import Table

    table = Table("family", "run", "seed", "state", "step", "loss that drops", "drop", "folder", title=title)
    for state in states:
        point, drop = state.point, state.drop
        table.add_row(
            point.family,
            point.label,
            str(point.config.seed),
            state.state,
            f"{state.step}/{state.steps}",
            "" if state.falling is None else f"{state.falling:.4f}",
            "" if drop is None else f"{drop.onset}–{drop.end or ''}",
            point.key,
        )
    return table
