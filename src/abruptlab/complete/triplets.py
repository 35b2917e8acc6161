"""A matrix as a list of its entries: row, column, value, as recommender systems keep ratings."""

from dataclasses import replace

import numpy as np

from abruptlab.complete.grid import Grid, is_textual, name_of
from abruptlab.complete.gridtable import GridTable
from abruptlab.complete.numerals import is_number, shown
from abruptlab.complete.reading import Reading
from abruptlab.errors import DataError

MOST_ENTRIES = 1_000_000  # more than any method completes


def read_triplets(grid: Grid, given: Reading) -> GridTable:
    """The matrix in the three columns of a grid that are not skipped, its rows and columns in the order in which they
    come first. An entry without a line gets one, after the others.

    Raises `DataError` for another number of columns, and for an entry given twice.
    """
    texts, kept = grid.texts(given.missing), grid.kept(given.skip, given.header)
    if len(kept) > 3 and grid.indexed and not name_of(grid.cells[0, 0]):  # it counts the lines
        kept = [column for column in kept if column > 0]
    if len(kept) != 3:
        hint = ": say --skip for each other one" if len(kept) > 3 else ""
        raise DataError(f"--triplets: expected three columns (row, column, value), got {len(kept)}{hint}")
    value = kept[2]
    named = texts[0][value] != "" and not is_number(texts[0][value])
    header = grid.headed or (named if given.header is None else given.header)
    rows: dict[str, int] = {}
    columns: dict[str, int] = {}
    entries: dict[tuple[int, int], int] = {}  # row and column of the matrix → line of the grid
    for line in range(header, len(texts)):
        row, column = (name_of(cell) for cell in grid.cells[line][kept[:2]])  # NA may be a name
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
    numbers, notation, note = grid.numbers(texts, header, [value], given.missing)
    lines = np.full((len(rows), len(columns)), len(texts))
    values = np.full(lines.shape, np.nan)
    i, j = np.array([*entries]).T
    lines[i, j], values[i, j] = [*entries.values()], numbers[:, 0]
    absent = np.argwhere(lines == len(texts)).T
    added = np.full((absent.shape[1], len(texts[0])), "" if grid.textual else None, dtype=object)
    for side, column in enumerate(kept[:2]):  # names as the file has them first
        added[:, column] = grid.cells[lines.min(1 - side)[absent[side]], column]
    lines[*absent] += np.arange(len(added))
    row_names, column_names = list(rows), list(columns)
    return GridTable(
        values,
        replace(grid, cells=np.concatenate([grid.cells, added])),
        lines,
        [value] * len(columns),
        [is_textual(grid.cells[header:, value][~np.isnan(numbers[:, 0])])] * len(columns),
        notation,
        f"{grid.layout}{note}, {len(entries):,} triplets, {'a' if header else 'no'} header line",
        row_names,
        column_names,
        lambda i: f"row {shown(row_names[i])}",
        lambda j: f"column {shown(column_names[j])}",
    )
