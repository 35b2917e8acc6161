"""One run of a sweep, in a process of its own on whichever machine."""

import os
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from abruptlab.config import RunConfig
from abruptlab.errors import AbruptlabError
from abruptlab.system.files import write_atomically
from abruptlab.training.trackers import TrackerName

PATIENCE_S = 120.0  # for the last writer of a run to be gone: a network file system may take 90 s to notice


@dataclass(frozen=True)
class Job:
    """A run to be trained or gone on with; all paths are absolute."""

    config: RunConfig
    folder: Path
    directory: Path  # where relative paths in the configuration start
    device: str | None
    threads: int  # decides, on a CPU, the last bits of the numbers
    track: tuple[TrackerName, ...] = ()

    @property
    def note(self) -> Path:
        """The file that says why the run failed, if it did."""
        return self.folder.with_suffix(".error")


def work(job: Job) -> None:
    """Train the run to its end, from where it was left. A failure is noted in `job.note`, not raised.

    Raises `KeyboardInterrupt` after saving, on the signals that stop a training.
    """
    import torch

    from abruptlab.training.loop import train

    try:
        with suppress(FileNotFoundError):  # a node of a cluster shares the sweep's folder, and maybe nothing else
            os.chdir(job.directory)
        torch.set_num_threads(job.threads)
        _wait_for_last_writer(job.folder)
        warn = partial(_warn, job.folder.name)
        train(job.config, job.folder, resume=True, device=job.device, track=job.track, warn=warn)
    except AbruptlabError as error:
        write_atomically(job.note, f"{error}\n")
    except Exception as error:  # the traceback is for us, its last line for the table
        write_atomically(job.note, f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}")


def _warn(run: str, message: str) -> None:
    with suppress(OSError):  # nobody reads any more
        print(f"abruptlab: {run}: {message}", file=sys.stderr)


def _wait_for_last_writer(folder: Path) -> None:
    """A writer that was killed may take a moment to die, or on another machine to be noticed as dead."""
    from filelock import FileLock, Timeout

    if folder.is_dir():
        with suppress(Timeout), FileLock(folder / ".lock", timeout=PATIENCE_S):
            pass
