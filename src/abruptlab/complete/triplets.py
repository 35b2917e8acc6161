"""A matrix as a list of its entries: row, column, value, as recommender systems keep ratings."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from abruptlab.complete.grid import Grid, name_of
from abruptlab.complete.numerals import ANYWHERE, Notation, Range, is_number, read_numbers, shown
from abruptlab.complete.reading import Reading
from abruptlab.errors import DataError

MOST_ENTRIES = 1_000_000  # more than any method completes


@dataclass(frozen=True)
class TripletTable:
    """A matrix whose rows and columns come in the order in which the list first has them."""

    values: Float[np.ndarray, "m n"]  # NaN where the list has no value
    grid: Grid
    columns: list[int]  # of the grid, that hold row, column and value
    header: bool
    row_names: list[str]
    column_names: list[str]
    entries: dict[tuple[int, int], int]  # row and column of the matrix → line of the grid
    notation: Notation

    @property
    def layout(self) -> str:
        return f"{self.grid.layout}, {len(self.entries):,} triplets, {'a' if self.header else 'no'} header line"

    def row_place(self, i: int) -> str:
        return f"row {shown(self.row_names[i])}"

    def column_place(self, j: int) -> str:
        return f"column {shown(self.column_names[j])}"

    def number(self, value: float, decimals: int | None = None, within: Range = ANYWHERE) -> str:
        return self.notation.write(value, decimals, within)

    def filled(
        self, completed: Float[np.ndarray, "m n"], decimals: int | None = None, within: Range = ANYWHERE
    ) -> bytes:
        """The list with missing values filled in and, at its end, a line for every entry that it does not have."""
        cells = self.grid.cells.tolist()
        row, column, value = self.columns
        empty = ["" if self.grid.textual else None] * len(cells[0])
        names: list[dict[int, object]] = [{}, {}]  # as the file has them
        for places, line in self.entries.items():
            for side in (0, 1):
                names[side].setdefault(places[side], cells[line][self.columns[side]])
        for i, j in np.argwhere(np.isnan(self.values)).tolist():
            number = float(completed[i, j])
            if (i, j) not in self.entries:
                cells.append([*empty])
                cells[-1][row], cells[-1][column] = names[0][i], names[1][j]
            line = self.entries.get((i, j), -1)
            cells[line][value] = self.number(number, decimals, within) if self.grid.textual else number
        return self.grid.save(np.array(cells, dtype=object))


def read_triplets(grid: Grid, given: Reading) -> TripletTable:
    """The matrix in the three columns of a grid that are not skipped.

    Raises `DataError` for another number of columns, and for an entry given twice.
    """
    texts, columns_kept = grid.texts(given.missing), grid.kept(given.skip, given.header)
    if len(columns_kept) > 3 and grid.indexed and not name_of(grid.cells[0, 0]):  # it counts the lines
        columns_kept = [column for column in columns_kept if column > 0]
    if len(columns_kept) != 3:
        hint = ": say --skip for each other one" if len(columns_kept) > 3 else ""
        raise DataError(f"--triplets: expected three columns (row, column, value), got {len(columns_kept)}{hint}")
    value = columns_kept[2]
    header = grid.headed or (given.header if given.header is not None else not _is_value(texts[0][value]))
    rows: dict[str, int] = {}
    columns: dict[str, int] = {}
    entries: dict[tuple[int, int], int] = {}
    for line in range(header, len(texts)):
        row, column = (name_of(cell) for cell in grid.cells[line][columns_kept[:2]])  # NA may be a name
        if not row or not column:
            raise DataError(f"row {grid.lines[line]}: expected the names of a row and a column, got an empty cell")
        places = rows.setdefault(row, len(rows)), columns.setdefault(column, len(columns))
        if places in entries:
            before = grid.lines[entries[places]]
            raise DataError(
                f"row {grid.lines[line]}: {shown(row)}, {shown(column)} has a value in row {before} already"
            )
        entries[places] = line
    if len(rows) * len(columns) > MOST_ENTRIES:
        raise DataError(
            f"expected a matrix of at most {MOST_ENTRIES:,} entries, "
            f"got {len(rows):,} rows and {len(columns):,} columns"
        )
    if not entries:
        raise DataError("expected triplets, got nothing but names")

    def place(i: int, j: int) -> str:
        return f"row {grid.lines[header + i]}, column {value + 1}"

    numbers, notation = read_numbers([[row[value]] for row in texts[header:]], place, grid.marks, given.missing)
    grid = grid.noting(given.missing, header, [value], int(np.isnan(numbers).sum()))
    values = np.full((len(rows), len(columns)), np.nan)
    for (i, j), line in entries.items():
        values[i, j] = numbers[line - header, 0]
    return TripletTable(values, grid, columns_kept, header, list(rows), list(columns), entries, notation)


def _is_value(text: str) -> bool:
    return not text or is_number(text)
