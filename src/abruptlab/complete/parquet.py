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
            for name, as_it_was in zip(whole.columns, same, strict=True):
                if as_it_was and name in stored.column_names and pa.types.is_nested(stored.schema.field(name).type):
                    columns[name] = [None] * len(whole)  # pandas cannot write all of these; they are put back below
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
