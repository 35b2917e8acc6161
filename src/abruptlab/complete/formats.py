"""Tables as pandas reads and writes them: text, Excel and Parquet as a grid of cells."""

import codecs
import csv
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import time, timedelta
from itertools import chain, islice
from typing import Any

import numpy as np
import pandas as pd

from abruptlab.complete.numerals import shown
from abruptlab.errors import DataError

SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas"}  # the first that cuts all lines alike is the file's
LOOKED_AT = 20  # lines, to find the separator
_SPELT = "na n/a <na> #n/a #na nan +nan -nan nat null none missing - -- . ?"
MISSING = frozenset(["", *_SPELT.split()])
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_INDEX = "\0index"  # the name of an index while it is a column
_BLANK = re.compile(r"(?: *(?:\r\n|\r|\n))+")
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r'"[^"]*"')
_QUOTED_OR_END = re.compile(r'("[^"]*")|\r\n')
_RAGGED = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")  # pandas' words


@dataclass(frozen=True)
class Reading:
    """What is known of a file beforehand; None where it is to be recognised."""

    header: bool | None = None  # whether the first line holds the names of the columns
    # the column that holds the names of the rows, counted from 1; True for the first that is not skipped, 0 for none
    index: int | None = None
    missing: str | None = None  # a cell that says that its entry is missing, besides `MISSING`
    encoding: str | None = None  # of text
    separator: str | None = None  # of text
    decimal: str | None = None  # mark of text: . or ,
    sheet: str | None = None  # of Excel; the array of an NPZ file
    triplets: bool = False  # whether each line has a row, a column and a value
    skip: tuple[str, ...] = ()  # columns that are no part of the matrix, counted from 1 or by name


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

    def noting(self, token: str | None, header: bool, columns: Sequence[int], missing: int) -> "Grid":
        """The grid, which says in its layout that no cell says `token` where no more entries of these columns are
        `missing` than are empty."""
        if token is None or is_missing(token, None):
            return self
        empty = sum(row[column] == "" for row in self.texts(None)[header:] for column in columns)
        return self if missing > empty else replace(self, layout=f"{self.layout}, no cell that says {shown(token)}")

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


def is_missing(text: str, token: str | None) -> bool:
    """Whether a cell says that its entry is missing."""
    return text.lower() in MISSING or text == token


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
    cells, lines = _without_blank(frame.to_numpy(dtype=object).tolist(), before)
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


def read_excel(data: bytes, given: Reading) -> Grid:
    """A sheet of an Excel workbook; it is saved as a workbook of that sheet alone. Raises `DataError`."""
    with reading("Excel"), pd.ExcelFile(io.BytesIO(data), engine="openpyxl") as book:
        sheet = choose("sheets", [str(name) for name in book.sheet_names], given.sheet)
        frame: Any = book.parse(sheet, header=None, dtype=object, na_filter=False)
        _require_values(data, sheet, book.book[sheet])
    read = frame.to_numpy(dtype=object).tolist()
    cells, lines = _without_blank([[None if cell_text(cell) == "" else cell for cell in row] for row in read])

    def save(filled: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        with pd.ExcelWriter(buffer, engine="openpyxl") as book:
            pd.DataFrame(filled).to_excel(book, sheet_name=sheet, header=False, index=False)
            for cell in chain.from_iterable(book.sheets[sheet].iter_rows()):
                cell.data_type = "s" if cell.data_type == "f" else cell.data_type  # text that begins with =
                given = filled[cell.row - 1, cell.column - 1]
                if isinstance(given, time | timedelta):  # which pandas writes as text, or as a number
                    cell.value = given
        return buffer.getvalue()

    return Grid(cells, f"Excel, sheet {shown(sheet)}", save, lines=lines)


def _require_values(data: bytes, sheet: str, values: Any) -> None:
    """Raises `DataError` for a cell that holds an error, or a formula whose value nobody has stored: pandas reads both
    as empty."""
    import openpyxl

    formulas: Any = openpyxl.load_workbook(io.BytesIO(data), read_only=True)[sheet]
    for each in (values, formulas):
        each.reset_dimensions()  # which some programs write wrongly
    for row, formula_row in zip(values.iter_rows(), formulas.iter_rows(), strict=True):
        for cell, formula in zip(row, formula_row, strict=True):
            if cell.data_type == "e" and cell.value.lower() not in MISSING:
                given = f"the error {cell.value}"
            elif formula.data_type == "f" and cell.value is None and cell.data_type == "n":  # no empty text
                given = "a formula without its value, which a spreadsheet program stores with the file"
            else:
                continue
            raise DataError(f"row {cell.row}, column {cell.column}: expected a number or an empty cell, got {given}")


def read_parquet(data: bytes, given: Reading) -> Grid:
    """A Parquet file, whose columns have names; it is saved with the types of its columns, and those in which nothing
    was filled in as they were. Raises `DataError`."""
    stored, frame = _frame_of(data)
    if frame.index.nlevels > 1:
        raise DataError(f"expected an index of one level, got one of {frame.index.nlevels}: reset it before saving")
    named = not isinstance(frame.index, pd.RangeIndex)
    whole = frame.reset_index(names=_INDEX) if named else frame  # which may have the name of a column
    header = [str(name) for name in whole.columns]
    if named:
        header[0] = "" if frame.index.name is None else str(frame.index.name)
    cells = np.array([header, *whole.astype(object).to_numpy().tolist()], dtype=object)

    def save(filled: np.ndarray) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        buffer = io.BytesIO()
        same = [
            len(filled) == len(cells) and all(one is other for one, other in zip(*sides, strict=True))
            for sides in zip(filled.T, cells.T, strict=True)
        ]
        try:
            columns = {
                name: whole[name].array if as_it_was else _typed(filled[1:, column].tolist(), whole[name].dtype)
                for column, (name, as_it_was) in enumerate(zip(whole.columns, same, strict=True))
            }
            result = pd.DataFrame(columns)
            if named:
                result = result.set_index(whole.columns[0]).rename_axis(frame.index.name)
            if len(result) == len(frame):
                result.index = result.index if named else frame.index
            elif not named or pd.isna(filled[-1, 0]):  # a list of triplets has grown, whose index counts its lines
                result = result.reset_index(drop=True)
            table = pa.Table.from_pandas(result)
            for name, as_it_was in zip(whole.columns, same, strict=True):
                if as_it_was and name in stored.column_names:
                    place = table.column_names.index(name)
                    table = table.set_column(place, stored.schema.field(name), stored[name])
            pq.write_table(table, buffer)
        except (TypeError, ValueError, OverflowError) as error:
            why = str(error).partition("\n")[0]
            raise DataError(f"the completion does not fit the types of the columns: {why}") from None
        return buffer.getvalue()

    grid = Grid(cells, "Parquet", save, headed=True, indexed=named, lines=list(range(len(cells))))
    for column in grid.kept(given.skip, True):
        name = whole.columns[column]
        if name in stored.column_names and str(stored.schema.field(name).type).startswith("decimal"):
            what = f"numbers, got {stored.schema.field(name).type}: store it as double"
            raise DataError(f"column {shown(str(name))}: expected {what}")
    return grid


def _frame_of(data: bytes) -> tuple[Any, pd.DataFrame]:
    """The table of a Parquet file, as Arrow and as pandas have it; there, columns of whole numbers stay whole where
    some are missing."""
    with reading("Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        stored = pq.ParquetFile(io.BytesIO(data)).read()
        for name in stored.column_names:
            if stored.column_names.count(name) > 1:
                raise DataError(f"expected columns of different names, got two called {shown(name)}")
        frame = stored.to_pandas()
        for column in stored.schema:
            if pa.types.is_integer(column.type) and column.name in frame and frame[column.name].dtype.kind == "f":
                nullable = pd.api.types.pandas_dtype(str(column.type).replace("int", "Int").replace("u", "U"))
                whole = stored[column.name].to_pandas(types_mapper=lambda _, dtype=nullable: dtype)
                frame[column.name] = whole.array
    return stored, frame


def choose(what: str, names: list[str], given: str | None) -> str:
    """The one that is there, or the one that is `given`. Raises `DataError` if that is none."""
    listed = shown(", ".join(names), 200)
    if given is None and len(names) == 1:
        return names[0]
    if given is None:
        raise DataError(f"expected one of the {what} {listed}: say --sheet NAME")
    if given not in names:
        raise DataError(f"--sheet: expected one of {listed}, got {shown(given)}")
    return given


def _typed(cells: list[Any], dtype: Any) -> Any:
    """A column in the type that it had, or where it lacks some now, in pandas' own that can; one of whole numbers only
    if what was filled in is whole too."""
    lacks = [pd.api.types.is_scalar(cell) and pd.isna(cell) for cell in cells]
    lacking = any(lacks)
    if isinstance(dtype, pd.CategoricalDtype) and any(
        not lack and cell not in dtype.categories for cell, lack in zip(cells, lacks, strict=True)
    ):
        dtype = dtype.categories.dtype  # what was filled in is none of them
    if lacking and isinstance(dtype, np.dtype) and dtype.kind in "iub":
        dtype = pd.array(np.zeros(1, dtype)).dtype
    if pd.api.types.is_integer_dtype(dtype):
        if any(isinstance(cell, float) and not pd.isna(cell) and not cell.is_integer() for cell in cells):
            return pd.array(cells, dtype="Float64" if lacking else "float64")
        cells = [None if pd.isna(cell) else int(cell) for cell in cells]
    with np.errstate(over="ignore"):
        column = pd.array(cells, dtype=dtype)
    if pd.api.types.is_float_dtype(dtype) and np.isinf(column.to_numpy(float, na_value=np.nan)).any():
        raise OverflowError(f"an entry is beyond the range of {dtype}")
    return column


def _without_blank(rows: list[list[Any]], before: int = 0) -> tuple[np.ndarray, list[int]]:
    """The lines that have cells, text without the space around it, and which lines those are, from 1.

    A cell that is not there is None; a line of empty ones is a line. In a table of one column a blank line is one, too,
    between others.
    """
    if not rows:
        raise DataError("expected a matrix, got nothing")
    stripped = [[cell.strip() if isinstance(cell, str) else cell for cell in row] for row in rows]
    filled = [index for index, cells in enumerate(stripped) if any(cell not in (None, "") for cell in cells)]
    single = len(stripped[0]) == 1
    between = range(filled[0], filled[-1] + 1) if single and filled else ()
    blank = [index for index, cells in enumerate(stripped) if index in between or (not single and None not in cells)]
    kept = sorted({*filled, *blank})
    if not kept:
        raise DataError("expected a matrix, got nothing")
    cells = np.array([stripped[index] for index in kept], dtype=object).reshape(len(kept), -1)
    return cells, [index + 1 + before for index in kept]


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns what a reader of a binary format raises into one line."""
    try:
        with warnings.catch_warnings(action="ignore"):  # about styles, extensions, headers of Python 2
            yield
    except DataError:
        raise
    except ImportError:
        raise DataError(f"{what} needs more packages: pip install 'abruptlab[tables]'") from None
    except Exception as error:  # a damaged file makes its reader raise anything
        raise DataError(f"damaged {what} file: {' '.join(str(error).split())[:100]}") from None


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
