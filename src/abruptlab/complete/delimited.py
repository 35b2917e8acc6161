"""A matrix in delimited text (CSV, TSV), of which every byte that is not filled in comes back as it was.

Separators are tabs, semicolons or commas, cells may be quoted, line ends are of any kind. What Python's csv module
reads it does not give back as it was (quotes, spaces, line ends), hence a reader of our own, which cuts the text and
keeps the pieces.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from jaxtyping import Float

from abruptlab.complete.labels import find_labels
from abruptlab.complete.numerals import Notation, read_numbers, shown
from abruptlab.errors import DataError

SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas"}  # the first that cuts all lines alike is the file's
LOOKED_AT = 20  # records, to find the separator
_LINE_END = re.compile(r"\r\n|\r|\n")
# possessive, so that it takes linear time; a quote that is never closed is text
_CELL = {
    separator: re.compile(rf' *"[^"]*+(?:""[^"]*+)*+"[^{separator}\r\n]*|[^{separator}\r\n]*')
    for separator in SEPARATORS
}


@dataclass(frozen=True)
class Record:
    """The raw cells of a line, or of several lines if a quoted cell goes on over their ends."""

    cells: list[str]
    end: str  # its line end, empty at the end of the file
    line: int  # where it begins, counted from 1


@dataclass(frozen=True)
class TextTable:
    """A matrix and the text that it stands in. Rows, columns and lines count from 1."""

    values: Float[np.ndarray, "m n"]  # NaN where missing
    separator: str
    records: list[Record]  # of the whole text
    rows: list[int]  # the records that hold the matrix
    header: Record | None  # the names of the columns
    index: bool  # whether the first cells are the names of the rows
    notation: Notation

    @property
    def layout(self) -> str:
        """What was recognised, in words."""
        header, index = ("a" if there else "no" for there in (self.header, self.index))
        return f"separated by {SEPARATORS[self.separator]}, {header} header line, {index} column of row names"

    @cached_property
    def row_names(self) -> list[str]:
        if not self.index:
            return [str(i + 1) for i in range(len(self.rows))]
        return [content(self.records[at].cells[0]) for at in self.rows]

    @cached_property
    def column_names(self) -> list[str]:
        if self.header is None:
            return [str(j + 1) for j in range(self.values.shape[1])]
        return [content(raw) for raw in self.header.cells[self.index :]]

    def row_place(self, i: int) -> str:
        """Where row i stands, in words."""
        return f"line {self.records[self.rows[i]].line}" + (f" ({shown(self.row_names[i])})" if self.index else "")

    def column_place(self, j: int) -> str:
        """Where column j stands, in words."""
        return f"column {j + self.index + 1}" + (f" ({shown(self.column_names[j])})" if self.header else "")

    def number(self, value: float) -> str:
        """A number as it is written into this text."""
        return self.notation.write(value)

    def filled(self, completed: Float[np.ndarray, "m n"]) -> str:
        """The text with the missing cells filled in."""
        cells = [record.cells for record in self.records]
        for at, values, numbers in zip(self.rows, self.values, completed, strict=True):
            cells[at] = list(cells[at])
            for j in np.isnan(values).nonzero()[0].tolist():
                cells[at][self.index + j] = _fill(cells[at][self.index + j], self.number(float(numbers[j])))
        return "".join(self.separator.join(row) + record.end for row, record in zip(cells, self.records, strict=True))


def read_text(text: str, header: bool | None = None, index: bool | None = None) -> TextTable:
    """The matrix in `text`; whether there is a header line and a column of row names is recognised if not given.

    Raises `DataError`, with line and column, if it is not a matrix of numbers and missing cells.
    """
    separator = _find_separator(text)
    records = list(split(text, separator))
    filled = [at for at, record in enumerate(records) if len(record.cells) > 1 or record.cells[0].strip()]
    if not filled:
        raise DataError("expected a matrix, got an empty file")
    first = records[filled[0]]
    for at in filled:
        if len(records[at].cells) != len(first.cells):
            raise DataError(
                f"line {records[at].line}: expected {_cells(len(first.cells))} as in line {first.line}, "
                f"got {len(records[at].cells)}"
            )
    contents = [[content(raw) for raw in records[at].cells] for at in filled]
    has_header, has_index = find_labels(contents, header, index)
    body = [row[has_index:] for row in contents[has_header:]]
    if not body or not body[0]:
        raise DataError(
            f"expected numbers in cells separated by {' or '.join(SEPARATORS.values())}, got nothing but names"
        )
    rows = filled[has_header:]

    def place(i: int, j: int) -> str:
        return f"line {records[rows[i]].line}, column {j + has_index + 1}"

    values, notation = read_numbers(body, place, separator)
    return TextTable(values, separator, records, rows, first if has_header else None, has_index, notation)


def split(text: str, separator: str) -> Iterator[Record]:
    """Cut a text into records of raw cells: joined by the separator and their line ends, they are the text again."""
    cell, at, line = _CELL[separator], 0, 1
    while at < len(text):
        cells, start = [], at
        while True:
            match = cell.match(text, at)
            assert match  # it matches the empty string
            cells.append(match[0])
            at = match.end()
            if not text.startswith(separator, at):
                break
            at += 1
        end = _LINE_END.match(text, at)
        at = end.end() if end else at
        yield Record(cells, end[0] if end else "", line)
        line += len(_LINE_END.findall(text, start, at))


def content(raw: str) -> str:
    """What a cell says: without quotes and the white space around."""
    inside = raw.strip()
    if len(inside) > 1 and inside[0] == inside[-1] == '"':
        inside = inside[1:-1].replace('""', '"').strip()
    return inside


def _fill(raw: str, number: str) -> str:
    """A missing cell with a number in place of what it says, quoted and spaced as it was."""
    inside = raw.strip()
    new = f'"{number}"' if inside.startswith('"') else number
    return raw.replace(inside, new, 1) if inside else new


def _find_separator(text: str) -> str:
    widths = {}
    for separator in SEPARATORS:
        some = [record.cells for record in islice(split(text, separator), LOOKED_AT)]
        widths[separator] = [len(cells) for cells in some if "".join(cells).strip()]  # blank lines are of any width
    for separator, counts in widths.items():
        if counts and counts[0] > 1 and len(set(counts)) == 1:
            return separator
    return max(SEPARATORS, key=lambda separator: (max(widths[separator], default=1), separator == ","))


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"
