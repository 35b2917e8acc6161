"""Whether the first line and the first column of a table are names or entries.

Text is a name. Numbers may be either, wherever they are complete and no two are the same: years, identifiers,
concentrations. Which they are is then asked, since what is taken wrongly is completed wrongly without a word.
"""

from collections.abc import Sequence
from itertools import pairwise

from abruptlab.complete.numerals import is_number, shown
from abruptlab.errors import DataError

COUNTED = 3  # so many whole numbers in equal steps may number the rows or columns
YEARS = range(1800, 2201)
LISTED = 3  # of the numbers in a question


def find_labels(
    lines: Sequence[Sequence[str]], header: bool | None, index: bool | None, first: str = "column 1"
) -> tuple[bool, bool]:
    """Whether there are a header line and a column of row names, as far as that is not given; missing cells are empty.
    `first` is where the first column stands in the file.

    Raises `DataError`, with what to say, for numbers that may be either. With a number in the corner, which is no name
    of both, only those may that look it: years, and whole numbers in equal steps. With an empty corner, numbers are
    names if the others are, or if both count from 0 (as pandas writes them).
    """
    corner, top, left = lines[0][0], lines[0][1:], [line[0] for line in lines[1:]]
    has_header = header if header is not None else _are_text(top or [corner], corner)
    has_index = index if index is not None else _are_text(left or ([] if has_header else [corner]), corner)
    may_header = header is None and not has_header and bool(left) and _may_be_names(top)
    may_index = index is None and not has_index and bool(top) and _may_be_names(left)
    if not corner:
        counted = all(list(names) == [str(number) for number in range(len(names))] for names in (top, left))
        if may_header and may_index and not counted:
            _ask("row 1", "a header line", top, "header")
        has_header |= may_header and (has_index or counted)
        has_index |= may_index and has_header
    else:
        entries = [corner] if is_number(corner) else []  # with which the names would have to look it
        if may_header and (not entries or _look_like_names([*entries, *top])):
            _ask("row 1", "a header line", [*entries, *top], "header")
        if may_index and (not entries or _look_like_names(left if has_header else [*entries, *left])):
            _ask(first, "a column of row names", left, "index")
    return has_header, has_index


def _are_text(cells: Sequence[str], corner: str) -> bool:
    """A corner with a number belongs to the entries, and so does what goes on from it."""
    there = [cell for cell in cells if cell]
    return bool(there) and not is_number(corner) and not any(is_number(cell) for cell in there)


def _may_be_names(cells: Sequence[str]) -> bool:
    return bool(cells) and all(is_number(cell) for cell in cells) and len(set(cells)) == len(cells)


def _look_like_names(cells: Sequence[str]) -> bool:
    if not all(cell.isascii() and cell.isdecimal() and len(cell) < 20 for cell in cells):
        return False
    whole = [int(cell) for cell in cells]
    if len(set(whole)) < len(whole):
        return False
    steps = {after - before for before, after in pairwise(whole)}
    return all(number in YEARS for number in whole) or (len(whole) >= COUNTED and len(steps) == 1)


def _ask(place: str, what: str, cells: Sequence[str], option: str) -> None:
    some = ", ".join(map(shown, cells[:LISTED])) + (" …" if len(cells) > LISTED else "")
    raise DataError(f"{place} may be {what} or entries ({some}): say --{option} yes or --{option} no")
