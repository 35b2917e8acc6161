"""Completing a person's matrix: the methods on known answers, and `abruptlab complete` as a user meets it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

import abruptlab as abruptlab_package
from abruptlab.baselines import smc
from abruptlab.baselines.holdout import HeldOut
from abruptlab.cli.completing import LISTED, Complete
from abruptlab.complete import methods as completion
from abruptlab.complete.methods import METHODS, Completion, Plan, complete, plan
from abruptlab.complete.options import OPTIONS as METHOD_OPTIONS
from abruptlab.complete.reading import Reading
from abruptlab.errors import ConfigError, DataError
from abruptlab.figures.completion import draw_completion
from tests.baselines.test_completer import person_data
from tests.cli.test_cli import abruptlab

NAN = np.nan
U, V = np.array([0.9, -0.6, 0.4, 0.8, -1.0]), np.array([0.5, 1.0, -0.8, 0.6, 0.7])
MATRIX = np.outer(U, V).round(2)
HOLES = [(0, 1), (1, 3), (2, 0), (4, 2)]
GIVEN = MATRIX.copy()
GIVEN[tuple(zip(*HOLES, strict=True))] = NAN
OPTIONS = {"factorisation": {"rank": 1}, "posterior-mean": {"rank": 1}}
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(abruptlab_package.__file__).parents[1])}
HELD_OUT = HeldOut(0.1, 0.2, entries=5, in_deviations=False)
LOW_RANK = [name for name in METHODS if name != "means"]


def text_of(matrix: np.ndarray) -> str:
    rows = [",".join("" if np.isnan(value) else f"{value:g}" for value in row) for row in matrix]
    return ",a,b,c,d,e\n" + "".join(f"r{i},{row}\n" for i, row in enumerate(rows, start=1))


def in_one_part(name: str, shape: tuple[int, int], **options: Any) -> Plan:
    """A plan that holds out one part only: whatever is asked of the completion itself does not depend on the others."""
    return replace(plan(name, shape, **options), folds=1)


@pytest.fixture
def one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same of the command."""
    monkeypatch.setattr(completion, "HELD_OUT", 0.0)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(text_of(GIVEN))
    return Path("t.csv")


@pytest.mark.parametrize("name", LOW_RANK)
def test_a_matrix_of_rank_1_is_completed(name: str) -> None:
    planned = plan(name, GIVEN.shape, **OPTIONS.get(name, {}))
    assert planned.folds == 10
    completed = complete(GIVEN, replace(planned, folds=3))
    tolerance = 0.3 if name == "bert" else 0.02
    np.testing.assert_allclose(completed.values, MATRIX, atol=tolerance)
    np.testing.assert_array_equal(completed.observed, ~np.isnan(GIVEN))
    np.testing.assert_array_equal(completed.values[completed.observed], GIVEN[completed.observed])
    assert (completed.spread is not None) == (name == "posterior-mean")
    assert completed.held_out.better
    assert not completed.warnings


@pytest.mark.parametrize("name", ["nuclear", "regularised", "factorisation", "means"])
def test_the_scale_does_not_matter(name: str) -> None:
    planned = in_one_part(name, GIVEN.shape, **OPTIONS.get(name, {}))
    expected = complete(GIVEN, planned).values
    for factor in (1e-300, 1e-6, 1e6, 1e300):
        scaled = complete(factor * GIVEN, planned).values / factor
        np.testing.assert_allclose(scaled, expected, atol=1e-4, err_msg=f"{factor:g}")


def test_an_additive_matrix_is_completed_by_means() -> None:
    matrix = np.add.outer([1.0, 2.0, 4.0], [10.0, 20.0, 50.0])
    given = matrix.copy()
    given[1, 1] = NAN
    np.testing.assert_allclose(complete(given, in_one_part("means", (3, 3))).values, matrix, atol=1e-9)


def test_the_posterior_knows_how_sure_it_is() -> None:
    """In rank 1 an entry follows from three others, up to their rounding; from none in its row's and column's block it
    does not."""
    follows = np.array([[0.5, 0.25], [0.8, NAN]])
    known = complete(follows, in_one_part("posterior-mean", (2, 2), rank=1))
    np.testing.assert_allclose(known.values[1, 1], 0.4, atol=0.01)
    apart = np.array([[0.5, NAN, 0.25], [0.8, NAN, 0.4], [NAN, 0.3, NAN]])
    unknown = complete(apart, in_one_part("posterior-mean", (3, 3), rank=1))
    assert known.spread is not None
    assert unknown.spread is not None
    assert (unknown.spread[unknown.observed] == 0).all()
    assert known.spread[1, 1] < 0.02
    assert (unknown.spread[~unknown.observed] > 0.1).all()


def test_a_matrix_outside_of_the_prior_is_refused() -> None:
    with pytest.raises(DataError, match="of at most 1, the rank, got one of size 10: divide the matrix by 10 or more"):
        complete(10 * GIVEN, plan("posterior-mean", GIVEN.shape, rank=1))


def test_entries_beyond_the_largest_number_are_refused() -> None:
    given = np.array([[1e308, 1.7e308], [1.7e308, NAN]])
    with pytest.raises(DataError, match="beyond the range of float64"):
        complete(given, plan("factorisation", (2, 2), rank=1))


def test_what_a_method_has_to_say_comes_with_the_completion() -> None:
    said = complete(0.5 * np.eye(5), in_one_part("bert", (5, 5))).warnings
    assert re.search("not of rank 1", said[0])


@pytest.mark.parametrize(
    ("name", "shape", "options", "line"),
    [
        ("factorisation", (5, 4), {"rank": 5}, "--rank: expected 1 to 4 for a matrix of 5×4, got 5"),
        ("nuclear", (4000, 4000), {}, r"about [\d,]+ minutes for a matrix of 4000×4000, .*: take a part of it"),
        ("posterior-mean", (200, 100), {"rank": 2}, r"about \d+ minutes .*: use nuclear"),
        ("factorisation", (900, 400), {"rank": 9}, "use nuclear"),
        ("means", (20_000, 5), {}, "use nuclear"),
    ],
)
def test_what_a_method_cannot_do_is_refused_before_it_starts(
    name: str, shape: tuple[int, int], options: dict[str, int], line: str
) -> None:
    with pytest.raises(ConfigError, match=line):
        plan(name, shape, **options)


def test_200_by_100_is_no_matter_for_the_default() -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(200, 2)) @ random.normal(size=(2, 100))
    given = np.where(random.random(matrix.shape) < 0.3, NAN, matrix)
    np.testing.assert_allclose(complete(given, in_one_part("nuclear", (200, 100))).values, matrix, atol=1e-2)


@pytest.mark.parametrize("shape", [(1, 3), (5, 5), (60, 3), (3, 60), (300, 200)])
def test_the_picture_shows_holes_and_spread(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    values, observed = random.uniform(2, 3, shape), random.random(shape) > 0.3
    figure = draw_completion(Completion(values, observed, np.where(observed, 0, 0.5), HELD_OUT, ()))
    holes, whole, spread, *_ = (axes.images[0] for axes in figure.axes[:3])
    np.testing.assert_array_equal(np.ma.getmaskarray(np.ma.asarray(holes.get_array())), ~observed)
    assert not np.ma.is_masked(whole.get_array())
    low, high = whole.get_clim()
    assert low == pytest.approx(values.min())
    assert high == pytest.approx(values.max())
    assert spread.get_clim() == (0, 0.5)
    assert len(draw_completion(Completion(values, observed, None, HELD_OUT, ())).axes) == 3  # two panels and a bar


# ---- the command


def test_the_methods_are_those_there_are() -> None:
    assert set(get_args(get_type_hints(Complete)["method"])) == set(METHODS) == set(METHOD_OPTIONS)


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["--skip", "city", "2"], "skip", ("city", "2")),
        (["--decimal", ","], "decimal", ","),
        (["--separator", "tab"], "separator", "\t"),
        (["--separator", "\\t"], "separator", "\t"),
        (["--encoding", "latin-1"], "encoding", "latin-1"),
        (["--missing", "-999"], "missing", "-999"),
        (["--header", "no"], "header", False),
        (["--index", "yes"], "index", 1),
        (["--index", "3"], "index", 3),
        (["--sheet", "a"], "sheet", "a"),
        (["--triplets"], "triplets", True),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, list) else "",
)
def test_what_is_said_of_a_file_is_heard(
    words: list[str], field: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Reading] = []

    def read(path: Path, given: Reading) -> None:
        heard.append(given)
        raise DataError("heard")

    monkeypatch.setattr("abruptlab.complete.tablefile.read_table", read)
    assert abruptlab("complete", "-", *words) == (1, "abruptlab: heard")
    assert heard == [replace(Reading(), **{field: value})]


def test_a_file_is_completed(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("complete", table, "--picture", "t.png") == (0, "")
    before, after = table.read_text(), Path("t.completed.csv").read_text()
    assert before == text_of(GIVEN)
    assert re.sub(r"-?\d\.\d{4}", "", after) == before  # filled cells have four decimals, observed ones at most two
    filled = [float(number) for number in re.findall(r"-?\d\.\d{4}", after)]
    np.testing.assert_allclose(filled, [MATRIX[hole] for hole in HOLES], atol=0.02)
    shown = capsys.readouterr().out
    assert "5×5 matrix, separated by commas, a header line, a column of row names; 4 missing" in shown
    assert [line.split() for line in shown.splitlines()[2:6]] == [
        [f"r{i + 1}", "abcde"[j], f"{number:.4f}"] for (i, j), number in zip(HOLES, filled, strict=True)
    ]
    assert shown.endswith("t.completed.csv\nt.png\n")
    assert imread("t.png").std() > 0.1
    assert {path.name for path in Path().iterdir()} == {"t.csv", "t.completed.csv", "t.png"}


def test_the_page_shows_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = Path(__file__).parents[2] / "docs"
    monkeypatch.chdir(tmp_path)
    shutil.copy(docs / "sales.csv", tmp_path)
    assert abruptlab("complete", "sales.csv", "--picture", "sales.png") == (0, "")
    page = (docs / "complete.md").read_text()
    for text in (capsys.readouterr().out, (docs / "sales.csv").read_text()):
        assert "".join(f"    {line}\n" for line in text.splitlines()) in page


@pytest.mark.usefixtures("one_part")
def test_the_spread_is_printed(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert abruptlab("complete", table, "--method", "posterior-mean", "--rank", "1") == (0, "")
    assert len(re.findall(r"-?\d\.\d{4}  ±\s+\d\.\d{4}\n", capsys.readouterr().out)) == 4


def test_a_long_list_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = np.where(np.random.default_rng(0).random((30, 20)) < 0.3, NAN, 1.0)
    np.save(tmp_path / "t.npy", given)
    assert abruptlab("complete", tmp_path / "t.npy") == (0, "")
    shown = capsys.readouterr().out
    assert f"… and {np.isnan(given).sum() - LISTED} more" in shown
    assert len(shown.splitlines()) == LISTED + 5
    np.testing.assert_allclose(np.load(tmp_path / "t.completed.npy"), 1, atol=1e-3)


@pytest.mark.usefixtures("one_part")
def test_nothing_is_overwritten_unless_told(table: Path) -> None:
    before = table.read_text()
    for words, taken in ((["--out", table], "t.csv"), ([], "t.completed.csv"), (["--picture", "t.png"], "t.png")):
        if not Path(taken).exists():
            Path(taken).write_text("mine")
        status, said = abruptlab("complete", table, *words)
        assert (status, said) == (
            1, f"abruptlab: {taken} is there already: say --overwrite to write over it, or --out elsewhere"
        )  # fmt: skip
        assert Path(taken).read_text() == (before if taken == "t.csv" else "mine")
        if taken != "t.csv":
            Path(taken).unlink()
    assert abruptlab("complete", table, "--out", table, "--overwrite") == (0, "")
    assert [path.name for path in Path().iterdir()] == ["t.csv"]
    assert len(re.findall(r"-?\d\.\d{4}", table.read_text())) == 4


@pytest.mark.usefixtures("one_part")
def test_a_table_keeps_its_mode_and_a_link_stays_one(table: Path, tmp_path: Path) -> None:
    table.chmod(0o600)
    Path("link.csv").symlink_to(table)
    assert abruptlab("complete", "link.csv", "--out", "link.csv", "--overwrite") == (0, "")
    assert Path("link.csv").is_symlink()
    assert len(re.findall(r"-?\d\.\d{4}", table.read_text())) == 4
    assert table.stat().st_mode & 0o777 == 0o600
    table.write_text(text_of(GIVEN))
    assert abruptlab("complete", table) == (0, "")
    assert Path("t.completed.csv").stat().st_mode & 0o777 == 0o600  # a new file of the same numbers is as private
    Path("t.completed.csv").chmod(0o640)
    assert abruptlab("complete", table, "--overwrite") == (0, "")
    assert Path("t.completed.csv").stat().st_mode & 0o777 == 0o640


def test_a_picture_never_replaces_a_table(table: Path) -> None:
    table.rename("t.png")
    Path("link.png").symlink_to("t.png")
    for words in (
        ["t.png", "--picture", "t.png"],
        ["t.png", "--picture", "link.png"],
        ["t.png", "--out", "o.png", "--picture", "./o.png"],
    ):
        status, said = abruptlab("complete", *words, "--overwrite")
        assert status == 1
        assert re.search(r"--picture: \S+ is the table", said), said
    assert Path("t.png").read_text() == text_of(GIVEN)


def piped_in(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content)))


def test_a_table_from_stdin_is_written_under_no_name_of_another_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FRAME.to_excel(tmp_path / "t.xlsx", index=False)
    piped_in((tmp_path / "t.xlsx").read_bytes(), monkeypatch)
    status, said = abruptlab("complete", "-", "--out", tmp_path / "t.csv")
    assert status == 1
    assert "--out: expected a name that ends in .xlsx, since the table is Excel's, got t.csv" in said
    FRAME.to_parquet(tmp_path / "t.parquet")
    piped_in((tmp_path / "t.parquet").read_bytes(), monkeypatch)
    assert "expected a name for Parquet, which the table is, got t.csv" in abruptlab(
        "complete", "-", "--out", tmp_path / "t.csv"
    )[1]  # fmt: skip
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("name", ["t.xlsm", "t"])
def test_a_workbook_is_not_written_over_itself_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    FRAME.to_excel(tmp_path / "t.xlsx", index=False)
    before = (tmp_path / "t.xlsx").rename(tmp_path / name).read_bytes()
    for words in ((tmp_path / name,), (tmp_path / name, "--out", tmp_path / name, "--overwrite")):
        status, said = abruptlab("complete", *words)
        assert (status, "--out: expected a name that ends in .xlsx" in said) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert abruptlab("complete", tmp_path / name, "--out", tmp_path / "done.xlsx") == (0, "")
    assert (tmp_path / name).read_bytes() == before


def test_a_workbook_on_standard_input_is_not_written_over_itself(tmp_path: Path) -> None:
    FRAME.to_excel(tmp_path / "t.xlsx", index=False)
    before = (tmp_path / "t.xlsx").read_bytes()
    words = [sys.executable, "-m", "abruptlab", "complete", "-", "--out", "t.xlsx", "--overwrite"]
    with (tmp_path / "t.xlsx").open("rb") as file:
        done = subprocess.run(words, stdin=file, cwd=tmp_path, capture_output=True, check=False, env=ENVIRONMENT)
    assert (done.returncode, b"a workbook is not written over itself" in done.stderr) == (1, True)
    assert (tmp_path / "t.xlsx").read_bytes() == before


def test_a_pipe_is_not_replaced_by_a_file(table: Path) -> None:
    os.mkfifo("pipe.csv")
    for words in (("--out", "pipe.csv"), ("--picture", "pipe.png")):
        if not Path(words[1]).exists():
            os.mkfifo(words[1])
        status, said = abruptlab("complete", table, *words, "--overwrite")
        assert (status, "it is a pipe or device" in said) == (1, True)
        assert Path(words[1]).is_fifo()


@pytest.mark.usefixtures("one_part")
def test_from_stdin_to_stdout(
    table: Path, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    piped_in(table.read_bytes(), monkeypatch)
    assert abruptlab("complete", "-", "--method", "factorisation", "--rank", "1") == (0, "")
    out, err = capsysbinary.readouterr()
    shown = out.decode()
    np.testing.assert_allclose(
        [float(each) for each in re.findall(r"-?\d\.\d{4}", shown)], [MATRIX[hole] for hole in HOLES], atol=0.01
    )
    assert re.sub(r"-?\d\.\d{4}", "", shown) == table.read_text()
    assert "4 missing" in err.decode()
    words = [sys.executable, "-m", "abruptlab", "complete", "-", "--index", "1"]
    again = subprocess.run(words, input=out, capture_output=True, check=True, env=ENVIRONMENT)
    assert again.stdout == out  # nothing to do, but what is piped on
    assert [path.name for path in Path().iterdir()] == ["t.csv"]


@pytest.mark.usefixtures("one_part")
def test_bounds_and_rounding(table: Path) -> None:
    assert abruptlab("complete", table, "--min", "-0.1", "--max", "0.25", "--round", "1") == (0, "")
    assert Path("t.completed.csv").read_text().splitlines()[1:3] == [
        "r1,0.45,0.2,-0.72,0.54,0.63",
        "r2,-0.3,-0.6,0.48,-0.1,-0.42",
    ]
    status, said = abruptlab("complete", table, "--min", "1", "--max", "0", "--overwrite")
    assert (status, said) == (1, "abruptlab: --min: expected at most --max (0), got 1")


@pytest.mark.parametrize("method", ["nuclear", "regularised"])
def test_columns_of_different_units(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, given = person_data()
    pd.DataFrame(given, columns=["age", "income", "height", "weight"]).to_csv(tmp_path / "people.csv", index=False)
    words = ["complete", tmp_path / "people.csv", "--method", method, "--overwrite"]
    errors = {}
    for scale in ("auto", "columns", "none"):
        assert abruptlab(*words, *([] if scale == "auto" else ["--scale", scale])) == (0, "")
        shown = capsys.readouterr()
        found = re.search(
            r"error in deviations of the column: (\S+) on \d+ held-out entries, column means (\S+)\n", shown.out
        )
        assert found, shown.out
        errors[scale] = float(found[1])
        assert float(found[2]) == pytest.approx(1, abs=0.1)
        assert ("column means tell held-out entries as well" in shown.err) == (scale == "none")
    assert errors["auto"] == errors["columns"] < 0.8
    assert errors["none"] > 2


@pytest.mark.usefixtures("one_part")
def test_triplets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.csv").write_text(
        "user,item,rating\n7,ham,3\n7,egg,4\n3,ham,6\n5,egg,2\n5,ham,1.5\n3,jam,NA\n7,jam,1\n"
    )
    words = ["complete", tmp_path / "r.csv", "--triplets", "--method", "factorisation", "--rank", "1", "--round", "1"]
    assert abruptlab(*words) == (0, "")
    assert "3×3 matrix, separated by commas, 7 triplets, a header line; 3 missing" in capsys.readouterr().out
    assert (tmp_path / "r.completed.csv").read_text() == (
        "user,item,rating\n7,ham,3\n7,egg,4\n3,ham,6\n5,egg,2\n5,ham,1.5\n3,jam,2.0\n7,jam,1\n3,egg,8.0\n5,jam,0.5\n"
    )
    (tmp_path / "r.csv").write_text("user,item,rating\nNa,ham,1\nnone,egg,2\nNa,egg,4\nnone,ham,NA\n")  # of names
    assert abruptlab(*words, "--overwrite") == (0, "")
    assert (tmp_path / "r.completed.csv").read_text().endswith("Na,egg,4\nnone,ham,0.5\n")
    (tmp_path / "r.csv").write_text("7,ham,3\n7,egg,4\n7,ham,2\n")
    status, said = abruptlab(*words, "--overwrite")
    assert status == 1
    assert said.endswith("r.csv: row 3: 7, ham has a value in row 1 already")
    (tmp_path / "r.csv").write_text("7,ham\n7,egg\n")
    assert "expected three columns (row, column, value), got 2" in abruptlab(*words, "--overwrite")[1]


FRAME = pd.DataFrame(
    {
        "shop": ["x", "y", "z"],
        "a": [1.0, NAN, 3],
        "b": pd.array([2, 4, None], dtype="Int64"),
        "c": np.array([1, 2, NAN], "f4"),
    }
)


@pytest.mark.usefixtures("one_part")
def test_parquet_keeps_names_and_types(tmp_path: Path) -> None:
    for frame in (FRAME, FRAME.set_index("shop")):
        frame.to_parquet(tmp_path / "t.parquet")
        for options, dtype in (((), "float64"), (("--round", "0"), "Int64")):
            words = ("--method", "factorisation", "--rank", "1", "--overwrite", *options)
            assert abruptlab("complete", tmp_path / "t.parquet", *words) == (0, "")
            filled = pd.read_parquet(tmp_path / "t.completed.parquet")
            pd.testing.assert_index_equal(filled.index, frame.index)
            assert list(filled.columns) == list(frame.columns)
            assert list(filled.dtypes[["a", "b", "c"]]) == ["float64", dtype, "float32"]
            np.testing.assert_allclose(
                filled[["a", "b", "c"]].astype(float), [[1, 2, 1], [2, 4, 2], [3, 6, 3]], atol=0.01
            )


@pytest.mark.usefixtures("one_part")
def test_a_sheet_of_excel(tmp_path: Path) -> None:
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        FRAME.to_excel(book, sheet_name="first", index=False)
        (10 * FRAME.set_index("shop")).to_excel(book, sheet_name="second", startrow=2)  # below two blank rows
    words = ("complete", tmp_path / "t.xlsx", "--method", "factorisation", "--rank", "1")
    assert abruptlab(*words)[1].endswith("t.xlsx: expected one of the sheets first, second: say --sheet NAME")
    assert abruptlab(*words, "--sheet", "third")[1].endswith("--sheet: expected one of first, second, got third")
    assert abruptlab(*words, "--sheet", "second") == (0, "")
    filled = pd.read_excel(tmp_path / "t.completed.xlsx", sheet_name="second", index_col=0)
    np.testing.assert_allclose(filled, [[10, 20, 10], [20, 40, 20], [30, 60, 30]], atol=0.1)
    assert (list(filled.columns), list(filled.index)) == (["a", "b", "c"], ["x", "y", "z"])
    status, said = abruptlab(*words, "--sheet", "first", "--out", tmp_path / "t.xlsx", "--overwrite")
    assert (status, said) == (
        1,
        "abruptlab: --out: a workbook is not written over itself: it would lose formulas and formats",
    )


@pytest.mark.usefixtures("one_part")
def test_an_array_of_npz(tmp_path: Path) -> None:
    given = np.array([[1, 2, 1], [2, NAN, 2], [-999, 6, 3]], "f4")
    np.savez_compressed(tmp_path / "t.npz", matrix=given, other=np.arange(3))
    words = ("complete", tmp_path / "t.npz", "--missing", "-999", "--method", "factorisation", "--rank", "1")
    assert abruptlab(*words)[1].endswith("t.npz: expected one of the arrays matrix, other: say --sheet NAME")
    assert abruptlab(*words, "--sheet", "matrix") == (0, "")
    filled = np.load(tmp_path / "t.completed.npz")
    np.testing.assert_allclose(filled["matrix"], np.outer([1, 2, 3], [1, 2, 1]), atol=0.01)
    assert filled["matrix"].dtype == "f4"
    np.testing.assert_array_equal(filled["other"], [0, 1, 2])


def test_formats_that_need_more_packages_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FRAME.to_parquet(tmp_path / "t.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    status, said = abruptlab("complete", tmp_path / "t.parquet")
    assert status == 1
    assert said.endswith("t.parquet: Parquet needs more packages: pip install 'abruptlab[tables]'")


def test_one_matrix_that_no_product_of_the_rank_rounds_to(
    table: Path, one_part: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smc, "LEVELS", 15)
    table.write_text("s,a,b,c\nX,0.90,-0.20,0.70\nY,-0.80,0.60,\nZ,0.10,0.90,-0.50\n")
    assert abruptlab("complete", table, "--method", "posterior-mean", "--rank", "1") == (0, "")
    assert "1 of 1 matrices: not every population found" in capsys.readouterr().err
    assert Path("t.completed.csv").read_text().count(",") == 12


@pytest.mark.usefixtures("one_part")
@pytest.mark.parametrize("method", ["nuclear", "regularised", "factorisation", "means"])
@pytest.mark.parametrize("size", [1e200, 1.7e308])
def test_huge_entries(method: str, size: float, tmp_path: Path) -> None:
    given = size * np.array([[1, 1, 0.5], [1, NAN, 0.5], [1, 1, 0.5]])
    np.save(tmp_path / "t.npy", given)
    words = ("--rank", "1") if method == "factorisation" else ()
    picture = ("--picture", tmp_path / "t.png") if method == "means" else ()  # which is of the same entries for all
    words = (*words, *picture, "--max", str(size))
    assert abruptlab("complete", tmp_path / "t.npy", "--method", method, *words) == (0, "")
    np.testing.assert_allclose(np.load(tmp_path / "t.completed.npy")[1, 1] / size, 1, atol=0.01)


def test_columns_of_different_units_are_drawn_as_deviations() -> None:
    values = np.outer(np.arange(4.0), [1, 1e6])
    held_out = HeldOut(0.1, 0.2, entries=5, in_deviations=True)
    figure = draw_completion(Completion(values, np.ones((4, 2), bool), None, held_out, ()))
    image = np.asarray(figure.axes[1].images[0].get_array())
    np.testing.assert_allclose(image[:, 0], image[:, 1])
    assert image.std() == pytest.approx(1)


def test_nothing_missing_is_nothing_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("5\n")
    assert abruptlab("complete", tmp_path / "t.csv") == (0, "")
    assert "1×1 matrix, separated by commas, no header line, no column of row names; 0 missing\nnothing to do" in (
        capsys.readouterr().out
    )
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]
    words = ["--picture", tmp_path / "t.png", "--out"]
    assert abruptlab("complete", tmp_path / "t.csv", *words, tmp_path / "u.csv") == (0, "")  # somebody waits for it
    assert capsys.readouterr().out.endswith(f"nothing to do, and no picture to draw\n{tmp_path / 'u.csv'}\n")
    assert (tmp_path / "u.csv").read_text() == "5\n"
    assert not (tmp_path / "t.png").exists()


def test_a_reader_who_has_enough_is_no_error(table: Path) -> None:
    table.write_text("1,2\n" * 50_000)  # more than a pipe holds
    command = f"{shlex.quote(sys.executable)} -m abruptlab complete t.csv --header no --index no --out - | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout == "1,2\n"
    assert done.stderr.endswith("0 missing\nnothing to do\n")


def test_a_full_disk_behind_standard_output_is_told(table: Path) -> None:
    table.write_text("1,2\n")  # nothing to do, for which no method is imported
    words = [sys.executable, "-m", "abruptlab", "complete", table, "--out", "-"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 1
    assert done.stderr.endswith("abruptlab: cannot write to standard output: No space left on device\n")


@pytest.mark.usefixtures("one_part")
def test_warnings_are_lines_on_stderr(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strange = 0.5 * np.eye(5)
    strange[0, 1] = NAN
    table.write_text(text_of(strange))
    assert abruptlab("complete", table, "--method", "bert") == (0, "")
    said = capsys.readouterr().err
    assert "abruptlab: the matrix is not of rank 1" in said
    assert ".py:" not in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["none.csv"], "cannot read none.csv: No such file or directory"),
        (["."], "expected a file, got a folder"),
        (["bad.csv"], "bad.csv: row 2, column 1: expected a number or an empty cell, got 'x'"),
        (["t.csv", "--picture", "t.jpg"], r"--picture: expected a name that ends in .png or .pdf, got t\.jpg"),
        (["t.csv", "--picture", "no/t.png"], "cannot write no/t.png: no is no folder"),
        (["t.csv", "--out", 300 * "a" + ".csv"], "cannot write: File name too long"),
        (["t.csv", "--picture", "t.csv.png", "--out", "."], "t.csv, got |cannot write .: it is a folder"),
        (["t.csv", "--out", "t.npy"], "--out: expected the format of t.csv, got t.npy"),
        (["t.csv", "--out", "t.tsv"], "--out: expected the format of t.csv, got t.tsv"),
        (["t.csv", "--out", "no/t.csv"], "cannot write no/t.csv: no is no folder"),
        (["t.csv", "--method", "factorisation", "--rank", "6"], "--rank: expected 1 to 5 for a matrix of 5×5, got 6"),
        (["t.csv", "--method", "bert", "--run", "nowhere"], "nowhere is neither a run folder nor a run"),
        (["big.csv", "--method", "bert"], "5×5, the size that laptop was trained for, got 2×3; .*--method nuclear"),
        (["large.csv", "--method", "bert"], "from −1 to 1, .* got one of size 100; .*--method nuclear"),
        (["large.csv", "--method", "posterior-mean", "--rank", "1"], "divide the matrix by 100 or more"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(words: list[str], line: str, table: Path) -> None:
    Path("bad.csv").write_text("1,2\nx,4\n3,\n")
    Path("big.csv").write_text("1.5,2,3\n4,5,\n")
    Path("large.csv").write_text(text_of(100 * GIVEN))
    there = {path.name for path in Path().iterdir()}
    status, said = abruptlab("complete", *words)
    assert status == 1
    assert said.startswith("abruptlab: ")
    assert "\n" not in said
    assert re.search(line, said), said
    assert {path.name for path in Path().iterdir()} == there


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--method factorisation", "--rank: method factorisation needs one, got none; nuclear needs none"),
        ("--method posterior-mean --rank 0", "--rank: expected a whole number of at least 1, got 0"),
        ("--rank 2", "--rank: method nuclear has no such option, which is one of factorisation and posterior-mean"),
        ("--method means --run laptop", "--run: method means has no such option, which is one of bert"),
        ("--method regularised --penalty -1", "--penalty: expected a number of 0 or more, got -1"),
        ("--method regularised --penalty nan", "--penalty: expected a number of 0 or more, got nan"),
        ("--min nan", "--min: expected one number, for all columns, got nan"),
        ("--min 3.3 --max 3.4 --round 0", "--round: expected decimals for a number from 3.3 to 3.4, got 0"),
        ("--min 1 --max 0", "--min: expected at most --max (0), got 1"),
        ("--round 301", "--round: expected a whole number from -300 to 300, got 301"),
    ],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_told_by_its_name_before_the_table_is_read(words: str, line: str) -> None:
    assert abruptlab("complete", "none.csv", *words.split()) == (1, f"abruptlab: {line}")
