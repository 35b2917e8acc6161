"""Who trains which run, where several processes go through the same sweep: each run is claimed by a lock of its own.

A lock goes with the process that holds it, however that ends, so no run is ever lost to a dead one.
"""

from pathlib import Path

from filelock import FileLock, Timeout


class Claims:
    """The runs that this process has claimed, by key, from `__enter__` to `__exit__`."""

    def __init__(self, sweep_folder: Path) -> None:
        self._folder = sweep_folder / ".claims"
        self._held: dict[str, FileLock] = {}

    def __enter__(self) -> "Claims":
        self._folder.mkdir(exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for key in list(self._held):
            self.release(key)

    def take(self, key: str) -> bool:
        """Claim a run; returns whether it is ours now, and nobody else's."""
        lock = FileLock(self._folder / key, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            return False
        self._held[key] = lock
        return True

    def release(self, key: str) -> None:
        """Give a claim back."""
        self._held.pop(key).release()
