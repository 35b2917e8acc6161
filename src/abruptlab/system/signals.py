"""Ctrl-C, the signals of a scheduler, and a terminal that is closed, which let the step in progress finish."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def finish_on_interrupt() -> Iterator[threading.Event]:
    """Inside the block, the first SIGINT, SIGTERM, SIGHUP (the terminal is closed) or SIGUSR1 (Slurm's warning) sets
    the event instead of stopping the program; a second SIGINT or SIGTERM acts as usual. Those that the program was
    told to ignore (nohup) stay ignored. Outside the main thread, where Python allows no handlers, the event is never
    set."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def note(number: int, _frame: FrameType | None) -> None:
        interrupted.set()
        if number not in warnings:
            signal.signal(number, previous[number])

    # a closed terminal sends SIGHUP once itself and once by its shell
    warnings = {int(getattr(signal, name)) for name in ("SIGUSR1", "SIGHUP") if hasattr(signal, name)}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, *warnings)}
    previous = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}
    for number in previous:
        signal.signal(number, note)
    try:
        yield interrupted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
