"""A matrix among the cells of a grid: a table of its rows, or a list of its entries."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from abruptlab.complete.grid import Grid
from abruptlab.complete.numerals import ANYWHERE, Notation, Range


@dataclass(frozen=True)
class GridTable:
    """A matrix each of whose entries has a cell. Rows and columns count from 1, the header among them."""

    values: Float[np.ndarray, "m n"]  # NaN where missing
    grid: Grid
    lines: Int[np.ndarray, "m n"]  # of the grid, in which the entries stand
    columns: list[int]  # of the grid, for each of the matrix
    textual: list[bool]  # whether the numbers of each are texts
    notation: Notation
    layout: str  # what was recognised, in words
    row_names: list[str]
    column_names: list[str]
    row_place: Callable[[int], str]  # where a row stands, in words
    column_place: Callable[[int], str]

    def number(self, value: float, decimals: int | None = None, within: Range = ANYWHERE) -> str:
        return self.notation.write(value, decimals, within)

    def filled(
        self, completed: Float[np.ndarray, "m n"], decimals: int | None = None, within: Range = ANYWHERE
    ) -> bytes:
        cells = self.grid.cells.copy()
        for i, j in np.argwhere(np.isnan(self.values)).tolist():
            value = float(completed[i, j])
            written = self.number(value, decimals, within) if self.textual[j] else value
            cells[self.lines[i, j], self.columns[j]] = written
        return self.grid.save(cells)
