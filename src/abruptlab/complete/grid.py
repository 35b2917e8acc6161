"""A table as a grid of cells, in whatever format it is: text, Excel or Parquet."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from abruptlab.complete.numerals import Notation, read_numbers, readings, shown
from abruptlab.errors import DataError

_SPELT = "na n/a <na> #n/a #na nan +nan -nan nat null none missing - -- . ?"
MISSING = frozenset(["", *_SPELT.split()])


@dataclass(frozen=True)
class Grid:
    """A table as cells, its header, if it has one, on top."""

    cells: np.ndarray  # [line, column], objects: text, or what the format has
    layout: str  # the format, in words
    save: Callable[[np.ndarray], bytes]  # other cells in the same format
    marks: tuple[str, ...] = (".",)  # decimal marks that its numbers may have
    textual: bool = False  # whether numbers are written as text
    headed: bool = False  # whether the first line is known to be a header
    indexed: bool = False  # whether the first column is known to be an index, which may have no name
    lines: list[int] = field(default_factory=list)  # where each stands in the file, from 1

    def texts(self, token: str | None) -> list[list[str]]:
        """What the cells say, empty where missing."""
        texts = ([cell_text(cell) for cell in row] for row in self.cells.tolist())
        return [["" if is_missing(text, token) else text for text in row] for row in texts]

    def place(self, line: int, column: int) -> str:
        """Where a cell stands in the file, in words."""
        return f"row {self.lines[line]}, column {column + 1}"

    def numbers(
        self, texts: list[list[str]], header: bool, columns: Sequence[int], token: str | None
    ) -> tuple[Float[np.ndarray, "line column"], Notation, str]:
        """The numbers in these columns, NaN where missing, and how they are written; and a note that no cell says
        `token` where no more are missing than are empty. `texts` are those for `token`.

        Raises as `read_numbers`, and `DataError` for a text among numbers that may be one of two.
        """
        for line, column in product(range(header, len(texts)), () if self.textual else columns):
            text = texts[line][column]
            if isinstance(self.cells[line, column], str) and (may_be := readings(text)):
                raise DataError(
                    f"{self.place(line, column)}: expected a number, got the text {shown(text)}, which may be {may_be}"
                )
        cells = [[row[column] for column in columns] for row in texts[header:]]
        values, notation = read_numbers(cells, lambda i, j: self.place(header + i, columns[j]), self.marks, token)
        if token is None or is_missing(token, None):
            return values, notation, ""
        empty = sum(row[column] == "" for row in self.texts(None)[header:] for column in columns)
        note = "" if np.isnan(values).sum() > empty else f", no cell that says {shown(token)}"
        return values, notation, note

    def kept(self, skipped: Sequence[str], headed: bool | None) -> list[int]:
        """The columns but the `skipped` ones, from 0; `headed` as far as that is known.

        A skipped one is given by its name in the first line, or counted from 1. Raises `DataError` for one that is not
        there, and for what may be either or is the name of two.
        """
        names = [cell_text(cell) for cell in self.cells[0]]
        headed, columns = self.headed or headed, set()
        for column in skipped:
            named = [j for j, name in enumerate(names) if name == column] if headed is not False else []
            counted = [j for j in range(len(names)) if str(j + 1) == column]
            found = named if named and (headed or not counted) else counted
            if headed is None and named not in ([], counted) and counted:
                raise DataError(
                    f"--skip: {column} may be the column called so or column {column}: say --header yes (then names go "
                    "first) or --header no"
                )
            if len(found) != 1:
                known = f"from 1 to {len(names)} or its name in the first line"
                raise DataError(f"--skip: expected a column, {known}, got {shown(column)}" + " (two)" * bool(found))
            columns.add(found[0])
        return [j for j in range(len(names)) if j not in columns]


def cell_text(cell: Any) -> str:
    """A cell as text; a number so that it is read as the same one."""
    if isinstance(cell, str):
        return cell.strip()
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return ""
    if isinstance(cell, float | np.floating):
        return repr(float(cell))
    return str(cell)


def name_of(cell: Any) -> str:
    """The name that a cell says; "" if it says none."""
    return "" if isinstance(cell, float) and math.isnan(cell) else cell_text(cell)


def is_textual(numbers: np.ndarray) -> bool:
    """Whether cells that are numbers are all written as text."""
    return all(isinstance(cell, str) for cell in numbers)


def is_missing(text: str, token: str | None) -> bool:
    """Whether a cell says that its entry is missing."""
    return text.lower() in MISSING or text == token


def without_blank(rows: list[list[Any]], before: int = 0) -> tuple[np.ndarray, list[int]]:
    """The lines that have cells, text without the space around it, and which lines those are, from 1.

    A cell that is not there is None; a line of empty ones is a line. In a table of one column a blank line is one, too,
    between others.
    """
    stripped = [[cell.strip() if isinstance(cell, str) else cell for cell in row] for row in rows]
    filled = [index for index, cells in enumerate(stripped) if any(cell not in (None, "") for cell in cells)]
    if all(len(cells) == 1 for cells in stripped):
        kept = [*range(filled[0], filled[-1] + 1)] if filled else []
    else:
        kept = sorted({*filled, *(index for index, cells in enumerate(stripped) if None not in cells)})
    if not kept:
        raise DataError("expected a matrix, got nothing")
    cells = np.array([stripped[index] for index in kept], dtype=object).reshape(len(kept), -1)
    return cells, [index + 1 + before for index in kept]
