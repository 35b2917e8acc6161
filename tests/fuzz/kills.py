"""Commands in processes of their own that are killed at random moments.

The processes are forked from this one, which has everything imported, so that a kill costs no second of importing.
"""

import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable

import torch

Job = Callable[[], object]


def duration(job: Job) -> float:
    """How many seconds the job takes in a process that nobody kills."""
    begun = time.monotonic()
    assert not killed(job, None)
    return time.monotonic() - begun


def killed(job: Job, after: float | None) -> bool:
    """Do the job in a process that is killed after so many seconds; whether it was, before it had ended.

    Raises `AssertionError` if the job itself failed.
    """
    process = multiprocessing.get_context("fork").Process(target=_alone, args=(job,))
    process.start()
    process.join(after)
    if process.exitcode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
    assert process.exitcode in (0, -signal.SIGKILL), process.exitcode
    return process.exitcode != 0


def until_done(job: Job, seconds: float, random_: random.Random, check: Callable[[], None]) -> int:
    """Kill the job at random moments of its usual time, again and again, until it has once ended; `check` after each.

    Returns how often it was killed.
    """
    kills = 0
    while killed(job, random_.uniform(0, 1.2 * seconds)):
        kills += 1
        check()
    check()
    return kills


def _alone(job: Job) -> None:
    os.setsid()  # a group of its own, with what it starts
    torch.set_num_threads(1)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        job()
