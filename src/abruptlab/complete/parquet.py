"""A Parquet file as a grid of cells, read and written by pandas and Arrow."""

import io
from typing import Any

import numpy as np
import pandas as pd

from abruptlab.complete.grid import Grid
from abruptlab.complete.numerals import shown
from abruptlab.complete.reading import Reading, reading
from abruptlab.errors import DataError

_INDEX = "\0index"  # the name of an index while it is a column


def read_parquet(data: bytes, given: Reading) -> Grid:
    """A Parquet file, whose columns have names; it is saved with the types of its columns, and those in which nothing
    was filled in as they were. Raises `DataError`."""
    stored, frame = _frame_of(data)
    import pyarrow as pa  # which is there now
    import pyarrow.parquet as pq

    if frame.index.nlevels > 1:
        raise DataError(f"expected an index of one level, got one of {frame.index.nlevels}: reset it before saving")
    named = not isinstance(frame.index, pd.RangeIndex)
    whole = frame.reset_index(names=_INDEX) if named else frame  # which may have the name of a column
    header = [str(name) for name in whole.columns]
    if named:
        header[0] = "" if frame.index.name is None else str(frame.index.name)
    cells = np.array([header, *whole.astype(object).to_numpy().tolist()], dtype=object)

    def save(filled: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        same = {
            name
            for name, *sides in zip(whole.columns, filled.T, cells.T, strict=True)
            if len(filled) == len(cells) and all(one is other for one, other in zip(*sides, strict=True))
        }
        kept = [field for field in stored.schema if field.name in same]
        try:
            result = pd.DataFrame(
                {
                    name: whole[name].array if name in same else _typed(column[1:], whole[name].dtype)
                    for name, column in zip(whole.columns, filled.T, strict=True)
                }
                # pandas cannot write all of these, which are put back below
                | {field.name: [None] * len(whole) for field in kept if pa.types.is_nested(field.type)}
            )
            if named:
                result = result.set_index(whole.columns[0]).rename_axis(frame.index.name)
            if len(result) == len(frame):
                result.index = result.index if named else frame.index
            elif not named or pd.isna(filled[-1, 0]):  # a list of triplets has grown, whose index counts its lines
                result = result.reset_index(drop=True)
            table = pa.Table.from_pandas(result)
            for field in kept:
                table = table.set_column(table.column_names.index(field.name), field, stored[field.name])
            pq.write_table(table, buffer)
        except (TypeError, ValueError, OverflowError) as error:
            why = str(error).partition("\n")[0]
            raise DataError(f"the completion does not fit the types of the columns: {why}") from None
        return buffer.getvalue()

    grid = Grid(cells, "Parquet", save, headed=True, indexed=named, lines=list(range(len(cells))))
    read = whole.columns[grid.kept(given.skip, True)]
    for field in stored.schema:
        if field.name in read and pa.types.is_decimal(field.type):
            raise DataError(f"column {shown(field.name)}: expected numbers, got {field.type}: store it as double")
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


def _typed(cells: np.ndarray, dtype: Any) -> Any:
    """A column in the type that it had, or where it lacks some now, in pandas' own that can; one of whole numbers only
    if what was filled in is whole too."""
    values, there = cells.tolist(), cells[pd.notna(cells)]
    lacking = len(there) < len(cells)
    if isinstance(dtype, pd.CategoricalDtype) and any(cell not in dtype.categories for cell in there):
        dtype = dtype.categories.dtype  # what was filled in is none of them
    if lacking and isinstance(dtype, np.dtype) and dtype.kind in "iub":
        dtype = pd.array(np.zeros(1, dtype)).dtype
    if pd.api.types.is_integer_dtype(dtype):
        if any(isinstance(cell, float) and not cell.is_integer() for cell in there):
            dtype = pd.Float64Dtype() if lacking else np.dtype("float64")
        else:
            values = [None if pd.isna(cell) else int(cell) for cell in cells]
    with np.errstate(over="ignore"):
        column = pd.array(values, dtype=dtype)
    if pd.api.types.is_float_dtype(dtype) and np.isinf(column.to_numpy(float, na_value=np.nan)).any():
        raise OverflowError(f"an entry is beyond the range of {dtype}")
    return column
