"""Delimited text as a grid of cells, read and written by pandas."""

import codecs
import csv
import io
import re
import warnings
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from abruptlab.complete.grid import Grid, without_blank
from abruptlab.complete.numerals import shown
from abruptlab.complete.reading import Reading
from abruptlab.errors import DataError

SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas"}  # the first that cuts all lines alike is the file's
LOOKED_AT = 20  # lines, to find the separator
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_BLANK = re.compile(r"(?: *(?:\r\n|\r|\n))+")
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"[^"]*"')
_QUOTED_OR_END = re.compile(r'("[^"]*")|\r\n')
_RAGGED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")  # pandas' words


def read_text(data: bytes, given: Reading) -> Grid:
    """Delimited text. Raises `DataError` if it is none."""
    text, encoding, mark = _decode(data, given.encoding)
    separator = _find_separator(text) if given.separator is None else given.separator
    if len(separator) != 1 or separator in '\r\n"':
        raise DataError(f"--separator: expected one character, got '{shown(separator)}'")
    blank = _BLANK.match(text)
    body, before = (text[blank.end() :], len(_LINE_END.findall(blank[0]))) if blank else (text, 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas 2 cuts long lines off with a warning
            frame = pd.read_csv(
                io.StringIO(body, newline=""),  # a cell may have line ends of its own
                sep=separator,
                header=None,
                index_col=False,
                dtype=object,
                keep_default_na=False,
                skip_blank_lines=False,
                skipinitialspace=True,
                engine="python",  # the other one fills up short lines without a word
            )
    except pd.errors.EmptyDataError:
        raise DataError("expected a matrix, got nothing") from None
    except pd.errors.ParserWarning:
        raise DataError("expected as many values in every line as in the first, got a line with more") from None
    except (pd.errors.ParserError, ValueError, csv.Error) as error:
        if ragged := _RAGGED.search(str(error)):
            expected, line, count = map(int, ragged.groups())
            raise DataError(_ragged(before + line, expected, count)) from None
        if "unexpected end of data" in str(error):
            raise DataError("expected quotes in pairs, got one that nothing closes") from None
        raise DataError(" ".join(str(error).split())[:200]) from None
    if frame.shape[1] == 1:
        frame = frame.fillna("")  # a blank line is an empty cell
    cells, lines = without_blank(frame.to_numpy(dtype=object).tolist(), before)
    for line, row in zip(lines, cells.tolist(), strict=True):
        if None in row:
            raise DataError(_ragged(line, len(row), row.index(None)))
    end = _LINE_END.search(_QUOTED.sub("", text)) or _LINE_END.search(text)

    def save(filled: np.ndarray) -> bytes:
        # a cell with either letter of this line end is put into quotes, outside of which the file's own are put then
        options: dict[str, Any] = {"lineterminator": "\r\n"}
        written = pd.DataFrame(filled).to_csv(sep=separator, header=False, index=False, **options)
        own = _QUOTED_OR_END.sub(lambda found: found[1] or (end[0] if end else "\n"), written)
        return mark + own.encode(encoding)

    possible = (".",) if separator == "," and not any("," in cell for cell in cells.flat) else (".", ",")
    words = SEPARATORS.get(separator, repr(separator))
    marks = possible if given.decimal is None else (given.decimal,)
    return Grid(cells, f"separated by {words}", save, marks, textual=True, lines=lines)


def _ragged(line: int, expected: int, count: int) -> str:
    """`count` cells where the first row has `expected`."""
    above = " (is there a line above the table, such as a comment?)" if expected == 1 else ""
    return f"row {line}: expected {expected} cell{'s' * (expected != 1)} as in the first row, got {count}{above}"


def _decode(data: bytes, given: str | None) -> tuple[str, str, bytes]:
    """The text, its encoding, and the byte order mark before it."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS.items() if data.startswith(mark)), (b"", "utf-8"))
    if given is not None and (not mark or _canonical(given) != encoding):
        mark, encoding = b"", given
    elif encoding == "utf-8" and b"\0" in data:
        raise DataError("expected text, Excel, Parquet, NPY or NPZ, got another binary file (it has NUL bytes)")
    try:
        return data[len(mark) :].decode(encoding), encoding, mark
    except LookupError:
        raise DataError(f"--encoding: expected one that Python knows, such as latin-1, got {given}") from None
    except UnicodeDecodeError as error:
        offset = len(mark) + error.start
        raise DataError(
            f"line {data.count(10, 0, offset) + 1}: expected text in {encoding.upper()}, got byte "
            f"0x{data[offset]:02x}: say --encoding NAME"
        ) from None
    except UnicodeError as error:
        raise DataError(f"expected text in {encoding}: {error}") from None


def _canonical(encoding: str) -> str:
    """Its name in Python, of several spellings; what it does not know as it is."""
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        return encoding


def _find_separator(text: str) -> str:
    widths = {}
    for separator in SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        try:
            widths[separator] = [len(cells) for cells in islice(filter("".join, reader), LOOKED_AT)]
        except csv.Error:
            widths[separator] = []
    for separator, counts in widths.items():
        if counts and counts[0] > 1 and len(set(counts)) == 1:
            return separator
    return max(SEPARATORS, key=lambda separator: (max(widths[separator], default=1), separator == ","))
