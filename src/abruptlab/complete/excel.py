"""A sheet of an Excel workbook as a grid of cells, read and written by pandas."""

import io
from datetime import time, timedelta
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from abruptlab.complete.grid import MISSING, Grid, cell_text, without_blank
from abruptlab.complete.numerals import shown
from abruptlab.complete.reading import Reading, choose, reading
from abruptlab.errors import DataError


def read_excel(data: bytes, given: Reading) -> Grid:
    """A sheet of an Excel workbook; it is saved as a workbook of that sheet alone. Raises `DataError`."""
    with reading("Excel"), pd.ExcelFile(io.BytesIO(data), engine="openpyxl") as book:
        sheet = choose("sheets", [str(name) for name in book.sheet_names], given.sheet)
        frame: Any = book.parse(sheet, header=None, dtype=object, na_filter=False)
        _require_values(data, sheet, book.book[sheet])
    read = frame.to_numpy(dtype=object).tolist()
    cells, lines = without_blank([[None if cell_text(cell) == "" else cell for cell in row] for row in read])

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
