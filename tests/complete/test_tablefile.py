"""Matrices in files: what is read, what is refused and how, and that nothing but missing cells is changed."""

import codecs
import io
import math
import os
import random
import warnings
import zipfile
from datetime import time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from abruptlab.complete.gridtable import GridTable
from abruptlab.complete.numerals import Notation
from abruptlab.complete.reading import Reading
from abruptlab.complete.tablefile import (
    LARGEST,
    Table,
    as_completed,
    parse_table,
    read_table,
    write_table,
)
from abruptlab.errors import DataError

NAN = np.nan


def npy(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)  # pyright: ignore[reportArgumentType]
    return buffer.getvalue()


def read(tmp_path: Path, content: bytes | str, **given: Any) -> Table:
    path = tmp_path / "table"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, Reading(**given))


def completed_with(table: Table, number: float, decimals: int | None = None) -> bytes:
    """The file when every missing entry is `number`."""
    return table.filled(np.where(np.isnan(table.values), number, table.values), decimals)


@pytest.mark.parametrize(
    ("content", "written"),
    [
        ("1,2\n,3\n", "1,2\n7.250,3\n"),
        ("1,2\r\n,3\r\n", "1,2\r\n7.250,3\r\n"),
        ("1,2\r,3\r", "1,2\r7.250,3\r"),
        ("1\t2\n\t3\n", "1\t2\n7.250\t3\n"),
        ("1;2\n;3\n", "1;2\n7.250;3\n"),
        ("1,5;2\n;3,25\n", "1,5;2\n7,250;3,25\n"),
        ("1, 2\n NA , 3\n", "1,2\n7.250,3\n"),
        ('\n"1","2"\n\n"","3"\n', "1,2\n7.250,3\n"),
        ("0.10,2e0\n,3\n", "0.10,2e0\n7.250e+00,3\n"),
        ("1.23456,2\n,3\n", "1.23456,2\n7.25000,3\n"),
        ("1001,2002\n,3003\n", "1001,2002\n7,3003\n"),
        ("\ufeff1,2\n,3\n", "\ufeff1,2\n7.250,3\n"),
        (',a,"b, ""c"""\nx,1,\ny,-,+4.\n', ',a,"b, ""c"""\nx,1,7.250\ny,7.250,+4.\n'),
        ('n;"a\nb";c\nx;1;2\ny;;3\n', 'n;"a\nb";c\nx;1;2\ny;7.250;3\n'),
        ("1.234,5;2.000\n;3.000,25\n", "1.234,5;2.000\n7,25;3.000,25\n"),
        ('"1,234.5",2\n,3\n', '"1,234.5",2\n7.250,3\n'),
    ],
)
def test_names_order_marks_and_observed_cells_stay(content: str, written: str, tmp_path: Path) -> None:
    told = {"header": False, "index": 0} if content.strip('\n"\ufeff')[0].isdigit() else {}
    assert completed_with(read(tmp_path, content, **told), 7.25).decode() == written


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(encoding: str, tmp_path: Path) -> None:
    """`utf-16` is what Excel calls Unicode text."""
    table = read(tmp_path, "ä\tb\r\n1\t\r\n2\t3\r\n".encode(encoding), index=0)
    assert table.column_names == ["ä", "b"]
    written = completed_with(table, 0.5)
    assert written == "ä\tb\r\n1\t0.500\r\n2\t3\r\n".encode(encoding)
    if encoding == "utf-8-sig":  # also where the encoding is named, without its mark
        told = read(tmp_path, "a\tb\n1\t\n2\t3\n".encode(encoding), index=0, encoding="UTF-8")
        assert completed_with(told, 0.5) == "a\tb\n1\t0.500\n2\t3\n".encode(encoding)


def test_big_endian_text(tmp_path: Path) -> None:
    content = "\ufeff1,2\n,3\n".encode("utf-16-be")
    assert completed_with(read(tmp_path, content), 2.0) == "\ufeff1,2\n2.000,3\n".encode("utf-16-be")


@pytest.mark.parametrize("word", ["", " ", "NA", "na", "N/A", "NaN", "nan", "#N/A", "<NA>", "NULL", "None", "-", "?"])
def test_missing_has_many_spellings(word: str, tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(tmp_path, f"1,{word}\n3,4\n").values, [[1, NAN], [3, 4]])


@pytest.mark.parametrize(
    ("content", "header", "index", "shape"),
    [
        ("1,2\n3,4\n", False, False, (2, 2)),
        ("3,4,6\n1,,2\n5,1,9\n", False, False, (3, 3)),
        ("a,b\n1,2\n1,4\n", True, False, (2, 2)),  # no two rows have one name
        ("a,b\n1,2\n,4\n", True, False, (2, 2)),  # no row is without a name
        (",a,b\nx,1,2\ny,3,4\n", True, True, (2, 2)),
        ("name,a,b\nx,1,2\ny,3,4\n", True, True, (2, 2)),
        ("x,1,1\ny,3,4\n", False, True, (2, 2)),
        ("2024-01-01,1,\n2024-01-02,3,4\n", False, True, (2, 2)),
        (",a,b\n1,1,2\n2,3,4\n", True, True, (2, 2)),  # pandas, without names of rows
        (",0,1\n0,5,6\n1,7,8\n", True, True, (2, 2)),  # pandas, without any names
        (",2020,2021\nx,5,6\ny,7,8\n", True, True, (2, 2)),
        (",1,\n2,3,4\n", False, False, (2, 3)),  # the corner is missing
        ("a\n1\n2\n", True, False, (2, 1)),
        ("x,1,2\n", False, True, (1, 2)),
        ("a,NA,b\n1,2,3\n2,2,4\n1,3,4\n", True, False, (3, 3)),
    ],
)
def test_names_are_recognised(content: str, header: bool, index: bool, shape: tuple[int, int], tmp_path: Path) -> None:
    table = read(tmp_path, content)
    words = f"{'a' if header else 'no'} header line, {'a' if index else 'no'} column of row names"
    assert words in table.layout
    assert table.values.shape == shape


@pytest.mark.parametrize(
    ("content", "option"),
    [
        ("year,a,b,c\n2023,1,2,\n2022,2,,6\n2021,3,6,9\n", "index"),
        ("year,a\n2021,1\n2022,2\n2023,3\n", "index"),
        ("year,a,b\n2023,1,2\n2022,,4\n", "index"),
        ("c,a,b\n0.0,1,2\n0.5,2,\n1.0,3,6\n", "index"),
        ("id,a,b\n305,1,2\n17,2,\n288,3,6\n", "index"),
        ("cell,0.1,0.5,2.5\nx,1,2,3\ny,2,4,\n", "header"),
        ("x,1,2\ny,3,\nz,4,5\n", "header"),
        ("year,2001,2002\n1,5,6\n2,7,\n", "header"),
        ("2001,2002,2003\n1,2,3\n4,,6\n", "header"),
        ("2023,2022\n1,2\n4,\n", "header"),
        ("1,2,3\n4,5,\n6,6,6\n", "header"),
        ("7,7,7\n8,5,\n9,6,6\n", "index"),
        (",1\n2,3\n", "header"),
    ],
)
def test_numbers_that_may_be_names_are_asked_about(content: str, option: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"may be .* or entries .*: say --{option} yes or --{option} no"):
        read(tmp_path, content)
    no: dict[str, Any] = {"header": False} if option == "header" else {"index": 0}
    yes: dict[str, Any] = {"header": True} if option == "header" else {"index": 1}
    other: dict[str, Any] = {} if option == "header" and content[0].isdigit() else {"header": True}
    named = read(tmp_path, content, **{"index": 1 if content[0].isalpha() else None, **other, **yes})
    assert not {"2023", "2021", "0.0", "305", "0.1", "2001", "1.0"} & {f"{value:g}" for value in named.values.ravel()}
    if content[0].isdigit():
        assert read(tmp_path, content, **no).values.size > named.values.size


def test_years_are_names_when_told(tmp_path: Path) -> None:
    table = read(tmp_path, "year,a,b,c\n2023,1,2,\n2022,2,,6\n2021,3,6,9\n", index=1)
    assert (table.row_names, table.column_names) == (["2023", "2022", "2021"], ["a", "b", "c"])
    np.testing.assert_array_equal(table.values, [[1, 2, NAN], [2, NAN, 6], [3, 6, 9]])


def test_names_can_be_given(tmp_path: Path) -> None:
    content = "2001,2002,2003\n1,2,3\n4,5,6\n"
    assert read(tmp_path, content, header=False).values.shape == (3, 3)
    table = read(tmp_path, content, header=True, index=1)
    assert (table.column_names, table.row_names) == (["2002", "2003"], ["1", "4"])
    np.testing.assert_array_equal(table.values, [[2, 3], [5, 6]])
    assert read(tmp_path, "x,1,2,3\ny,4,5,6\n", header=False).values.shape == (2, 3)


def test_names_may_stand_in_another_column(tmp_path: Path) -> None:
    table = read(tmp_path, "a,who,b\n1,x,2\n3,y,\n", index=2)
    assert (table.row_names, table.column_names) == (["x", "y"], ["a", "b"])
    assert completed_with(table, 0.5).decode() == "a,who,b\n1,x,2\n3,y,0.500\n"
    with pytest.raises(DataError, match="--index: expected a column from 1 to 3, got 4"):
        read(tmp_path, "a,who,b\n1,x,2\n3,y,\n", index=4)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_thousands_are_asked_about(separator: str, tmp_path: Path) -> None:
    content = "site;a;b;c\nX;800;1.600;\nY;1.600;;4.800\nZ;2.400;4.800;7.200\n".replace(";", separator)
    with pytest.raises(
        DataError, match=r"row 2, column 3: 1\.600 may be 1\.6 or 1600: say --decimal \. or --decimal ,"
    ):
        read(tmp_path, content)
    np.testing.assert_array_equal(read(tmp_path, content, decimal=",").values[0], [800, 1600, NAN])
    np.testing.assert_array_equal(read(tmp_path, content, decimal=".").values[0], [800, 1.6, NAN])
    assert b"X;800;1.600;3200\n".replace(b";", separator.encode()) in completed_with(
        read(tmp_path, content, decimal=","), 3200
    )
    assert read(tmp_path, content.replace(f"{separator}800", f"{separator}0.800")).values[0, 1] == 1.6


def test_what_is_known_of_a_text_can_be_told(tmp_path: Path) -> None:
    content = "größe|a|b\nx|1|-999\ny|2|-999.0\nz|weg|3\n".encode("latin-1")
    with pytest.raises(DataError, match=r"line 1: expected text in UTF-8, got byte 0xf6: say --encoding NAME"):
        read(tmp_path, content)
    table = read(tmp_path, content.replace(b"weg", b""), encoding="latin-1", separator="|", missing="-999")
    np.testing.assert_array_equal(table.values, [[1, NAN], [2, NAN], [NAN, 3]])
    written = completed_with(table, 2, decimals=0)
    assert written == "größe|a|b\nx|1|2\ny|2|2\nz|2|3\n".encode("latin-1")
    for given, line in (
        ({"encoding": "klingon"}, "--encoding: expected one that Python knows, such as latin-1, got klingon"),
        ({"encoding": ""}, "--encoding: expected one that Python knows"),
        ({"encoding": "latin-1", "separator": ""}, "--separator: expected one character, got ''"),
        ({"encoding": "latin-1", "separator": "||"}, r"--separator: expected one character, got '\|\|'"),
    ):
        with pytest.raises(DataError, match=line):
            read(tmp_path, content, **given)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "expected a matrix, got nothing"),
        ("\n \n\n", "expected a matrix, got nothing"),
        ("a,b\n", "got nothing but names"),
        ("1 2 3\n4 5 6\n", "separated by tabs, semicolons or commas, got nothing but names"),
        ("1,2\n3,x\n", "row 2, column 2: expected a number or an empty cell, got 'x'"),
        ("a,b\n\n1,2\n1,x\n", "row 4, column 2: .* got 'x'"),
        ('"a\nb",c\n1,2\n1,x\n', "row 3, column 2: .* got 'x'"),
        ("n,a,b\nr,1,2\ns,3,12%\n", "row 3, column 3: .* got '12%'"),
        ("1,2\n3,2024-01-01\n", "row 2, column 2: .* got '2024-01-01'"),
        ("1,x,3\n4,5,6\n", "row 1, column 2: .* got 'x'"),
        (f"1,2\n3,{'z' * 500}\n", "got 'z{39}…'"),
        ("1,2\n3,\x1b[31m\n", r"got '\\x1b\[31m'"),
        ("1,2\n3,4,5\n", "row 2: expected 2 cells as in the first row, got 3|got a line with more"),
        ("\n\na,b\n3,4\n3,4,5\n", "row 5: expected 2 cells as in the first row, got 3|got a line with more"),
        ("x\n1\n\n3\n\n", "row 3: every entry of this row is missing"),
        ("1,2\n3,unknown\n", r"got 'unknown' \(see --header and --index for names, .* --missing .*\)$"),
        ("1,2,\n3,4,5\n6\n", "row 3: expected 3 cells as in the first row, got 1"),
        ("# mine\n1,2\n3,4\n", "row 2: expected 1 cell as in the first row, got 2 .is there a line above the table"),
        ('1,"2\n3,4\n', "expected quotes in pairs, got one that nothing closes"),
        ("1,2\n3,\N{MINUS SIGN}4\n", "row 2, column 2: .* .the minus sign in it is none of the ASCII characters"),
        ("1,2\n3,inf\n", "row 2, column 2: expected a finite number, got inf"),
        ("1,-Infinity\n3,4\n", "row 1, column 2: expected a finite number"),
        ("1,1e999\n3,4\n", "row 1, column 2: expected a finite number, got 1e999"),
        ('"1,234",2\n3,4\n', "row 1, column 1: 1,234 may be 1234 or 1.234: say --decimal"),
        ("1;2,5\n3.5;4\n", "one decimal mark, got a point in row 2, column 1 and a comma in row 1, column 2"),
        ("1.234,5;2,345.6\n3;4\n", "one decimal mark, got a point in row 1, column 2 and a comma in row 1, column 1"),
        ("1,234\t2\n3\t4\n", "1,234 may be 1234 or 1.234"),
        (",\n,\n", "expected some observed entries, got missing ones only"),
        ("nan\n", "missing ones only"),
        ("10%,20%\n30%,\n", r"missing ones only \(.* a header line, a column of row names\)"),
        ("a,b\n1,2\n,\n", "row 3: every entry of this row is missing"),
        ("n,a,b\nx,1,2\nann,,\n", r"row 3 \(ann\): every entry of this row is missing"),
        ("n,a,b\nx,1,\ny,2,\n", r"column 3 \(b\): every entry of this column is missing"),
        (b"PK\x03\x04rest", "damaged zip file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "got an old Excel file"),
        (b"\x1f\x8b\x08rest", "got a compressed file"),
        (b"\x7fELF\x00\x00", "got another binary file"),
        ("1,2\ngr\u00fcn,3\n".encode("latin-1"), "line 2: expected text in UTF-8, got byte 0xfc: say --encoding"),
        ("\ufeff1,2".encode("utf-16-le") + b"\x00", "expected text in UTF-16-LE"),
        ("<html><table><tr><td>1</td></tr></table>\n", "got nothing but names"),
    ],
)  # fmt: skip
def test_what_is_no_matrix_is_one_line_that_says_where(content: bytes | str, line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=line) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'table'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("t.npy", b"1,2\n3,\n", "expected NPY, as its name says, got text"),
        ("t.XLSX", b"1,2\n3,\n", "expected Excel, as its name says, got text"),
        ("t.csv", npy(np.eye(2)), "expected text, as its name says, got NPY"),
    ],
)
def test_a_name_that_promises_another_format(name: str, content: bytes, line: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=line):
        read_table(tmp_path / name)


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a file, got a folder"):
        read_table(tmp_path)
    with pytest.raises(DataError, match=r"cannot read .*No such file"):
        read_table(tmp_path / "none.csv")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="expected a file, got a pipe or device"):
        read_table(tmp_path / "pipe")
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(2_000_000_000)  # takes no space
    with pytest.raises(DataError, match="expected at most 50 MB, got 2,000 MB"):
        read_table(tmp_path / "huge.csv")


def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "table.csv").write_text("1,2\n")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)  # the tests may run as root, who may read everything
    with pytest.raises(DataError, match=r"cannot read .*table\.csv: Permission denied"):
        read_table(tmp_path / "table.csv")


def test_a_result_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2\n,3\n")
    with pytest.raises(DataError, match=r"cannot write .*No such file or directory"):
        write_table(b"1", tmp_path / "nowhere" / "out.csv", tmp_path / "t.csv")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=r"cannot write .*Is a directory"):
        write_table(b"1", tmp_path / "folder", tmp_path / "t.csv")
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "folder"}


@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_keeps_its_precision_and_order(dtype: str, order: str, tmp_path: Path) -> None:
    array = np.array([[1.5, NAN, 3], [0.1, 5, 6]], dtype=dtype, order=order)  # pyright: ignore
    table = read(tmp_path, npy(array))
    np.testing.assert_array_equal(table.values, array)
    expected = array.copy(order="K")
    expected[0, 1] = 2.25
    assert completed_with(table, 2.25) == npy(expected)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (npy(np.array([[{}, 1]], dtype=object), allow_pickle=True), "Python objects, which are never loaded"),
        (npy(np.zeros((2, 2, 2))), r"expected a matrix \[m, n\], got shape \[2, 2, 2\]"),
        (npy(np.zeros(3)), r"got shape \[3\]"),
        (npy(np.zeros((0, 3))), r"got shape \[0, 3\]"),
        (npy(np.zeros((2, 2), complex)), "expected real numbers, got dtype complex128"),
        (npy(np.array([["a"]])), "expected real numbers, got dtype <U1"),
        (npy(np.array([[1.0, np.inf]])), "row 1, column 2: expected a finite number, got inf"),
        (npy(np.array([[NAN, 1.0], [NAN, 2.0]])), "column 1: every entry of this column is missing"),
        (npy(np.ones((4, 4)))[:-3], "damaged NPY file: expected 128 bytes of numbers, got 125"),
        (npy(np.ones((4, 4)))[:20], "damaged NPY file"),
        (b"\x93NUMPY\x07\x00abcdef", "damaged NPY file"),
        (npy(np.ones((4, 4))).replace(b"(4, 4)", b"(9, 9)"), "damaged NPY file"),
        (npy(np.ones((4, 4))).replace(b"(4, 4)", b"f(4,4)"), "<ast.Call object>"),  # not where in memory
    ],
)  # fmt: skip
def test_what_is_no_matrix_in_npy(content: bytes, line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=line) as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "given", "line"),
    [
        ("1.5,2\n,3\n", {"sheet": "first"}, "--sheet: text has no such thing"),
        (npy(np.ones((2, 2))), {"header": False}, "--header: NPY has no such thing"),
        (npy(np.ones((2, 2))), {"index": 0}, "--index: NPY has no such thing"),
        (npy(np.ones((2, 2))), {"triplets": True}, "--triplets: NPY has no such thing"),
        (npy(np.ones((2, 2))), {"skip": ("a",)}, "--skip: NPY has no such thing"),
        (npy(np.ones((2, 2))), {"missing": "weg"}, "--missing: expected a number for NPY, got weg"),
        ("a,b,1\n", {"triplets": True, "index": 1}, "--index: a list of triplets has no such thing"),
    ],
)
def test_nothing_that_is_said_is_ignored(content: bytes | str, given: dict, line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=line):
        read(tmp_path, content, **given)


def test_integers_in_npy_have_nothing_missing(tmp_path: Path) -> None:
    assert not np.isnan(read(tmp_path, npy(np.arange(4).reshape(2, 2))).values).any()


def test_numbers_too_large_for_the_file_are_one_line(tmp_path: Path) -> None:
    table = read(tmp_path, npy(np.array([[1, NAN], [2, 3]], dtype="f2")))
    with pytest.raises(DataError, match="beyond the range of float16"):
        completed_with(table, 1e6)


def test_a_word_for_missing_entries_that_no_cell_says_is_told(tmp_path: Path) -> None:
    text = "1.5,2.5\n3.5,-999\n"
    assert "no cell that says -99" in read(tmp_path, text, missing="-99").layout
    assert "no cell" not in read(tmp_path, text, missing="-999").layout
    assert "no cell" not in read(tmp_path, text, missing="NA").layout  # which is one anyway
    whole = np.array([[1, -999], [2, 3]])
    assert read(tmp_path, npy(whole), missing="-99").layout == "NPY, int64, no entry that is -99"
    assert read(tmp_path, npy(whole), missing="-999").layout == "NPY, int64"


@pytest.mark.parametrize(("dtype", "number"), [("i1", 132), ("i2", 50183), ("u1", -3)])
def test_whole_numbers_do_not_wrap_around(dtype: str, number: float, tmp_path: Path) -> None:
    table = read(tmp_path, npy(np.array([[1, 7], [2, 3]], dtype=dtype)), missing="7")
    with pytest.raises(DataError, match=r"beyond the range of u?int"):
        completed_with(table, number)
    assert completed_with(table, 5) == npy(np.array([[1, 5], [2, 3]], dtype=dtype))


def excel(*rows: list[object]) -> bytes:
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    for row in rows:
        book.active.append(row)
    book.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("=A1+B1", "row 2, column 2: expected a number or an empty cell, got a formula without its value"),
        ("#DIV/0!", "row 2, column 2: expected a number or an empty cell, got the error #DIV/0!"),
    ],
)
def test_a_cell_of_excel_that_holds_something_is_not_empty(cell: str, line: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=line):
        read(tmp_path, excel([1.5, 2.5], [3.5, cell], [4.5, 1.5]))
    assert np.isnan(read(tmp_path, excel([1.5, 2.5], [3.5, "#N/A"], [4.5, 1.5])).values[1, 1])
    with pytest.raises(DataError, match="expected a matrix, got nothing"):
        read(tmp_path, excel())


def test_a_formula_of_excel_that_gives_an_empty_text_is_an_empty_cell(tmp_path: Path) -> None:
    stored = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(excel([1.5, 2.5], [3.5, "=A1"], [4.5, 1.5]))) as old,
        zipfile.ZipFile(stored, "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'<c r="B2">', b'<c r="B2" t="str">'))
    assert np.isnan(read(tmp_path, stored.getvalue()).values[1, 1])


@pytest.mark.parametrize("cell", ["1,500", "1.500"])
def test_a_text_of_excel_that_may_be_two_numbers_is_refused(cell: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"row 2, column 2: expected a number, got the text {cell}, which may be"):
        read(tmp_path, excel([1.5, 2.5], [3.5, cell], [4.5, None]))
    with pytest.raises(DataError, match=f"row 2, column 3: expected a number, got the text {cell}, which may be"):
        read(tmp_path, excel(["u", "ham", 1.5], ["v", "ham", cell]), triplets=True)
    assert read(tmp_path, excel([1.5, 2.5], [3.5, "1.5"], [4.5, 1.125])).values[1, 1] == 1.5


@pytest.mark.parametrize("file", ["excel", "parquet"])
def test_a_list_of_numbers_that_are_texts_gets_texts(file: str, tmp_path: Path) -> None:
    lines: list[list[object]] = [["u", "ham", "1.5"], ["u", "egg", "2.5"], ["v", "ham", "3.5"]]
    frame = pd.DataFrame(lines, columns=["user", "item", "rating"])
    table = read(tmp_path, excel(*lines) if file == "excel" else parquet(frame), triplets=True)
    written = io.BytesIO(completed_with(table, 4.5))
    filled = pd.read_excel(written, header=None, dtype=object) if file == "excel" else pd.read_parquet(written)
    assert filled.iloc[:, 2].tolist() == ["1.5", "2.5", "3.5", "4.500"]


def test_numbers_that_are_texts_are_filled_with_texts(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ["1.5", "2.5"], "b": ["3.5", None], "c": [1.5, NAN]})
    written = pd.read_parquet(io.BytesIO(completed_with(read(tmp_path, parquet(frame), index=0), 1 / 3)))
    assert written["b"].tolist() == ["3.5", "0.333"]
    assert written["c"].tolist() == [1.5, 1 / 3]


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def test_whole_numbers_of_parquet_stay_whole_whoever_wrote_it(tmp_path: Path) -> None:
    """Without what pandas adds, in which case it makes floats of them where one is missing."""
    large = 2**53 + 1
    columns = {"a": pa.array([1, 2, 3], pa.uint8()), "b": pa.array([large, None, large + 2], pa.int64())}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    written = pq.read_table(io.BytesIO(completed_with(read(tmp_path, buffer.getvalue(), index=0), 5, 0)))
    assert [str(column.type) for column in written.schema] == ["uint8", "int64"]
    assert written["b"].to_pylist() == [large, 5, large + 2]


def test_what_parquet_has_and_a_matrix_has_not_is_one_line(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": [Decimal("1.5"), None]})
    with pytest.raises(DataError, match=r"column b: expected numbers, got decimal128\(2, 1\): store it as double"):
        read(tmp_path, parquet(frame), index=0)
    buffer = io.BytesIO()
    pq.write_table(pa.table([[1.5, 2.5], [3.5, None]], names=["a", "a"]), buffer)
    with pytest.raises(DataError, match="expected columns of different names, got two called a"):
        read(tmp_path, buffer.getvalue(), index=0)


def test_an_index_may_have_the_name_of_a_column(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": [3.5, NAN]}, index=pd.Index(["x", "y"], name="a"))
    written = pd.read_parquet(io.BytesIO(completed_with(read(tmp_path, parquet(frame)), 4)))
    pd.testing.assert_frame_equal(written, frame.fillna(4.0))


def test_what_does_not_fit_a_column_of_parquet_is_one_line(tmp_path: Path) -> None:
    column = pd.array([1, None], dtype="Int8")
    table = read(tmp_path, parquet(pd.DataFrame({"a": [1.5, 2.5], "b": column})), index=0)
    with pytest.raises(DataError, match="does not fit the types of the columns") as caught:
        completed_with(table, 300)
    assert "\n" not in str(caught.value)


def test_the_index_of_parquet_is_kept_or_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5], "b": [3.5, NAN]}, index=pd.RangeIndex(1, 3))
    written = pd.read_parquet(io.BytesIO(completed_with(read(tmp_path, parquet(frame), index=0), 4)))
    pd.testing.assert_frame_equal(written, frame.fillna(4.0))
    frame.index = pd.MultiIndex.from_tuples([("x", 1), ("y", 2)])
    with pytest.raises(DataError, match="expected an index of one level, got one of 2"):
        read(tmp_path, parquet(frame))


@pytest.mark.parametrize(
    ("content", "written"),
    [
        (",0,1,2\n0,5,0,3\n1,0,2,4\n2,1,4,0\n", ",0,1,2\n0,5,9,3\n1,9,2,4\n2,1,4,9\n"),  # as pandas counts
        ("user,0,7,9\nann,5,0,3\nbob,0,2,4\n", "user,0,7,9\nann,5,9,3\nbob,9,2,4\n"),
        ("user,a,b\n0,5,0\n1,0,2\n2,1,4\n", "user,a,b\n0,5,9\n1,9,2\n2,1,4\n"),
    ],
)
def test_a_name_is_none_of_the_missing_entries(content: str, written: str, tmp_path: Path) -> None:
    given = {} if content.startswith(",") else {"header": True, "index": 1}
    if given:
        with pytest.raises(DataError, match="may be"):
            read(tmp_path, content, missing="0")
    assert completed_with(read(tmp_path, content, missing="0", **given), 9, 0).decode() == written


@pytest.mark.parametrize(
    ("content", "token", "known"),
    [
        ("a;b;c\nx;9,999;2,5\ny;1,25;9999\nz;3,5;4,125\n", "9999", [[9.999, 2.5], [1.25, NAN], [3.5, 4.125]]),
        ("a;b;c\nx;-999,0;2,5\ny;1,25;-999\nz;3,5;4,125\n", "-999", [[NAN, 2.5], [1.25, NAN], [3.5, 4.125]]),
        ("a;b;c\nx;-99,90;2,5\ny;1,25;1\n", "-99.9", [[NAN, 2.5], [1.25, 1]]),
        ("a,b,c\nx,-99.90,2.5\ny,1.25,1\n", "-99.9", [[NAN, 2.5], [1.25, 1]]),
        ("a;b;c\nx;1,5;-999.0\ny;2,5;3\n", "-999", [[1.5, NAN], [2.5, 3]]),  # who wrote -999.0 had a mark of his own
        ("temp,hum\n-999,40\n21,50\n22,60\n", "-999", [[NAN, 40], [21, 50], [22, 60]]),  # no name
    ],
)
def test_a_number_for_missing_is_read_with_the_mark_of_the_file(
    content: str, token: str, known: list[list[float]], tmp_path: Path
) -> None:
    np.testing.assert_array_equal(read(tmp_path, content, missing=token).values, known)


def test_what_says_missing_decides_no_mark(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1,250 may be 1250 or 1\.25: say --decimal"):
        read(tmp_path, "a;b;c\nx;1,250;-999.0\ny;2,500;3,125\n", missing="-999")


@pytest.mark.parametrize(
    ("content", "value", "decimals", "written"),
    [
        ("a,b,c\nx,1e3,1234\ny,,5678\n", 4321.0, None, "4.321e+03"),
        ("a,b,c\nx,1e3,123456.78\ny,,5678\n", 98765.43, None, "9.8765430e+04"),
        ("a,b,c\nx,1e3,1234\ny,,5678\n", 4321.0, 0, "4321"),
        ("a,b,c\nx,1e3,1234\ny,,5678\n", 4321.57, 2, "4321.57"),
    ],
)
def test_one_number_with_an_exponent_costs_the_others_no_digits(
    content: str, value: float, decimals: int | None, written: str, tmp_path: Path
) -> None:
    filled = completed_with(read(tmp_path, content), value, decimals).decode()
    assert filled == content.replace(",,", f",{written},")


def test_an_index_of_parquet_is_known_to_be_one(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.5, 2.5, 3, 1], "b": [3.5, NAN, 1, 2]}, index=[0, 1, 0, 1])
    for name in (None, "user"):
        table = read(tmp_path, parquet(frame.rename_axis(name)))
        assert table.row_names == ["0", "1", "0", "1"]
        np.testing.assert_array_equal(table.values, frame)
        written = pd.read_parquet(io.BytesIO(completed_with(table, 4)))
        pd.testing.assert_frame_equal(written, frame.rename_axis(name).fillna(4.0))
    zero = frame.fillna(0.0)
    written = pd.read_parquet(io.BytesIO(completed_with(read(tmp_path, parquet(zero), missing="0"), 4)))
    pd.testing.assert_frame_equal(written, frame.fillna(4.0))


def test_a_filtered_list_in_parquet(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"user": ["u", "u", "v", "v"], "item": ["ham", "egg", "ham", "egg"], "rating": [1.0, 2, 3, NAN]},
        index=[3, 5, 8, 9],
    )
    written = pd.read_parquet(io.BytesIO(completed_with(read(tmp_path, parquet(frame), triplets=True), 5)))
    pd.testing.assert_frame_equal(written, frame.fillna(5.0))
    for grown, lines in ((frame[:3], range(4)), (frame[:3].set_index("user"), ["u", "u", "v", "v"])):
        written = pd.read_parquet(
            io.BytesIO(completed_with(read(tmp_path, parquet(pd.DataFrame(grown)), triplets=True), 5))
        )
        assert written.index.tolist() == list(lines)
        assert written["item"].tolist() == frame["item"].tolist()
        assert written["rating"].tolist() == [1, 2, 3, 5]


def test_an_index_without_a_name_may_be_a_column_of_a_list(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item": ["ham", "egg", "ham"], "rating": [1.0, 2, 3]}, index=["u", "u", "v"])
    written = pd.read_parquet(io.BytesIO(completed_with(read(tmp_path, parquet(frame), triplets=True), 5)))
    assert written.index.tolist() == ["u", "u", "v", "v"]
    assert written["rating"].tolist() == [1, 2, 3, 5]


def test_categories_of_numbers_take_another(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": pd.Categorical(["1.0", "2.0", None]), "b": [1.5, 2.5, 3.5]})
    written = pd.read_parquet(io.BytesIO(completed_with(read(tmp_path, parquet(frame), index=0), 4)))
    assert written["a"].tolist() == ["1.0", "2.0", "4.000"]


@pytest.mark.parametrize("content", ["#DIV/0!", "=1/3"])
def test_an_excel_file_that_says_another_size_hides_nothing(content: str, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["n", "a", "b"], ["x", 1, content], ["y", 2]):
        book.worksheets[0].append(row)
    buffer, told = io.BytesIO(), io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as whole, zipfile.ZipFile(told, "w") as other:
        for name in whole.namelist():
            member = whole.read(name).replace(b'<dimension ref="A1:C3"', b'<dimension ref="A1"')
            other.writestr(name, member)
    for data in (buffer.getvalue(), told.getvalue()):
        with pytest.raises(DataError, match="row 2, column 3: expected a number or an empty cell, got"):
            parse_table(data)


@pytest.mark.parametrize("index", [None, 1])
@pytest.mark.parametrize("skip", [("city", "4"), ("2", "when")])
def test_a_column_that_is_skipped_stays_as_it_is(skip: tuple[str, ...], index: int | None, tmp_path: Path) -> None:
    content = "shop,city,a,when,b\nx,Rome,1,May,2\ny,,,June,4\n"
    table = read(tmp_path, content, skip=skip, index=index)
    np.testing.assert_array_equal(table.values, [[1, 2], [NAN, 4]])
    assert (table.row_names, table.column_names) == (["x", "y"], ["a", "b"])
    assert (table.row_place(1), table.column_place(1)) == ("row 3 (y)", "column 5 (b)")
    assert completed_with(table, 7).decode() == content.replace(",,,", ",,7.000,")


MONTHS = "shop,1,2,3\nx,1,2,900\ny,2,,7\nz,3,6,55\n"


@pytest.mark.parametrize(("header", "left"), [(True, ["1", "2"]), (False, ["1", "3", "4"])])
def test_a_number_is_a_name_where_there_is_a_header(header: bool, left: list[str], tmp_path: Path) -> None:
    content = MONTHS if header else MONTHS.replace("shop,1,2,3", "w,5,6,3")
    table = read(tmp_path, content, header=header, index=1, skip=("3",))
    assert table.column_names == (left if header else ["1", "2"])
    assert table.layout.endswith("names, without column 4 (3)" if header else "names, without column 3")


def test_what_may_be_the_name_or_the_number_of_a_column_is_asked(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--skip: 3 may be the column called so or column 3: say --header yes"):
        read(tmp_path, MONTHS, skip=("3",))
    table = read(tmp_path, "shop,2020,2021\nx,1,2\ny,2,3\n", header=True, skip=("2020",))
    assert table.column_names == ["2021"]


def test_places_are_those_of_the_file_whatever_is_skipped(tmp_path: Path) -> None:
    content = "city,a,b,c\nRome,1,2,3\nOslo,2,,6\nBonn,3,6,9\n"
    with pytest.raises(DataError, match="column 2 may be a column of row names"):
        read(tmp_path, content, skip=("city",))
    assert read(tmp_path, content, skip=("city",), index=True).row_names == ["1", "2", "3"]
    with pytest.raises(DataError, match="--index: expected a column from 1 to 4 that is not skipped, got 1"):
        read(tmp_path, content, skip=("city",), index=1)
    with pytest.raises(DataError, match="--index: expected a column from 1 to 4 that is not skipped, got 2"):
        read(tmp_path, content, skip=("a",), index=2)


def test_a_title_above_the_table_is_thought_of(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2, column 2: .*; a title above the table has to go"):
        read(tmp_path, "Sales,,,\nshop,a,b,c\nx,1,2,3\ny,2,,6\n")


def test_a_column_of_any_type_is_skipped_in_parquet(tmp_path: Path) -> None:
    days = pd.date_range("2026-11-29", periods=3)
    frame = pd.DataFrame({"day": days, "a": [1, 2, NAN], "city": ["Rome", None, "Bonn"], "b": [2.0, 4, 6]})
    frame.to_parquet(tmp_path / "frame")
    table = read_table(tmp_path / "frame", Reading(skip=("day", "city")))
    np.testing.assert_array_equal(table.values, frame[["a", "b"]])
    filled = pd.read_parquet(io.BytesIO(completed_with(table, 3.0)))
    pd.testing.assert_frame_equal(filled, frame.fillna({"a": 3.0}))


def test_what_is_skipped_in_parquet_stays_as_it_was_stored(tmp_path: Path) -> None:
    skipped = {
        "user": pa.array([{"id": 2**53 + 1}, {"id": None}, {"id": 3}]),
        "tags": pa.array([["x"], ["y", "z"], None]),
        "visits": pa.array([[("may", 1)], [], None], pa.map_(pa.string(), pa.int64())),
        "price": pa.array([Decimal("1.5"), Decimal("2.5"), None]),
        "day": pa.array([1, 2, 3], pa.timestamp("s")),
    }
    stored = pa.table({"a": [1.0, None, 3.0], "b": [4.0, 5.0, 7.0], **skipped})
    pq.write_table(stored, tmp_path / "t.parquet")
    stored = pq.read_table(tmp_path / "t.parquet")  # the format has no seconds
    table = read_table(tmp_path / "t.parquet", Reading(skip=tuple(skipped)))
    after = pq.read_table(io.BytesIO(completed_with(table, 2.0)))
    assert after.column_names == stored.column_names
    for name in skipped:
        assert after[name].type == stored[name].type
        assert after[name].to_pylist() == stored[name].to_pylist()
    assert after["a"].to_pylist() == [1, 2, 3]
    with pytest.raises(DataError, match=r"column price: expected numbers, got decimal128\(2, 1\): store it as double"):
        read_table(tmp_path / "t.parquet", Reading(skip=("user", "tags", "visits", "day")))


def test_times_of_day_in_excel_stay_times(tmp_path: Path) -> None:
    rows = [["opens", "mon", "tue"], [time(8), 1, 2], [time(9, 30), None, 3.5], [timedelta(hours=30), 3, 6.5]]
    pd.DataFrame(rows).to_excel(tmp_path / "t.xlsx", header=False, index=False)
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    for line in (2, 3, 4):
        book.active.cell(line, 1).value = rows[line - 1][0]  # pyright: ignore[reportOptionalMemberAccess]
    book.save(tmp_path / "t.xlsx")
    content = completed_with(read_table(tmp_path / "t.xlsx", Reading(skip=("opens",))), 2.0)
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    times = [sheet.cell(line, 1).value for line in (2, 3, 4)]  # pyright: ignore[reportOptionalMemberAccess]
    assert times == [time(8), time(9, 30), timedelta(hours=30)]


@pytest.mark.parametrize("other", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_within_a_cell_are_the_cell_s_own(end: str, other: str, tmp_path: Path) -> None:
    content = f'shop,"spring{other}2020",b{end}u,1.5,2{end}v,{{}},5{end}'
    assert completed_with(read(tmp_path, content.format("")), 3).decode() == content.format("3.000")


@pytest.mark.parametrize("encoding", [None, "utf8", "UTF-8", "utf_8"])
def test_the_mark_of_an_encoding_stays_however_that_is_spelt(encoding: str | None, tmp_path: Path) -> None:
    content = codecs.BOM_UTF8 + b"1,2\n,3\n"
    assert completed_with(read(tmp_path, content, encoding=encoding), 5) == codecs.BOM_UTF8 + b"1,2\n5.000,3\n"


def test_a_name_may_be_what_elsewhere_says_that_an_entry_is_missing(tmp_path: Path) -> None:
    table = read(tmp_path, "country,a,NA\nFR,1,2\nNA,2,\n.,3,6\n")
    assert (table.row_names, table.column_names) == (["FR", "NA", "."], ["a", "NA"])


def test_a_written_number_stays_within_its_bounds() -> None:
    whole = Notation(0, False, ".")
    assert whole.write(2345.6) == "2346"
    assert whole.write(2345.6, within=(-math.inf, 2345.6)) == "2345.6"
    assert whole.write(2500.4, within=(2500.4, 2500.45)) == "2500.4"
    assert Notation(1, True, ",").write(0.99999, within=(-1.0, 0.99999)) == "9,9999e-01"


def test_triplets_may_have_other_columns(tmp_path: Path) -> None:
    content = "when,user,item,rating\n9,u,ham,1\n8,u,egg,2\n7,v,ham,{}\n6,v,jam,3\n"
    table = read(tmp_path, content.format(""), triplets=True, skip=("when",))
    np.testing.assert_array_equal(table.values, [[1, 2, NAN], [NAN, NAN, 3]])
    assert completed_with(table, 5).decode() == content.format("5.000") + ",u,jam,5.000\n,v,egg,5.000\n"


def test_triplets_of_parquet_keep_the_types_of_their_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "user": [1, 1, 2, 2, 3],
            "item": ["ham", "egg", "ham", "egg", "jam"],
            "rating": [1.5, 2.0, NAN, 4.0, 3.0],
            "when": [9, 8, 7, 6, 5],
            "seen": [True, False, True, True, False],
        }
    )
    (tmp_path / "frame.parquet").write_bytes(parquet(frame))
    table = read_table(tmp_path / "frame.parquet", Reading(triplets=True, skip=("when", "seen")))
    filled = pd.read_parquet(io.BytesIO(completed_with(table, 5.0)))
    assert filled.dtypes.astype(str).tolist()[2:] == ["float64", "Int64", "boolean"]
    assert filled["user"].dtype == np.int64
    assert filled["rating"].tolist() == [1.5, 2.0, 5.0, 4.0, 3.0, 5.0, 5.0, 5.0, 5.0]
    assert filled["when"].dropna().tolist() == [9, 8, 7, 6, 5]
    assert filled["when"].isna().tolist() == [False] * 5 + [True] * 4


def test_a_skipped_column_of_parquet_may_lack_some(tmp_path: Path) -> None:
    frame = pd.DataFrame({"day": pd.array([1, None], dtype="Int64"), "a": [1.5, 2.5], "b": [3.5, NAN]})
    (tmp_path / "frame.parquet").write_bytes(parquet(frame))
    table = read_table(tmp_path / "frame.parquet", Reading(skip=("day",), index=0))
    filled = pd.read_parquet(io.BytesIO(completed_with(table, 4)))
    pd.testing.assert_frame_equal(filled, frame.fillna({"b": 4.0}))


@pytest.mark.parametrize("skip", ["town", "0", "4", "a"])
def test_a_column_to_skip_that_is_not_there_or_is_two(skip: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--skip: expected a column, from 1 to 3 or its name"):
        read(tmp_path, "a,b,a\n1,2,3\n2,4,6\n", skip=(skip,))


def test_the_default_name() -> None:
    assert as_completed(Path("a/b.x.csv")) == Path("a/b.x.completed.csv")
    assert as_completed(Path("data")) == Path("data.completed")
    assert as_completed(Path("-")) == Path("-")


# ---- a fuzz test: thousands of files, good, bad and mutated

SEEDS = (
    b"1,2,3\n4,,6\n7,8,9\n",
    b",a,b\r\nx,1.5,\r\ny,NA,2.25\r\nz,3,4\r\n",
    "name;m\u00e4rz;juni\nx;1,5;\ny;;2,25\n".encode(),
    b'"a b","c ""d"""\n"1",""\n"-2.5e-3","4"\n',
    b"\xef\xbb\xbf1\t2\n3\t\n",
    "1,2\n,4\n".encode("utf-16"),
    npy(np.array([[1.0, NAN], [2.0, 3.0]])),
    npy(np.array([[1.0, 2.0], [NAN, 3.0]], dtype="f2", order="F")),
)
PIECES = (
    b'"', b'""', b",", b";", b"\t", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"-", b"+",
    b".", b"1e308", b"-1e-320", b"1e999", b"inf", b"nan", b"NA", b"1,5", b"0" * 400, b"9" * 5000, b"x" * 3000, b"'",
    "\u2028".encode(), "\u0661".encode(), "\u2212\u0031".encode(), "\U0001f600".encode(), "\xa0".encode(), b"\x1b[2J",
    b"(99999999999, 4)", b"\x93NUMPY", b"PK\x03\x04", b"=1+1", b"#", b"1_000", b"0x1p3", b"true", b"\x85", b" ", b"\\",
)  # fmt: skip


def some_file(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.1:
        return chance.randbytes(chance.randrange(200))
    if kind < 0.4:  # lines of pieces
        return b"".join(chance.choice((*PIECES, b"1", b"2.5", b",", b",", b"\n")) for _ in range(chance.randrange(40)))
    data = bytearray(chance.choice(SEEDS))
    for _ in range(chance.randrange(6)):
        at = chance.randrange(len(data) + 1)
        change = chance.random()
        if change < 0.5:
            data[at:at] = chance.choice(PIECES)
        elif change < 0.7:
            del data[at : at + chance.randrange(1, 8)]
        elif change < 0.9 and at < len(data):
            data[at] = chance.randrange(256)
        else:
            data[at:at] = data[: chance.randrange(len(data) + 1)]
    return bytes(data)


def test_thousands_of_files_are_completed_or_refused_in_one_line() -> None:
    chance = random.Random(0)
    completed, refusals = 0, []
    for _ in range(1_500):
        content = some_file(chance)
        try:
            table = parse_table(content)
        except DataError as error:
            refusals.append(str(error))
            continue
        values = table.values
        seen = ~np.isnan(values)
        assert np.isfinite(values[seen]).all()
        written = table.filled(np.where(seen, values, np.median(values[seen])))
        again = parse_table(written, as_recognised(table)).values
        np.testing.assert_array_equal(again[seen], values[seen])
        assert not np.isnan(again).any()
        completed += 1
    assert min(completed, len(refusals)) > 100
    assert all("\n" not in line and len(line) < 400 for line in refusals)


def as_recognised(table: Table) -> Reading:
    """What was recognised: filling a gap may make a line of names look like one of entries, or the other way round."""
    if not isinstance(table, GridTable):
        return Reading()
    words = {"tabs": "\t", "semicolons": ";", "commas": ","}
    separator = next(mark for word, mark in words.items() if word in table.layout)
    header, index = "a header line" in table.layout, "a column of row names" in table.layout
    return Reading(header, index, separator=separator, decimal=table.notation.mark)


def test_large_files_are_read_in_linear_time(tmp_path: Path) -> None:
    """Quotes that are never closed, and many of them, would make a careless pattern take hours."""
    for content in (b'"' + b'""' * 50_000, b'","' * 50_000, b'"\n' * 50_000 + b'"', b'x"' * 50_000):
        with pytest.raises(DataError):
            read(tmp_path, content)
    assert len(content) < LARGEST


def test_a_line_that_pandas_only_warns_of_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pandas 2 cuts a longer line off, and warns; pandas 3 raises."""

    def cut(*_: object, **__: object) -> pd.DataFrame:
        warnings.warn("Length of header or names does not match", pd.errors.ParserWarning, stacklevel=2)
        return pd.DataFrame([["1", "2"], ["3", "4"]])

    monkeypatch.setattr(pd, "read_csv", cut)
    (tmp_path / "t.csv").write_text("1,2\n3,4,5\n")
    with pytest.raises(DataError, match="as many values in every line as in the first, got a line with more"):
        read_table(tmp_path / "t.csv")


def test_observed_whole_numbers_that_float64_has_not_are_one_line(tmp_path: Path) -> None:
    whole = read(tmp_path, npy(np.array([[2**53 + 1, -1], [2, 3]])), missing="-1")
    with pytest.raises(DataError, match=r"row 1, column 1: .* got 9007199254740993"):
        completed_with(whole, 0.5)
    assert np.load(io.BytesIO(completed_with(whole, 7.0)))[0, 0] == 2**53 + 1


def test_a_damaged_array_beside_the_matrix_is_one_line(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([[1.0, NAN]]), b=np.full((2, 2), 77.0))
    content = buffer.getvalue().replace(np.float64(77.0).tobytes(), np.float64(78.0).tobytes(), 1)
    with pytest.raises(DataError, match="damaged NPZ file: its array b"):
        read(tmp_path, content, sheet="a")


def test_a_text_of_excel_stays_a_text(tmp_path: Path) -> None:
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    for row in (["", "a", "b"], ["=r1", 1.0, None], ["r2", 2.0, 3.0]):
        book.worksheets[0].append(row)
    book.worksheets[0]["A2"].data_type = "s"  # which openpyxl takes for a formula
    book.save(buffer)
    table = read(tmp_path, buffer.getvalue())
    written = openpyxl.load_workbook(io.BytesIO(completed_with(table, 4.0))).worksheets[0]
    assert [written["A2"].data_type, written["A2"].value, written["C2"].value] == ["s", "=r1", 4]


def test_single_precision_in_parquet_holds_what_is_filled_in_or_says_so(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, NAN], "b": [2.0, 3.0]}).astype(np.float32)
    with pytest.raises(DataError, match="beyond the range of float32"):
        completed_with(read(tmp_path, parquet(frame)), 1e39)


def test_a_list_of_too_many_names_is_one_line(tmp_path: Path) -> None:
    content = "".join(f"user{i},item{i},{i % 5}.5\n" for i in range(1001))
    with pytest.raises(DataError, match="at most 1,000,000 entries, got 1,001 rows and 1,001 columns"):
        read(tmp_path, content, triplets=True)
