"""A matrix in a file: read, and the same file with the missing entries filled in."""

import io
import stat
import sys
import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np

from abruptlab.complete.arrays import NPY, ArrayTable, read_npy, read_npz
from abruptlab.complete.excel import read_excel
from abruptlab.complete.grid import Grid, is_textual, name_of
from abruptlab.complete.gridtable import GridTable
from abruptlab.complete.labels import find_labels
from abruptlab.complete.numerals import shown
from abruptlab.complete.parquet import read_parquet
from abruptlab.complete.reading import Reading
from abruptlab.complete.text import SEPARATORS, read_text
from abruptlab.complete.triplets import read_triplets
from abruptlab.errors import DataError
from abruptlab.system.files import write_atomically

LARGEST = 50_000_000  # bytes: a million entries, more than any method completes, of 50 bytes each
UNPACKED = 10 * LARGEST  # bytes that an Excel file may hold
STREAM = Path("-")  # standard input or output
_STRANGERS = {  # how files begin that hold no table for us
    b"\xd0\xcf\x11\xe0": "an old Excel file: save it as .xlsx",
    b"\x1f\x8b": "a compressed file: unpack it",
    b"%PDF": "a PDF",
}


_NAMES = {"text": "text", "xlsx": "Excel", "parquet": "Parquet", "npy": "NPY", "npz": "NPZ"}
_ENDINGS = {  # of names that promise a format
    **{f".{kind}": kind for kind in ("xlsx", "parquet", "npy", "npz")},
    **dict.fromkeys((".csv", ".tsv", ".txt"), "text"),
}
_KNOWN = {  # of each format: what can be said of it
    "text": {"header", "index", "missing", "encoding", "separator", "decimal", "triplets", "skip"},
    "xlsx": {"header", "index", "missing", "sheet", "triplets", "skip"},
    "parquet": {"index", "missing", "triplets", "skip"},
    "npy": {"missing"},
    "npz": {"missing", "sheet"},
}


Table = ArrayTable | GridTable  # a matrix with the names of its rows and columns, in any format


def read_table(path: Path, given: Reading | None = None) -> Table:
    """The matrix in a file, or in standard input for `-`. Raises as `parse_table` does, with the path before it."""
    try:
        data = _standard_input() if path == STREAM else _bytes_of(path)
        table = parse_table(data, given)
        promised, kind = _ENDINGS.get(path.suffix.lower()), _kind(data)
        if promised not in (None, kind):  # or the completed file would have the wrong name, too
            raise DataError(f"expected {_NAMES[promised]}, as its name says, got {_NAMES[kind]}: give it another name")
        return table
    except DataError as error:
        raise DataError(f"{'standard input' if path == STREAM else path}: {error}") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None


def parse_table(data: bytes, given: Reading | None = None) -> Table:
    """The matrix in the bytes of a file, of which every row and column has an observed entry.

    The format is recognised by the bytes. Raises `DataError`, in one line that says where, for what is no matrix, and
    for what may be read in two ways.
    """
    given = given or Reading()
    if len(data) > LARGEST:
        raise DataError(f"expected at most {LARGEST / 1e6:.0f} MB, got more")
    table = _recognise(data, given)
    _check(table)
    return table


def is_workbook(table: Table) -> bool:
    """Whether a table is a sheet of an Excel workbook, whatever its file is called."""
    return table.layout.startswith("Excel")


def write_table(content: bytes, path: Path, like: Path) -> None:
    """Write a table to a file, or to standard output for `-`, whole or not at all.

    A link is followed. A file that is there keeps its mode, a new one has that of the file `like`. Raises `DataError`,
    also for a name that promises another format.
    """
    promised, kind = _ENDINGS.get(path.suffix.lower()), _kind(content)
    if promised not in (None, kind):  # only of standard input nobody knew it before
        raise DataError(f"--out: expected a name for {_NAMES[kind]}, which the table is, got {path.name}")
    try:
        if path == STREAM:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            return
        target = path.resolve()
        model = target if target.exists() else like
        mode = stat.S_IMODE(model.stat().st_mode) if model != STREAM else None
        write_atomically(target, content, mode)
    except BrokenPipeError:  # who reads has enough
        raise
    except OSError as error:
        place = "to standard output" if path == STREAM else path
        raise DataError(f"cannot write {place}: {error.strerror or error}") from None


def as_completed(path: Path) -> Path:
    """Where the completion of a file goes by default: scores.csv → scores.completed.csv, - → -."""
    return path if path == STREAM else path.with_name(f"{path.stem}.completed{path.suffix}")


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise DataError("expected a table, got a stream that is closed")
    return sys.stdin.buffer.read(LARGEST + 1)


def _bytes_of(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device (for a pipe, say -)"
        raise DataError(f"expected a file, got {kind}")
    if status.st_size > LARGEST:
        raise DataError(f"expected at most {LARGEST / 1e6:.0f} MB, got {status.st_size / 1e6:,.0f} MB")
    return path.read_bytes()


def _recognise(data: bytes, given: Reading) -> Table:
    for beginning, what in _STRANGERS.items():
        if data.startswith(beginning):
            raise DataError(f"expected text, Excel, Parquet, NPY or NPZ, got {what}")
    kind = _kind(data)
    known = _KNOWN[kind] - ({"index"} if given.triplets else set())
    for field in fields(Reading):
        if getattr(given, field.name) != field.default and field.name not in known:
            what = "a list of triplets" if given.triplets and field.name in _KNOWN[kind] else _NAMES[kind]
            raise DataError(f"--{field.name}: {what} has no such thing")
    if kind == "npy":
        return read_npy(data, given.missing)
    if kind == "npz":
        return read_npz(data, given.missing, given.sheet, LARGEST)
    grid = {"parquet": read_parquet, "xlsx": read_excel, "text": read_text}[kind](data, given)
    return read_triplets(grid, given) if given.triplets else _read_grid(grid, given)


def _kind(data: bytes) -> str:
    if data.startswith(NPY):
        return "npy"
    if data.startswith(b"PAR1"):
        return "parquet"
    if not data.startswith(b"PK\x03\x04"):
        return "text"
    try:
        members = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except zipfile.BadZipFile:
        raise DataError("damaged zip file (Excel and NPZ are such)") from None
    names = [member.filename for member in members]
    if "xl/workbook.xml" in names and sum(member.file_size for member in members) <= UNPACKED:
        return "xlsx"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    raise DataError("expected text, Excel, Parquet, NPY or NPZ, got another zip file or one that is too large")


def _read_grid(grid: Grid, given: Reading) -> GridTable:
    texts = grid.texts(given.missing)
    # a whole number that says that an entry is missing may be a name all the same
    labels = grid.texts(None if (given.missing or "").isdecimal() else given.missing)
    kept = grid.kept(given.skip, given.header)
    if given.index and given.index is not True and given.index - 1 not in kept:
        skipped = " that is not skipped" if given.skip else ""
        raise DataError(f"--index: expected a column from 1 to {len(texts[0])}{skipped}, got {given.index}")
    # the column that holds the names, if one does; of `True` the first that is left
    first = given.index - 1 if given.index and given.index - 1 in kept else next(iter(kept), 0)
    others = [j for j in kept if j != first]
    index = (True if grid.indexed and first == 0 else None) if given.index is None else given.index > 0
    lines = [[row[j] for j in (first, *others)] for row in labels]
    header, named = find_labels(lines, grid.headed or given.header, index, f"column {first + 1}")
    columns = others if named else kept
    if len(texts) == header or not columns:
        given_one = given.separator and SEPARATORS.get(given.separator, repr(given.separator))
        separators = given_one or "tabs, semicolons or commas"
        raise DataError(f"expected numbers in cells separated by {separators}, got nothing but names")
    values, notation, note = grid.numbers(texts, header, columns, given.missing)
    names = [[name_of(cell) for cell in row] for row in grid.cells.tolist()]  # which may be NA
    row_names = [row[first] if named else str(i + 1) for i, row in enumerate(names[header:])]

    def row_place(i: int) -> str:
        return f"row {grid.lines[header + i]}" + (f" ({shown(row_names[i])})" if named else "")

    def place_of(column: int) -> str:
        return f"column {column + 1}" + (f" ({shown(names[0][column])})" if header else "")

    layout = f"{grid.layout}{note}, {'a' if header else 'no'} header line, {'a' if named else 'no'} column of row names"
    left = {*range(len(names[0]))} - {*columns} - ({first} if named else set())
    known = ~np.isnan(values)
    return GridTable(
        values,
        grid,
        header + np.indices(values.shape)[0],
        columns,
        [is_textual(grid.cells[header:, j][known[:, k]]) for k, j in enumerate(columns)],
        notation,
        layout + "".join(f", without {place_of(column)}" for column in sorted(left)),
        row_names,
        [names[0][j] if header else str(k + 1) for k, j in enumerate(columns)],
        row_place,
        lambda j: place_of(columns[j]),
    )


def _check(table: Table) -> None:
    """Nothing can tell the values of a row or column of which none is known."""
    missing = np.isnan(table.values)
    if missing.all():
        raise DataError(f"expected some observed entries, got missing ones only ({table.layout})")
    for what, blank, place in (
        ("row", missing.all(1), table.row_place),
        ("column", missing.all(0), table.column_place),
    ):
        if blank.any():
            first = place(int(blank.argmax()))
            raise DataError(
                f"{first}: every entry of this {what} is missing, so that nothing can tell its values: fill one in or "
                f"remove the {what}"
            )
