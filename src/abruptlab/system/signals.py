"""Ctrl-C, and the signals of a scheduler, that let the step in progress finish."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def finish_on_interrupt() -> Iterator[threading.Event]:
    """Inside the block, the first SIGINT, SIGTERM or SIGUSR1 (Slurm's warning) sets the event instead of stopping the
    program; a second SIGINT or SIGTERM acts as usual. Outside the main thread, where Python allows no handlers, the
    event is never set."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def note(number: int, _frame: FrameType | None) -> None:
        interrupted.set()
        if number not in warnings:
            signal.signal(number, previous[number])

    warnings = {int(signal.SIGUSR1)} if hasattr(signal, "SIGUSR1") else set()
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, *warnings)}
    for number in previous:
        signal.signal(number, note)
    try:
        yield interrupted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
