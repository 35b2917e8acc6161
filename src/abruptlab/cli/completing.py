"""`complete`: a person's matrix, from a file to a file."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from abruptlab.errors import ConfigError, DataError

if TYPE_CHECKING:
    from abruptlab.complete.methods import Completion
    from abruptlab.complete.tablefile import TableFile

LISTED = 20  # filled entries that are printed
GIVEN = {"recognise": None, "yes": True, "no": False}
NOTED = 5  # seconds that a completion may take without a word about it


@dataclass
class Complete:
    """Fill in the missing entries of a matrix in a CSV, TSV or NPY file; all else in it stays as it is."""

    file: Positional[Path]
    """Missing entries are empty cells, NA, nan, … Names of rows and columns are recognised."""
    method: Literal["nuclear", "regularised", "factorisation", "means", "posterior-mean", "bert"] = "nuclear"
    """The default needs neither size nor rank; docs/complete.md says which suits what."""
    rank: int | None = None
    """factorisation, posterior-mean: the rank of the matrix."""
    penalty: float | None = None
    """regularised: weight of the nuclear norm, for entries of root mean square 1 (default: 0.001)."""
    run: str | None = None
    """bert: run folder, or a run that comes with the package (default: laptop, for 5×5 matrices of rank 1)."""
    out: Path | None = None
    """Where to write, in the same format (default: FILE with .completed before its ending); may be FILE itself."""
    picture: Path | None = None
    """Also draw the matrix before and after, as .png or .pdf."""
    header: Literal["recognise", "yes", "no"] = "recognise"
    """Whether the first line holds the names of the columns."""
    index: Literal["recognise", "yes", "no"] = "recognise"
    """Whether the first column holds the names of the rows."""

    def __call__(self) -> None:
        from abruptlab.complete.tablefile import as_completed, read_table

        if self.picture is not None and self.picture.suffix not in (".png", ".pdf"):
            raise ConfigError(f"--picture: expected a name that ends in .png or .pdf, got {self.picture}")
        file = read_table(self.file, GIVEN[self.header], GIVEN[self.index])
        missing = int((file.table.values != file.table.values).sum())
        rows, columns = file.table.values.shape
        print(f"{rows}×{columns} matrix, {file.table.layout}; {missing} missing")
        if not missing:
            print("nothing to do")
            return
        out = self.out or as_completed(self.file)
        if (out.suffix == ".npy") != (self.file.suffix == ".npy"):
            raise ConfigError(f"--out: expected the format of {self.file.name}, got {out.name}")
        for path in (out, self.picture or out):  # before the work, not after it
            if not path.parent.is_dir():
                raise DataError(f"cannot write {path}: {path.parent} is no folder")
        completion = self._complete(file)
        file.write(completion.values, out)
        _print_filled(file, completion)
        print(out)
        if self.picture is not None:
            _draw(completion, self.picture)
            print(self.picture)

    def _complete(self, file: "TableFile") -> "Completion":
        from rich.console import Console

        from abruptlab.complete.methods import complete, plan

        shape = file.table.values.shape
        planned = plan(self.method, shape, rank=self.rank, penalty=self.penalty, run=self.run)
        console = Console(stderr=True)
        if planned.seconds > NOTED:
            console.print(f"{self.method}: some {planned.seconds:.0f} seconds", highlight=False)
        with console.status(self.method):
            completion = complete(file.table.values, planned)
        for warning in completion.warnings:
            print(f"abruptlab: {warning}", file=sys.stderr)
        return completion


def _print_filled(file: "TableFile", completion: "Completion") -> None:
    from tabulate import tabulate

    from abruptlab.complete.numerals import shown

    table, places = file.table, (~completion.observed).nonzero()
    lines = []
    for i, j in list(zip(*(side.tolist() for side in places), strict=True))[:LISTED]:
        line = [shown(table.row_names[i]), shown(table.column_names[j]), table.number(float(completion.values[i, j]))]
        if completion.spread is not None:
            line += ["±", table.number(float(completion.spread[i, j]))]
        lines.append(line)
    heads = ["row", "column", "value", "", "spread"][: len(lines[0])]
    alignment = ["left", "left", "decimal", "left", "decimal"][: len(heads)]
    print(tabulate(lines, heads, "plain", disable_numparse=True, colalign=alignment))
    left = len(places[0]) - len(lines)
    if left:
        print(f"… and {left:,} more")


def _draw(completion: "Completion", path: Path) -> None:
    from abruptlab.figures.completion import draw_completion
    from abruptlab.figures.save import render
    from abruptlab.system.files import write_atomically

    try:
        write_atomically(path, render(draw_completion(completion), path.suffix[1:]))
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
