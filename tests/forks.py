"""Commands in processes of their own.

They are forked from one that has everything imported, as an interpreter with PyTorch takes seconds: from this one, or
from one without the checks of types that run with the tests.
"""

import contextlib
import io
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess

import torch

from abruptlab.sweep.local import start_method

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


def unchecked(script: str) -> str:
    """What a script prints where functions are as users have them.

    Raises `RuntimeError`, with what it raised, if it did not come to its end.
    """
    context = start_method()
    ours, theirs = context.Pipe()
    process = context.Process(target=_carried_out, args=(script, theirs))
    process.start()
    theirs.close()  # or nobody would notice if it died without a word
    printed, error = ours.recv()
    process.join()
    if error:
        raise RuntimeError(error)
    return printed


def _carried_out(script: str, answer: Connection) -> None:
    torch.set_num_threads(1)
    error = ""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            exec(script, {})
        except BaseException:
            error = traceback.format_exc()
    answer.send((printed.getvalue(), error))
