"""A sweep's runs on this machine: a few processes at a time.

Every run has a process of its own, so that one which is killed, or runs out of memory, takes no other with it. On Linux
all are forks of one that has imported PyTorch, which takes each of them seconds and hundreds of megabytes otherwise.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess

from abruptlab.sweep.worker import Job, work

# Ctrl-C, and that it is closed; Windows, where nothing is blocked, has no SIGHUP
OF_THE_TERMINAL = {getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)}


class LocalProcesses:
    """`jobs` processes at a time; the slots take turns with the `devices` (none: every run chooses its own)."""

    def __init__(self, jobs: int, devices: Sequence[str] = ()) -> None:
        self.jobs = jobs
        self.devices = devices
        self._active: dict[int, tuple[Job, BaseProcess]] = {}
        self._stopping = False

    @property
    def room(self) -> int:
        """How many slots are free."""
        return self.jobs - len(self._active)

    def submit(self, job: Job) -> None:
        """Start a run in a free slot, of which there must be one."""
        slot = next(slot for slot in range(self.jobs) if slot not in self._active)
        if self.devices:
            job = replace(job, device=self.devices[slot % len(self.devices)])
        process = start_method().Process(target=_work_in_child, args=(job, dict(os.environ)), name=job.folder.name)
        # A child inherits what is blocked: what the terminal sends reaches us alone, and we send each one SIGTERM.
        signal.pthread_sigmask(signal.SIG_BLOCK, OF_THE_TERMINAL)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, OF_THE_TERMINAL)
        self._active[slot] = (job, process)

    def finished(self) -> list[tuple[Job, str]]:
        """The runs whose process has ended since the last call, each with how that died, or ""."""
        ended = []
        for slot, (job, process) in list(self._active.items()):
            if process.exitcode is not None:
                ended.append((job, _death(process.exitcode)))
                del self._active[slot]
        return ended

    def stop(self) -> None:
        """Let every process save and end. Called again, it only waits for them: a second signal would kill them."""
        told, self._stopping = self._stopping, True
        for _, process in self._active.values() if not told else ():
            process.terminate()
        for _, process in self._active.values():
            process.join()


def start_method() -> ForkServerContext | SpawnContext:
    """How a process is started. macOS's own libraries do not bear a fork."""
    if sys.platform != "linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["abruptlab.training.loop", "torch._dynamo"])  # every optimizer imports the latter
    return context


def _work_in_child(job: Job, environment: Mapping[str, str]) -> None:
    os.environ.update(environment)  # the server of forks has that of when it was started, and its signals
    signal.pthread_sigmask(signal.SIG_BLOCK, OF_THE_TERMINAL)
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    try:
        work(job)
    except KeyboardInterrupt:
        sys.exit(130)


def _stop_with_parent() -> None:
    """Save and end when the parent is gone, even by kill -9."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _death(exitcode: int) -> str:
    if exitcode < 0:
        return f"its process was killed by {signal.Signals(-exitcode).name}"
    return f"its process ended with status {exitcode}" if exitcode else ""
