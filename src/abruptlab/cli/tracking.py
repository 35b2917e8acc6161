"""How far a command is that measures for a while, and the time that is left."""

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from abruptlab.cli.printing import LINE_EVERY_S, hours, plain_console

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Thing = TypeVar("Thing")

TICK_S = 1.0  # what is done by then needs no bar
KEPT_S = 1.0  # what begins with things that are done by then takes them up again, and they say nothing of the others


@dataclass(eq=False)
class _Level:
    """Things that are gone through, perhaps within one of those of another level."""

    what: str
    done: int
    all: int


class Tracking(ExitStack):
    """A `system.tracking.Tracker` for as long as a command runs: a bar on stderr; where that is no terminal, a line now
    and then. Both come by the clock, as a single thing may take minutes."""

    def __init__(self) -> None:
        super().__init__()
        self.callback(self._end)
        self._levels: list[_Level] = []
        self._started = self._last_line = 0.0
        self._kept = 0  # outermost things that were done before `_started`
        self._bar: tuple[Progress, TaskID] | None = None
        self._lock = threading.RLock()
        self._ended = threading.Event()

    def __call__(self, things: Sequence[Thing], what: str) -> Iterator[Thing]:
        if len(things) < 2:
            yield from things
            return
        depth, level = len(self._levels), _Level(what, 0, len(things))
        with self._lock:
            self._levels.append(level)
        if depth == 0:
            self._begin()
        try:
            for thing in things:
                with self._lock:
                    del self._levels[depth + 1 :]  # of what has been given up within the last thing
                began = time.monotonic()
                yield thing
                level.done += 1
                if depth == 0 and level.done == self._kept + 1 and time.monotonic() - began < KEPT_S:
                    self._started, self._kept = time.monotonic(), level.done
        finally:  # which of what has been given up may come late
            with self._lock:
                if level in self._levels:
                    del self._levels[self._levels.index(level) :]
                if not self._levels:
                    self._end()

    def _begin(self) -> None:
        self._started = self._last_line = time.monotonic()
        self._kept = 0
        self._ended = threading.Event()
        threading.Thread(target=self._tick, args=(self._ended,), daemon=True).start()

    def _tick(self, ended: threading.Event) -> None:
        while not ended.wait(TICK_S):
            self.show()

    def _end(self) -> None:
        with self._lock:
            self._ended.set()
            if self._bar:
                self._bar[0].stop()
                self._bar = None

    def show(self) -> None:
        """Draw the bar, or print a line if one is due."""
        with self._lock:
            if not self._levels:
                return
            now, console = time.monotonic(), plain_console(stderr=True)
            if console.is_interactive:
                bar, task = self._bar = self._bar or _new_bar(console)
                bar.update(task, completed=self._share, description=self._text(now))
                bar.start()  # once; before it there is nothing to be drawn
                bar.refresh()
            elif now - self._last_line >= LINE_EVERY_S:
                self._last_line = now
                console.print(self._text(now), soft_wrap=True)

    @property
    def _share(self) -> float:
        """How much is done."""
        share = 0.0
        for level in reversed(self._levels):
            share = (level.done + share) / level.all
        return share

    def _text(self, now: float) -> str:
        share, kept = self._share, self._kept / self._levels[0].all
        left = (now - self._started) * (1 - share) / (share - kept) if share > kept else None
        # the time first, as a narrow terminal cuts the end off
        levels = [f"{level.what} {min(level.done + 1, level.all)} of {level.all}" for level in self._levels]
        return f"{'time left unknown' if left is None else f'{hours(left)} left'}: {', '.join(levels)}"


def _new_bar(console: Any) -> "tuple[Progress, TaskID]":
    from rich.progress import BarColumn, Progress, TextColumn

    columns = BarColumn(), TextColumn("{task.description}", markup=False)
    # what a command prints meanwhile goes above the bar, unless it goes to a file
    beside = sys.stdout.isatty()
    bar = Progress(*columns, console=console, auto_refresh=False, transient=True, redirect_stdout=beside)
    return bar, bar.add_task("", total=1.0)
