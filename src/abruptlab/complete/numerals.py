"""Numbers as people write them into cells: which mark is the decimal one, and how to write more alike."""

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from abruptlab.errors import DataError

DIGITS = 4  # an entry of typical size is written with so many at least
MEANT = 17  # digits that a number in the computer can have
Range = tuple[float, float]  # the least and the largest value
ANYWHERE: Range = (-math.inf, math.inf)
LONGEST = 40  # characters of a cell that are shown
_LIKE_NUMERALS = ("Pd", "Sm", "Zs", "Nd", "Cf")  # dashes, signs, spaces, digits, what is not seen
_INFINITY = re.compile(r"[+-]?(?:inf(?:inity)?|∞)", re.IGNORECASE)


def _written_with(mark: str, thousands: str) -> re.Pattern[str]:
    whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{thousands}\d{{3}})+)"
    return re.compile(rf"[+-]?(?:{whole}(?:{mark}\d*)?|{mark}\d+)(?:[eE][+-]?\d+)?", re.ASCII)


NUMBERS = {".": _written_with(r"\.", ","), ",": _written_with(",", r"\.")}  # by the decimal mark


@dataclass(frozen=True)
class Notation:
    """How numbers are written."""

    decimals: int
    scientific: bool
    mark: str  # the decimal mark

    def write(self, value: float, decimals: int | None = None, within: Range = ANYWHERE) -> str:
        """`value` with that many decimals, or with `decimals`, and no exponent, if it was rounded to so many; with more
        where it would leave the bounds `within` which it lies."""
        scientific, places = (self.scientific, self.decimals) if decimals is None else (False, max(0, decimals))
        several = (f"{value:z.{enough}{'e' if scientific else 'f'}}" for enough in range(places, places + MEANT))
        written = next((one for one in several if within[0] <= float(one) <= within[1]), repr(value))
        return written.replace(".", self.mark)


def is_number(cell: str) -> bool:
    """Whether a cell is a number, finite or not, with either decimal mark."""
    return any(pattern.fullmatch(cell) for pattern in NUMBERS.values()) or bool(_INFINITY.fullmatch(cell))


def readings(cell: str) -> str:
    """The two numbers that a cell may be, with a point or a comma as the decimal mark; empty if it is one alone."""
    numbers = [number for mark in NUMBERS if (number := _number(cell, mark)) is not None]
    return " or ".join(f"{number:g}" for number in numbers) if len(numbers) > 1 and {".", ","} & {*cell} else ""


def shown(cell: str, longest: int = LONGEST) -> str:
    """A cell in a message: on one line, not too long."""
    text = cell if len(cell) <= longest else cell[: longest - 1] + "…"
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def read_numbers(
    cells: Sequence[Sequence[str]], place: Callable[[int, int], str], marks: Sequence[str], token: str | None = None
) -> tuple[Float[np.ndarray, "m n"], Notation]:
    """The numbers in a table of cells, NaN where a cell is empty or is the number `token`, and how they are written
    with one of `marks`, which the token may have or a point.

    Raises `DataError`, with the `place` of the cell, for one that is no finite number, if no mark suits all cells, and
    if two do that give different numbers: 1.600 is 1.6 or 1600.
    """
    known = [(i, j, cell) for i, row in enumerate(cells) for j, cell in enumerate(row) if cell]
    unknown = {mark: _of_token(token, mark) for mark in NUMBERS} if token else {}
    # who wrote the others had a mark of their own
    telling = [entry for entry in known if not any(_number(entry[2], mark) == said for mark, said in unknown.items())]
    misfits: dict[str, tuple[int, int, str]] = {}  # mark → the first cell that is no number with it
    for mark in marks:
        fits = NUMBERS[mark].fullmatch
        misfit = next((entry for entry in telling if not fits(entry[2])), None)
        if misfit:
            misfits[mark] = misfit
    suiting = [mark for mark in marks if mark not in misfits]
    if not suiting:
        raise DataError(_refusal(misfits, place))
    mark = suiting[0]
    values = np.full((len(cells), len(cells[0])), np.nan)
    decimals, digits, scientific = 0, 0, False
    for i, j, cell in known:
        number = _number(cell, mark)
        if number is None or number == unknown.get(mark):  # -999 and -999.0
            continue
        if len(suiting) > 1 and (may_be := readings(cell)):
            raise DataError(f"{place(i, j)}: {shown(cell)} may be {may_be}: say --decimal . or --decimal ,")
        if math.isinf(number):
            raise DataError(f"{place(i, j)}: expected a finite number, got {shown(cell)}")
        values[i, j] = number
        mantissa, _, power = cell.lower().partition("e")
        decimals = max(decimals, len(mantissa.partition(mark)[2]))
        digits = max(digits, len(re.sub(r"\D", "", mantissa).lstrip("0")))
        scientific |= bool(power)
    return values, Notation(_enough(values, digits - 1 if scientific else decimals, scientific), scientific, mark)


def _of_token(token: str, mark: str) -> float:
    """The number that a token says with a decimal mark, else with a point; NaN, which no cell is, if it says none."""
    numbers = (_number(token, each) for each in (mark, "."))
    return next((number for number in numbers if number is not None), math.nan)


def _number(cell: str, mark: str) -> float | None:
    """What a cell says with a decimal mark; None if that is no number."""
    thousands = "," if mark == "." else "."
    return float(cell.replace(thousands, "").replace(mark, ".")) if NUMBERS[mark].fullmatch(cell) else None


def _enough(values: Float[np.ndarray, "m n"], decimals: int, scientific: bool) -> int:
    """The decimals of the most precise cell, or more where an entry of typical size would have too few digits."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    first = 0 if scientific or not len(sizes) else math.floor(math.log10(np.median(sizes)))  # digit of a typical entry
    return max(0, min(max(decimals, DIGITS - 1 - first), MEANT - 1 - first))


def _refusal(misfits: dict[str, tuple[int, int, str]], place: Callable[[int, int], str]) -> str:
    for i, j, cell in misfits.values():
        if _INFINITY.fullmatch(cell):
            return f"{place(i, j)}: expected a finite number, got {shown(cell)}"
        if not is_number(cell) or len(misfits) == 1:
            hint = "see --header and --index for names, --skip for other columns, --missing for a word that says so"
            hint += "; a title above the table has to go" if i < 2 else ""  # below it, or a header
            strange = [char for char in cell if not char.isascii() and unicodedata.category(char) in _LIKE_NUMERALS]
            if strange and any(map(str.isdigit, cell)):
                name = unicodedata.name(strange[0], repr(strange[0])).lower()
                hint = f"the {name} in it is none of the ASCII characters that numbers are made of"
            return f"{place(i, j)}: expected a number or an empty cell, got '{shown(cell)}' ({hint})"
    point, comma = (place(*misfits[mark][:2]) for mark in ",.")  # what does not suit the one has the other
    return f"expected one decimal mark, got a point in {point} and a comma in {comma}"
