"""Commands in processes of their own.

They are forked from this one, which has everything imported: an interpreter of their own with PyTorch takes seconds.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkProcess

import torch

Job = Callable[[], object]


def forked(job: Job, shown: int | None = None) -> ForkProcess:
    """Start the job in a process, a group of its own with what that starts; what it prints goes to the file descriptor
    `shown`, or nowhere."""
    process = multiprocessing.get_context("fork").Process(target=_alone, args=(job, shown))
    process.start()
    return process


def _alone(job: Job, shown: int | None) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if the tests run in the background of a script
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = open(os.devnull if shown is None else shown, "w")  # noqa: SIM115
    job()
