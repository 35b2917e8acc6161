"""The file of a run's measures: a JSON object a line, for each step at which they were taken (`training.measures`).

They can be taken again from the same weights, so that a resumed run writes those after its checkpoint anew.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from abruptlab.errors import RunError
from abruptlab.run.metrics import finite, shortest
from abruptlab.system.files import content_of, write_atomically

MEASURES = (
    "accuracy",  # share of the answer's tokens that are right, written by the model from the prompt
    "whole",  # share of the answers that are right from end to end
    "repetition",  # share of neighbours in what it writes that are the same token
    "collapse",  # mean cosine similarity of the last layer's outputs at two places of the true answer
    "attention",  # share of the attention, over all heads, of the answer's queries that is on what they need
)
PLACES = "places"  # beside them, the accuracy of each place of the answer

Row = dict[str, Any]  # the step, a number for each of MEASURES, a list of them for PLACES


def read_measures(path: Path) -> list[Row]:
    """The rows of a file, without half a line at its end; a missing one has none.

    Raises `RunError`, naming the line, if it is damaged, or cannot be read.
    """
    rows: list[Row] = []
    for number, line in enumerate(content_of(path).split(b"\n")[:-1], 1):
        row = _row(line)
        if row is None or (rows and row["step"] <= rows[-1]["step"]):
            raise RunError(f"{path} is damaged: line {number}: expected the measures of a later step")
        rows.append(row)
    return rows


def append_measures(path: Path, measured: Iterable[tuple[int, Float[np.ndarray, " value"]]]) -> list[Row]:
    """Append rows, and return them: a step, and the values of MEASURES and after them of PLACES. Raises `OSError`."""
    rows = [_measures(step, values) for step, values in measured]
    with path.open("a") as file:
        file.write("".join(map(_line, rows)))
    return rows


def keep_measures_before(path: Path, step: int) -> list[Row]:
    """Forget the rows from `step` on; returns the others. Raises `RunError` for a damaged file and `OSError`."""
    rows = [row for row in read_measures(path) if row["step"] < step]
    if path.exists():
        write_atomically(path, "".join(map(_line, rows)))
    return rows


def _measures(step: int, values: Float[np.ndarray, " value"]) -> Row:
    known = [finite(value) for value in shortest(values)]
    return {"step": step, **dict(zip(MEASURES, known, strict=False)), PLACES: known[len(MEASURES) :]}


def _line(row: Row) -> str:
    return json.dumps(row) + "\n"


def _row(line: bytes) -> Row | None:
    """A line as a row; None if it is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    numbers = (int, float, type(None))
    if not isinstance(row, dict) or not isinstance(row.get("step"), int) or not isinstance(row.get(PLACES), list):
        return None
    values = [*(row.get(name, "") for name in MEASURES), *row[PLACES]]
    return row if all(isinstance(value, numbers) for value in values) else None
