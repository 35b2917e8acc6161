"""Commands in processes of their own that are killed at random moments."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable

from tests.forks import Job, forked


def duration(job: Job) -> float:
    """How many seconds the job takes in a process that nobody kills."""
    begun = time.monotonic()
    assert not killed(job, None)
    return time.monotonic() - begun


def killed(job: Job, after: float | None) -> bool:
    """Do the job in a process that is killed after so many seconds; whether it was, before it had ended.

    Raises `AssertionError` if the job itself failed.
    """
    process = forked(job)
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
