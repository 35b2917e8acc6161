"""How far long work is: who goes through many things says so, and who has a screen shows it.

A measurement `track`s the checkpoints that it goes through, a judge the claims. Alone that does nothing; inside
`tracked_by`, as on the command line, it is shown.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

Thing = TypeVar("Thing")
Tracker = Callable[[Sequence[Any], str], Iterable[Any]]  # goes through things, and knows what they are called

_tracker: ContextVar[Tracker | None] = ContextVar("tracker", default=None)


def track(things: Sequence[Thing], what: str) -> Iterable[Thing]:
    """The things, one after another; `what` they are called, in the plural."""
    tracker = _tracker.get()
    return things if tracker is None else tracker(things, what)


@contextmanager
def tracked_by(tracker: Tracker) -> Iterator[None]:
    """Inside the block, `track` goes through things by `tracker`."""
    token = _tracker.set(tracker)
    try:
        yield
    finally:
        _tracker.reset(token)
