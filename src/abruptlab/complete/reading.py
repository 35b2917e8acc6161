"""What is known of a table's file before it is read, and what its readers say of one that is damaged or has several
tables."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from abruptlab.complete.numerals import shown
from abruptlab.errors import DataError


@dataclass(frozen=True)
class Reading:
    """What is known of a file beforehand; None where it is to be recognised."""

    header: bool | None = None  # whether the first line holds the names of the columns
    # the column that holds the names of the rows, counted from 1; True for the first that is not skipped, 0 for none
    index: int | None = None
    missing: str | None = None  # a cell that says that its entry is missing, besides `MISSING`
    encoding: str | None = None  # of text
    separator: str | None = None  # of text
    decimal: str | None = None  # mark of text: . or ,
    sheet: str | None = None  # of Excel; the array of an NPZ file
    triplets: bool = False  # whether each line has a row, a column and a value
    skip: tuple[str, ...] = ()  # columns that are no part of the matrix, counted from 1 or by name


def choose(what: str, names: list[str], given: str | None) -> str:
    """The one that is there, or the one that is `given`. Raises `DataError` if that is none."""
    listed = shown(", ".join(names), 200)
    if given is None and len(names) == 1:
        return names[0]
    if given is None:
        raise DataError(f"expected one of the {what} {listed}: say --sheet NAME")
    if given not in names:
        raise DataError(f"--sheet: expected one of {listed}, got {shown(given)}")
    return given


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turns what a reader of a binary format raises into one line."""
    try:
        with warnings.catch_warnings(action="ignore"):  # about styles, extensions, headers of Python 2
            yield
    except DataError:
        raise
    except ImportError:
        raise DataError(f"{what} needs more packages: pip install 'abruptlab[tables]'") from None
    except Exception as error:  # a damaged file makes its reader raise anything
        why = re.sub(r" at 0x\w+", "", " ".join(str(error).split()))  # where in memory an object is
        raise DataError(f"damaged {what} file: {why[:100]}") from None
