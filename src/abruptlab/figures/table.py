"""A table as rows and columns, before it is written in any format."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table, ready to be written."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float, ...], ...]
