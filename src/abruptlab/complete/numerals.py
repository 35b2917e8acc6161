"""Numbers as people write them into cells: read, and written alike."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from abruptlab.errors import DataError

DIGITS = 4  # an entry of typical size is written with so many at least
MEANT = 17  # digits that a number in the computer can have
LONGEST = 40  # characters of a cell that are shown
MISSING = frozenset(
    ("", "na", "n/a", "<na>", "#n/a", "#na", "nan", "+nan", "-nan", "null", "none", "missing", "-", "--", ".", "?")
)
_NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_INFINITY = re.compile(r"[+-]?(?:inf(?:inity)?|∞)", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)  # or three decimals: 1,234
_FRACTION = re.compile(r"[.,](\d*)", re.ASCII)


@dataclass(frozen=True)
class Notation:
    """How numbers are written."""

    decimals: int
    scientific: bool
    mark: str  # the decimal mark

    def write(self, value: float) -> str:
        """`value` with that many decimals."""
        return f"{value:z.{self.decimals}{'e' if self.scientific else 'f'}}".replace(".", self.mark)


def is_missing(cell: str) -> bool:
    """Whether a cell says that its entry is missing."""
    return cell.lower() in MISSING


def is_number(cell: str) -> bool:
    """Whether a cell is a number, finite or not, with either decimal mark."""
    return bool(_NUMBER.fullmatch(cell) or _INFINITY.fullmatch(cell))


def shown(cell: str) -> str:
    """A cell in a message: on one line, not too long."""
    text = cell if len(cell) <= LONGEST else cell[: LONGEST - 1] + "…"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def read_numbers(
    cells: Sequence[Sequence[str]], place: Callable[[int, int], str], separator: str
) -> tuple[Float[np.ndarray, "m n"], Notation]:
    """The numbers in a table of cells, NaN where missing, and how they are written.

    A comma is a decimal mark where it does not separate cells. Raises `DataError`, with the `place` of the cell, for
    one that is neither a finite number nor missing, and for both decimal marks in one table.
    """
    values = np.full((len(cells), len(cells[0])), np.nan)
    marked: dict[str, tuple[int, int]] = {}  # decimal mark → the first cell that has it
    decimals, scientific, thousands = 0, False, True
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            if is_missing(cell):
                continue
            if not _NUMBER.fullmatch(cell) or (separator == "," and "," in cell):
                raise DataError(_refusal(cell, place(i, j), separator))
            values[i, j] = float(cell.replace(",", "."))
            if math.isinf(values[i, j]):
                raise DataError(_refusal(cell, place(i, j), separator))
            if fraction := _FRACTION.search(cell):
                marked.setdefault(cell[fraction.start()], (i, j))
                decimals = max(decimals, len(fraction[1]))
                thousands &= bool(_THOUSANDS.fullmatch(cell))
            scientific |= "e" in cell or "E" in cell
    if len(marked) == 2:
        point, comma = (place(*marked[mark]) for mark in ".,")
        raise DataError(f"expected one decimal mark, got a point in {point} and a comma in {comma}")
    if separator == "\t" and thousands and "," in marked:
        i, j = marked[","]
        raise DataError(f"{place(i, j)}: {cells[i][j]} may be a decimal number or thousands: write it without a comma")
    return values, Notation(_enough(values, decimals, scientific), scientific, "," if "," in marked else ".")


def _enough(values: Float[np.ndarray, "m n"], decimals: int, scientific: bool) -> int:
    """The decimals of the most precise cell, or more where an entry of typical size would have too few digits."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    first = 0 if scientific or not len(sizes) else math.floor(math.log10(np.median(sizes)))  # digit of a typical entry
    return max(0, min(max(decimals, DIGITS - 1 - first), MEANT - 1 - first))


def _refusal(cell: str, place: str, separator: str) -> str:
    if _NUMBER.fullmatch(cell) and "," in cell:
        return f"{place}: expected a number, got {shown(cell)}: a comma within a number needs ; or tabs between cells"
    if is_number(cell):
        return f"{place}: expected a finite number, got {shown(cell)}"
    return f"{place}: expected a number or an empty cell, got '{shown(cell)}'"
