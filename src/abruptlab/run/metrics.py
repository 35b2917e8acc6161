"""The metrics file: a JSON object a line, that of step k in line k + 1.

It grows by whole rows, so all that a killed process can leave is half a line at its end. Anything else that is not the
next step's row is damage, and is said: rows after it would belong to other steps than they seem to.
"""

import hashlib
import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from jaxtyping import Float

from abruptlab.errors import RunError
from abruptlab.run.checkpoints import Digest, digest
from abruptlab.system.files import content_of

Row = dict[str, int | float]
TAIL_BYTES = 4096  # more than a row takes


@dataclass(frozen=True)
class Rows:
    """The rows of a metrics file up to the first that is damaged."""

    rows: list[Row]
    data: bytes  # the whole file
    ends: list[int]  # of each row, the number of bytes until its end
    damage: str = ""  # what is wrong with the line after them; "" for nothing, or half a line that ends the file

    def size(self, count: int) -> int:
        """How many bytes the first `count` rows take."""
        return self.ends[count - 1] if count else 0

    def are(self, count: int, signed: Digest | None) -> bool:
        """Whether the first `count` rows are there, and those that a checkpoint was saved upon."""
        if count > len(self.rows):
            return False
        data = self.data[: self.size(count)]
        return signed is None or signed == digest(data)


def parse_rows(data: bytes, names: Collection[str], first: int = 0) -> Rows:
    """Rows with these numbers (and `step`), the first of them that of step `first`."""
    lines = data.split(b"\n")[:-1]  # what follows the last newline is half a line, or nothing
    rows, damage = _parsed_at_once(lines, names, first), ""
    if rows is None:
        rows = []
        for step, line in enumerate(lines, first):
            try:
                rows.append(_row(line, step, names))
            except ValueError as error:
                damage = f"line {step + 1}: expected the row of step {step}, got {error}"
                break
    ends = list(accumulate(len(line) + 1 for line in lines[: len(rows)]))
    return Rows(rows, data, ends, damage)


def read_rows(path: Path, names: Collection[str]) -> Rows:
    """The rows of a file; a missing one has none. Raises `RunError` if it cannot be read."""
    return parse_rows(content_of(path), names)


def last_row(path: Path) -> Row:
    """The last whole row of a file, without a look at those before it; a missing or empty file has none.

    Raises `RunError` if it is no row.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
        return _read(lines[-1]) if lines else {}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError:
        raise RunError(f"{path} is damaged: its last line is no row") from None


def known_mean(values: Sequence[float] | Float[np.ndarray, " step"]) -> float:
    """The mean of a metric over steps; NaN (of a batch that hides no entry, say) is left out, and is all that there is
    if every step has it."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else math.nan


def as_line(row: Row) -> bytes:
    """A row as a line of the file."""
    return json.dumps({name: finite(value) for name, value in row.items()}).encode() + b"\n"


def finite(value: int | float) -> int | float | None:
    """A number for JSON, which knows neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def shortest(values: Float[np.ndarray, " number"]) -> list[float]:
    """A 32-bit float's shortest text loses nothing, so equal files mean equal bits."""
    return [float(str(value)) for value in values.astype(np.float32)]


def _parsed_at_once(lines: Sequence[bytes], names: Collection[str], first: int) -> list[Row] | None:
    """All lines as rows, in two thirds of the time that they take one by one; None if any is not just as expected, or
    has what is no number."""
    text = b",".join(lines)
    if not text.count(b"{") == text.count(b"}") == len(lines) == sum(line[:1] + line[-1:] == b"{}" for line in lines):
        return None  # an object may end on another line than it begins
    try:
        rows = json.loads(b"[" + text + b"]")
        steps = [row["step"] for row in rows]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    needed = {"step", *names}
    whole = steps == [*range(first, first + len(lines))] and all(row.keys() >= needed for row in rows)
    numbers = {type(value) for row in rows for value in row.values()} <= {int, float} and {*map(type, steps)} <= {int}
    return rows if whole and numbers else None


def _row(line: bytes, step: int, names: Collection[str]) -> Row:
    """A line as a row. Raises `ValueError`, saying what came instead, if it is not that of `step`."""
    row = _read(line)
    if row["step"] != step:
        raise ValueError(f"that of step {row['step']}")
    for name in names:
        if name not in row:
            raise ValueError(f"one without {name}")
    return row


def _read(line: bytes) -> Row:
    """A line as a row of whatever numbers. Raises `ValueError`, saying what came instead."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("what is no JSON") from None
    if not isinstance(row, dict) or not isinstance(row.get("step"), int):
        raise ValueError("what is no row")
    for name, value in row.items():
        if value is not None and type(value) not in (int, float):
            raise ValueError(f"{name} {str(value)[:40]!r}")
    return {name: math.nan if value is None else value for name, value in row.items()}


class Signature:
    """The digest of a metrics file that grows."""

    def __init__(self, data: bytes = b"") -> None:
        self._hash = hashlib.sha256(data)
        self._bytes = len(data)

    def add(self, data: bytes) -> None:
        """Take in what was appended."""
        self._hash.update(data)
        self._bytes += len(data)

    @property
    def digest(self) -> Digest:
        """Of all rows until now."""
        return Digest(self._bytes, self._hash.hexdigest())
