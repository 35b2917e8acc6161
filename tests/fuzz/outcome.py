"""A command in this process: how it ended, and what it said."""

import contextlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from abruptlab.cli import main


@dataclass(frozen=True)
class Outcome:
    """Exit status, and what went to the two streams; a message that Python would print is on stderr."""

    status: int
    out: str
    err: str

    @property
    def is_clear(self) -> bool:
        """Whether a failure says in one line what is wrong, or, of words that do not parse, in tyro's box."""
        if self.status == 0:
            return True
        last = self.err.rstrip("\n").rpartition("\n")[2]
        return "Traceback" not in self.err and (self.status == 2 or last.startswith("abruptlab: "))


def run(*words: str | Path) -> Outcome:
    """Run a command. Whatever it raises but its exit goes on: it would be a traceback."""
    out, err = io.StringIO(), io.StringIO()
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(word) for word in words])
        except SystemExit as stop:
            if isinstance(stop.code, str):
                err.write(stop.code + "\n")
                status = 1
            else:
                status = int(stop.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


class Tally:
    """What is wrong, case by case; a long run, with `pytest -s`, says as it goes what came of it so far."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.cases = 0
        self.wrong: list[str] = []

    def add(self, case: str, wrong: Iterable[str]) -> None:
        """One more case, and what is wrong with it."""
        self.cases += 1
        for each in wrong:
            self.wrong.append(f"{case}: {each}")
            print(self.wrong[-1], flush=True)
        if self.cases % 50 == 0:
            print(f"{self.what}: {self.cases} cases, {len(self.wrong)} wrong", flush=True)

    def judge(self) -> None:
        """Raises `AssertionError` with all that is wrong."""
        assert not self.wrong, f"{len(self.wrong)} wrong in {self.cases} cases:\n" + "\n".join(self.wrong)


def counted(name: str, usual: int) -> int:
    """How many cases: the environment may say another number."""
    return int(os.environ.get(name, usual))
