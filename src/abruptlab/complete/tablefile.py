"""A matrix in a file: CSV, TSV or NPY in, and the same with the missing entries filled in out."""

import codecs
import io
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from abruptlab.complete.delimited import TextTable, read_text
from abruptlab.errors import DataError
from abruptlab.system.files import write_atomically

LARGEST = 50_000_000  # bytes: a million entries, more than any method completes, of 50 bytes each
NPY = b"\x93NUMPY"
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_STRANGERS = {  # how files begin that are neither text nor NPY
    b"PK\x03\x04": "an Excel, OpenDocument or zip file: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save the sheet as CSV",
    b"\x1f\x8b": "a compressed file: unpack it",
    b"%PDF": "a PDF",
}


@dataclass(frozen=True)
class ArrayTable:
    """A matrix in an NPY file. Rows and columns count from 1, as in text."""

    array: np.ndarray

    @property
    def values(self) -> Float[np.ndarray, "m n"]:
        """The matrix, NaN where missing."""
        return self.array.astype(np.float64)

    @property
    def layout(self) -> str:
        return f"NPY, {self.array.dtype}"

    @property
    def row_names(self) -> list[str]:
        return [str(i + 1) for i in range(self.array.shape[0])]

    @property
    def column_names(self) -> list[str]:
        return [str(j + 1) for j in range(self.array.shape[1])]

    def row_place(self, i: int) -> str:
        """Where row i stands, in words."""
        return f"row {i + 1}"

    def column_place(self, j: int) -> str:
        """Where column j stands, in words."""
        return f"column {j + 1}"

    def number(self, value: float) -> str:
        """A number as it is shown."""
        return f"{value:.6g}"

    def filled(self, completed: Float[np.ndarray, "m n"]) -> bytes:
        """The file with the missing entries filled in, in its own precision and order."""
        array = self.array.copy(order="K")
        missing = np.isnan(array)
        with np.errstate(over="ignore"):
            array[missing] = completed[missing]
        if np.isinf(array).any():
            raise DataError(f"the completion has entries beyond the range of {array.dtype}: save the file as float64")
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        return buffer.getvalue()


@dataclass(frozen=True)
class TableFile:
    """What a file with a matrix in it holds."""

    table: TextTable | ArrayTable
    encoding: str = ""  # of text
    mark: bytes = b""  # the byte order mark that it begins with

    def filled(self, completed: Float[np.ndarray, "m n"]) -> bytes:
        """The file with its missing entries filled in; all else stays as it is, byte for byte."""
        content = self.table.filled(completed)
        return self.mark + content.encode(self.encoding) if isinstance(content, str) else content

    def write(self, completed: Float[np.ndarray, "m n"], path: Path) -> None:
        """Write `filled` to `path`, whole or not at all. Raises `DataError` if that cannot be done."""
        content = self.filled(completed)
        try:
            write_atomically(path, content)
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def read_table(path: Path, header: bool | None = None, index: bool | None = None) -> TableFile:
    """The matrix in a file; see `parse_table`, whose `DataError` it begins with the path."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
            raise DataError(f"{path}: expected a file, got {kind}")
        if status.st_size > LARGEST:
            size = f"{status.st_size / 1e6:,.0f} MB"
            raise DataError(f"{path}: expected a file of at most {LARGEST / 1e6:.0f} MB, got {size}")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        return parse_table(data, header, index)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def parse_table(data: bytes, header: bool | None = None, index: bool | None = None) -> TableFile:
    """The matrix in the bytes of a file, of which every row and column has an observed entry.

    Text is UTF-8, or UTF-16 with a byte order mark; whether its first line and column are names is recognised unless
    `header`, `index` say it. Raises `DataError`, in one line that says where, for anything else.
    """
    if data.startswith(NPY):
        file = TableFile(_read_npy(data))
    else:
        text, encoding, mark = _decode(data)
        file = TableFile(read_text(text, header, index), encoding, mark)
    _check(file.table)
    return file


def _decode(data: bytes) -> tuple[str, str, bytes]:
    """The text, its encoding, and the byte order mark before it."""
    for beginning, what in _STRANGERS.items():
        if data.startswith(beginning):
            raise DataError(f"expected text or NPY, got {what}")
    mark, encoding = next(((mark, name) for mark, name in _MARKS.items() if data.startswith(mark)), (b"", "utf-8"))
    if encoding == "utf-8" and b"\0" in data:
        raise DataError("expected text or NPY, got a binary file (it has NUL bytes)")
    try:
        text = data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = len(mark) + error.start
        line = data.count(b"\n", 0, at) + 1
        raise DataError(f"line {line}: expected text in UTF-8, got byte 0x{data[at]:02x}: save it as UTF-8") from None
    return text, encoding, mark


def _read_npy(data: bytes) -> ArrayTable:
    file = io.BytesIO(data)
    try:
        with warnings.catch_warnings(action="ignore"):  # about headers of Python 2
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
    except Exception as error:  # the header is a Python literal: a damaged one raises whatever Python's parser does
        raise DataError(f"damaged NPY file: {' '.join(str(error).split())[:100]}") from None
    if dtype.kind not in "fiu":
        what = "Python objects, which are never loaded" if dtype.hasobject else f"dtype {dtype}"
        raise DataError(f"expected real numbers, got {what}")
    if len(shape) != 2 or 0 in shape:
        raise DataError(f"expected a matrix [m, n], got shape {[*shape]}")
    if (wanted := int(np.prod(shape, dtype=object)) * dtype.itemsize) != len(data) - file.tell():
        raise DataError(f"damaged NPY file: expected {wanted} bytes of numbers, got {len(data) - file.tell()}")
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if np.isinf(array).any():
        i, j = np.argwhere(np.isinf(array))[0]
        raise DataError(f"row {i + 1}, column {j + 1}: expected a finite number, got {array[i, j]}")
    return ArrayTable(array)


def _check(table: TextTable | ArrayTable) -> None:
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


def as_completed(path: Path) -> Path:
    """Where the completion of a file goes by default: scores.csv → scores.completed.csv."""
    return path.with_name(f"{path.stem}.completed{path.suffix}")
