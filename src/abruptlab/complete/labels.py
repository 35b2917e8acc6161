"""Whether the first line and the first column of a table are names or entries."""

from collections.abc import Sequence
from itertools import pairwise

from abruptlab.complete.numerals import is_missing, is_number
from abruptlab.errors import DataError

RISING = 3  # so many whole numbers that rise may be years or other names


def find_labels(contents: Sequence[Sequence[str]], header: bool | None, index: bool | None) -> tuple[bool, bool]:
    """Whether there are a header line and a column of row names, as far as that is not given.

    They are where all cells (the corner apart, and missing ones) are text. A line or column of numbers is one of
    names if the corner is empty and the other one is of names, or if both count from 0 (as pandas writes them).
    Raises `DataError` for numbers that may be either: whole ones that rise, under or beside a corner with text.
    """
    corner, top, left = contents[0][0], contents[0][1:], [row[0] for row in contents[1:]]
    has_header = header if header is not None else _are_names(top or [corner], corner)
    has_index = index if index is not None else _are_names(left or ([] if has_header else [corner]), corner)
    if is_missing(corner):
        counted = all(list(names) == [str(at) for at in range(len(names))] for names in (top, left))
        if header is None:
            has_header |= _all_numbers(top) and (has_index or counted)
        if index is None:
            has_index |= _all_numbers(left) and has_header
    elif not is_number(corner):
        if header is None and has_index and not has_header and _rise(top):
            _ask("line 1", "a header line", top, "header")
        if index is None and has_header and not has_index and _rise(left):
            _ask("column 1", "a column of row names", left, "index")
    return has_header, has_index


def _are_names(cells: Sequence[str], corner: str) -> bool:
    """A corner with a number belongs to the entries, and so does what goes on from it."""
    there = [cell for cell in cells if not is_missing(cell)]
    return bool(there) and not is_number(corner) and not any(is_number(cell) for cell in there)


def _all_numbers(cells: Sequence[str]) -> bool:
    return bool(cells) and all(is_number(cell) for cell in cells)


def _rise(cells: Sequence[str]) -> bool:
    whole = [int(cell) for cell in cells if cell.isascii() and cell.isdecimal() and len(cell) < 20]
    return RISING <= len(whole) == len(cells) and all(a < b for a, b in pairwise(whole))


def _ask(place: str, what: str, cells: Sequence[str], option: str) -> None:
    raise DataError(
        f"{place} may be {what} or entries (its numbers rise: {', '.join(cells[:RISING])} …): say "
        f"--{option} yes or --{option} no"
    )
