"""Matrices in NPY and NPZ files, of which nothing is executed."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from abruptlab.complete.numerals import ANYWHERE, Range
from abruptlab.complete.reading import choose, reading
from abruptlab.errors import DataError

NPY = b"\x93NUMPY"


@dataclass(frozen=True)
class ArrayTable:
    """A matrix in an array file. Rows and columns count from 1, as in other tables."""

    values: Float[np.ndarray, "m n"]  # NaN where missing
    array: np.ndarray
    layout: str  # what was recognised, in words
    save: Callable[[bytes], bytes]  # the file with another NPY in it

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

    def number(self, value: float, decimals: int | None = None, within: Range = ANYWHERE) -> str:
        """As it is written into a file, or with `decimals` if it was rounded to so many."""
        return f"{value:.6g}" if decimals is None else f"{value:.{max(0, decimals)}f}"

    def filled(
        self, completed: Float[np.ndarray, "m n"], decimals: int | None = None, within: Range = ANYWHERE
    ) -> bytes:
        """The file with the missing entries filled in, in its own precision and order."""
        array, missing = self.array.copy(order="K"), np.isnan(self.values)
        if missing.any() and array.dtype.kind != "f" and (completed[missing] != completed[missing].round()).any():
            array = _as_float(array, missing)  # whole numbers of which one is a missing value's token
        limits = np.finfo(array.dtype) if array.dtype.kind == "f" else np.iinfo(array.dtype.name)
        if (np.abs(completed[missing]) > limits.max).any() or (completed[missing] < limits.min).any():
            raise DataError(f"the completion has entries beyond the range of {array.dtype}: save the file as float64")
        array[missing] = completed[missing]
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        return self.save(buffer.getvalue())


def _as_float(array: np.ndarray, missing: Bool[np.ndarray, "m n"]) -> Float[np.ndarray, "m n"]:
    """Whole numbers in a type that has others. Raises `DataError` where one that is not missing would change."""
    given = array.astype(np.float64, order="K")
    with np.errstate(invalid="ignore"):  # of what is beyond the largest whole number
        changed = (given.astype(array.dtype) != array) & ~missing
    if changed.any():
        i, j = np.argwhere(changed)[0]
        raise DataError(f"row {i + 1}, column {j + 1}: expected at most 2^53, which float64 holds, got {array[i, j]}")
    return given


def read_npy(data: bytes, token: str | None, name: str = "NPY", save: Callable[[bytes], bytes] = bytes) -> ArrayTable:
    """A matrix in the bytes of an NPY file; entries equal to `token` count as missing. Raises `DataError`."""
    file = io.BytesIO(data)
    with reading(name):
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if dtype.kind not in "fiu":
        what = "Python objects, which are never loaded" if dtype.hasobject else f"dtype {dtype}"
        raise DataError(f"expected real numbers, got {what}")
    if len(shape) != 2 or 0 in shape:
        raise DataError(f"expected a matrix [m, n], got shape {[*shape]}")
    if (wanted := int(np.prod(shape, dtype=object)) * dtype.itemsize) != len(data) - file.tell():
        raise DataError(f"damaged {name} file: expected {wanted} bytes of numbers, got {len(data) - file.tell()}")
    array = np.load(io.BytesIO(data), allow_pickle=False)
    values, layout = array.astype(np.float64), f"{name}, {array.dtype}"
    if token is not None:
        try:
            values[array == float(token)] = np.nan
            layout += "" if np.isnan(values).any() else f", no entry that is {token}"
        except ValueError:
            raise DataError(f"--missing: expected a number for {name}, got {token}") from None
    if np.isinf(values).any():
        i, j = np.argwhere(np.isinf(values))[0]
        raise DataError(f"row {i + 1}, column {j + 1}: expected a finite number, got {array[i, j]}")
    return ArrayTable(values, array, layout, save)


def read_npz(data: bytes, token: str | None, array: str | None, largest: int) -> ArrayTable:
    """The array of that name, or the only one, of an NPZ file; the others are saved as they are. Raises `DataError`."""
    with reading("NPZ"), zipfile.ZipFile(io.BytesIO(data)) as file:
        member = choose("arrays", [name.removesuffix(".npy") for name in file.namelist()], array) + ".npy"
        if file.getinfo(member).file_size > largest:
            raise DataError(f"expected an array of at most {largest / 1e6:.0f} MB, got a larger one")
        content = file.read(member)
        if (damaged := file.testzip()) is not None:  # another, which is to be saved with it
            raise DataError(f"damaged NPZ file: its array {damaged.removesuffix('.npy')} cannot be read")

    def save(npy: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
            for info in old.infolist():
                new.writestr(info, npy if info.filename == member else old.read(info))
        return buffer.getvalue()

    return read_npy(content, token, "NPZ", save)
