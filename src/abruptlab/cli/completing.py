"""`complete`: a person's matrix, from a file to a file."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from abruptlab.errors import ConfigError, DataError

if TYPE_CHECKING:
    from abruptlab.complete.methods import Completion
    from abruptlab.complete.numerals import Range
    from abruptlab.complete.reading import Reading
    from abruptlab.complete.tablefile import Table

LISTED = 20  # filled entries that are printed
NOTED = 5  # seconds that a completion may take without a word about it
ENDINGS = (".npy", ".npz", ".parquet", ".xlsx")  # of formats that are not text
STREAM = Path("-")


@dataclass
class Complete:
    """Fill in the missing entries of a matrix in a CSV, TSV, Excel, Parquet, NPY or NPZ file."""

    file: Positional[Path]
    """The table; - is standard input. Missing entries are empty cells, NA, nan, … Names are recognised."""
    method: Literal["nuclear", "regularised", "factorisation", "means", "posterior-mean", "bert"] = "nuclear"
    """The default needs neither size nor rank; docs/complete.md says which suits what."""
    rank: int | None = None
    """factorisation, posterior-mean: the rank of the matrix."""
    penalty: float | None = None
    """regularised: weight of the nuclear norm, for entries of root mean square 1 (default: 0.001)."""
    run: str | None = None
    """bert: run folder, or a run that comes with the package (default: laptop, for 5×5 matrices of rank 1)."""
    scale: Literal["auto", "columns", "none"] | None = None
    """See each column in a unit of its own; auto, the default: where their spreads differ by more than ten."""
    min_value: Annotated[float | None, arg(name="min")] = None
    """The least value that is filled in."""
    max_value: Annotated[float | None, arg(name="max")] = None
    """The largest value that is filled in."""
    round: int | None = None
    """Decimals to which the values filled in are rounded (default: in text as many as the table
    has, or more where an entry of typical size would have fewer than four digits; else they are not)."""
    out: Path | None = None
    """Where to write, in the same format; - is standard output (default: FILE with .completed before its ending)."""
    overwrite: bool = False
    """Write over files that are there."""
    picture: Path | None = None
    """Also draw the matrix before and after, as .png or .pdf."""
    header: Literal["recognise", "yes", "no"] = "recognise"
    """Whether the first line holds the names of the columns."""
    index: Literal["recognise", "yes", "no"] | int = "recognise"
    """Whether the first column holds the names of the rows, or which column does, counted from 1."""
    missing: str | None = None
    """A cell that says that its entry is missing, such as -999, besides the usual ones."""
    encoding: str | None = None
    """Of text (default: UTF-8, or UTF-16 with its mark)."""
    separator: str | None = None
    """Of text: what stands between cells (default: recognised among tabs, semicolons, commas)."""
    decimal: Literal[".", ","] | None = None
    """Of text: the decimal mark (default: recognised)."""
    sheet: str | None = None
    """Of Excel: the sheet; of NPZ: the array. Needed where there are several."""
    triplets: bool = False
    """Each line has a row, a column and a value: user, item, rating."""
    skip: tuple[str, ...] = ()
    """Columns that are no part of the matrix and stay as they are, by their names or counted from 1."""

    def __call__(self) -> None:
        from abruptlab.complete.options import check_options
        from abruptlab.complete.tablefile import as_completed, is_workbook, read_table, write_table

        bounds = {"least": self.min_value, "largest": self.max_value, "decimals": self.round}
        within = check_options(self.method, **bounds, **self._options())
        if self.file.is_dir():
            raise DataError(f"{self.file}: expected a file, got a folder")
        out = self.out or as_completed(self.file)
        self._look_at_paths(out)
        table = read_table(self.file, self._reading())
        if is_workbook(table) and out != STREAM and out.suffix.lower() != ".xlsx":
            raise ConfigError(f"--out: expected a name that ends in .xlsx, since the table is Excel's, got {out.name}")
        report = sys.stderr if out == STREAM else sys.stdout  # the table itself goes to standard output
        missing = int((table.values != table.values).sum())
        rows, columns = table.values.shape
        print(f"{rows}×{columns} matrix, {table.layout}; {missing} missing", file=report)
        if missing:
            completion = self._complete(table)
            content = table.filled(completion.values, self.round, within)
            lines = [*_filled_in(table, completion, self.round, within), _held_out(table, completion)]
            print("\n".join(lines), file=report)
            self._draw(completion)
            write_table(content, out, like=self.file)
        else:
            print("nothing to do" + (", and no picture to draw" if self.picture else ""), file=report)
            if self.out is None and out != STREAM:
                return
            write_table(table.filled(table.values), out, like=self.file)  # which somebody is waiting for
        for path in (out, self.picture if missing else None):
            if path not in (None, STREAM):
                print(path, file=report)

    def _look_at_paths(self, out: Path) -> None:
        """Refuse before the work, not after it, what must not be written."""
        if self.picture is not None and self.picture.suffix not in (".png", ".pdf"):
            raise ConfigError(f"--picture: expected a name that ends in .png or .pdf, got {self.picture}")
        if STREAM not in (out, self.file):
            given, asked = self.file.suffix.lower(), out.suffix.lower()
            alike = given == asked or ({given, asked}.isdisjoint(ENDINGS) and {given, asked} != {".csv", ".tsv"})
            workbook = asked == ".xlsx" and given not in ENDINGS  # of .xlsm, say, which is not written
            if not alike and not workbook:
                raise ConfigError(f"--out: expected the format of {self.file.name}, got {out.name}")
        try:
            if self.picture is not None:
                for other in (self.file, out):
                    if other != STREAM and _same(self.picture, other):
                        raise ConfigError(f"--picture: {self.picture} is the table {other}")
            same = _is_read(out) if self.file == STREAM else _same(out, self.file)
            if out != STREAM and same and out.suffix.lower() == ".xlsx":
                raise ConfigError("--out: a workbook is not written over itself: it would lose formulas and formats")
            for path in (out, self.picture):
                if path is None or path == STREAM:
                    continue
                if not path.parent.is_dir():
                    raise DataError(f"cannot write {path}: {path.parent} is no folder")
                if path.is_dir():
                    raise DataError(f"cannot write {path}: it is a folder")
                if path.exists() and not path.is_file():
                    raise DataError(f"cannot write {path}: it is a pipe or device (for standard output, say -)")
                if path.exists() and not self.overwrite:
                    raise ConfigError(f"{path} is there already: say --overwrite to write over it, or --out elsewhere")
        except OSError as error:  # names that no file can have
            raise DataError(f"cannot write: {error.strerror or error}") from None

    def _reading(self) -> "Reading":
        from abruptlab.complete.reading import Reading

        if self.index == 0:
            raise ConfigError("--index: expected a column counted from 1, yes or no, got 0")
        index = self.index if isinstance(self.index, int) else {"recognise": None, "yes": True, "no": 0}[self.index]
        separator = "\t" if self.separator in ("\\t", "tab") else self.separator
        header = {"recognise": None, "yes": True, "no": False}[self.header]
        return Reading(
            header, index, self.missing, self.encoding, separator, self.decimal, self.sheet, self.triplets, self.skip
        )

    def _options(self) -> dict[str, Any]:
        return {"rank": self.rank, "penalty": self.penalty, "run": self.run, "scale": self.scale}

    def _complete(self, table: "Table") -> "Completion":
        from rich.console import Console

        from abruptlab.complete.methods import complete, plan

        bounds = {"min_value": self.min_value, "max_value": self.max_value, "rounding": self.round}
        planned = plan(self.method, table.values.shape, **self._options(), **bounds)
        console = Console(stderr=True)
        if planned.seconds > NOTED:
            console.print(f"{self.method}: some {planned.seconds:.0f} seconds", highlight=False)
        with console.status(self.method):
            completion = complete(table.values, planned)
        for warning in completion.warnings:
            print(f"abruptlab: {warning}", file=sys.stderr)
        return completion

    def _draw(self, completion: "Completion") -> None:
        from abruptlab.figures.completion import draw_completion
        from abruptlab.figures.save import render
        from abruptlab.system.files import write_atomically

        if self.picture is None:
            return
        try:
            picture = render(draw_completion(completion), self.picture.suffix[1:])
            write_atomically(self.picture.resolve(), picture)
        except OSError as error:
            raise DataError(f"cannot write {self.picture}: {error.strerror or error}") from None


def _is_read(path: Path) -> bool:
    """Whether a file is what comes in on standard input."""
    return path.exists() and os.path.samestat(path.stat(), os.fstat(0))


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are of one file, that is there or not."""
    if one.exists() and other.exists():
        return os.path.samefile(one, other)
    return one.resolve() == other.resolve()


def _filled_in(table: "Table", completion: "Completion", decimals: int | None, within: "Range") -> list[str]:
    from tabulate import tabulate

    from abruptlab.complete.numerals import shown

    places = (~completion.observed).nonzero()
    lines = []
    for i, j in list(zip(*(side.tolist() for side in places), strict=True))[:LISTED]:
        number = table.number(float(completion.values[i, j]), decimals, within)
        line = [shown(table.row_names[i]), shown(table.column_names[j]), number]
        if completion.spread is not None:
            line += ["±", table.number(float(completion.spread[i, j]))]
        lines.append(line)
    heads = ["row", "column", "value", "", "spread"][: len(lines[0])]
    alignment = ["left", "left", "decimal", "left", "decimal"][: len(heads)]
    printed = [tabulate(lines, heads, "plain", disable_numparse=True, colalign=alignment)]
    left = len(places[0]) - len(lines)
    return [*printed, f"… and {left:,} more"] if left else printed


def _held_out(table: "Table", completion: "Completion") -> str:
    error = completion.held_out
    if not error.entries:
        return "error: unknown, since no entry can be spared to estimate it"
    unit = " deviations of the column" if error.in_deviations else ""
    return (
        f"error{unit and ' in' + unit}: {error.error:.3g} on {error.entries:,} held-out entries, column means "
        f"{error.error_of_means:.3g}"
    )
