"""What all methods share: units, precision, masks, bounds, blank rows, and the error on held-out entries."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer

from abruptlab.baselines.bayes import PosteriorMean
from abruptlab.baselines.completer import Completer
from abruptlab.baselines.factorisation import Factorisation
from abruptlab.baselines.nuclear import NuclearNorm, RegularisedNuclearNorm
from abruptlab.baselines.simple import PredictZero, RowColumnMeans
from abruptlab.complete.imputer import TransformerImputer
from abruptlab.errors import ConfigError, DataError

NAN = np.nan
SCALING: list[Any] = [NuclearNorm(), RegularisedNuclearNorm(), Factorisation(1), RowColumnMeans()]
ALL: list[Any] = [*SCALING, PredictZero(), PosteriorMean(1), TransformerImputer()]


def person_data(rows: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Age in years, income, height in cm and weight in kg of some people, and the same with gaps."""
    random = np.random.default_rng(0)
    age = random.normal(45, 12, rows)
    income = 20_000 + 900 * age + random.normal(0, 6_000, rows)
    height = 170 - 0.2 * (age - 45) + random.normal(0, 7, rows)
    weight = 70 + 1.1 * (height - 170) + random.normal(0, 3, rows)
    values = np.stack([age, income, height, weight], 1)
    missing = random.random(values.shape) < 0.25
    missing[missing.all(1), 0] = False
    return values, np.where(missing, NAN, values)


def error(completed: np.ndarray, values: np.ndarray, given: np.ndarray) -> float:
    """Root mean square at the gaps, in deviations of the columns."""
    return float(np.sqrt((((completed - values) / values.std(0))[np.isnan(given)] ** 2).mean()))


@pytest.mark.parametrize("method", [NuclearNorm(), RegularisedNuclearNorm()], ids=repr)
def test_columns_of_different_units_are_completed_better_than_by_their_means(method: Any) -> None:
    values, given = person_data()
    means = error(SimpleImputer().fit_transform(given), values, given)
    assert 0.9 < means < 1.1
    assert error(method.transform(given), values, given) < 0.9 * means
    np.testing.assert_array_equal(method.set_params(scale="columns").transform(given), method.transform(given))
    assert error(method.set_params(scale="none").transform(given), values, given) > 2 * means
    method.set_params(scale="auto")


def test_scaled_columns_are_z_scores() -> None:
    _, given = person_data()
    mean, deviation = np.nanmean(given, 0), np.nanstd(given, 0)
    expected = NuclearNorm(scale="none").transform((given - mean) / deviation) * deviation + mean
    np.testing.assert_allclose(NuclearNorm().transform(given), expected, rtol=1e-9)


def test_columns_alike_are_left_as_they_are_by_default() -> None:
    random = np.random.default_rng(1)
    given = random.normal(size=(20, 4)) * [1, 2, 4, 6]
    given[random.random(given.shape) < 0.2] = NAN
    for method in SCALING:
        alike, columns = (type(method)(**method.get_params() | {"scale": scale}) for scale in ("none", "columns"))
        np.testing.assert_array_equal(method.transform(given), alike.transform(given))
        assert np.abs(columns.transform(given) - alike.transform(given)).max() > 1e-3


def test_each_matrix_of_a_batch_is_scaled_by_itself() -> None:
    random = np.random.default_rng(2)
    batch = random.normal(size=(2, 20, 3)) * [[[1, 2, 3]], [[1, 100, 10_000]]]
    batch[:, 3, 1] = batch[:, 4, 2] = NAN
    for method in SCALING:
        for alone, together in zip(batch, method.transform(batch), strict=True):
            np.testing.assert_allclose(method.transform(alone), together, rtol=1e-6)


def test_a_factorisation_of_columns_in_different_units_is_of_the_rank_that_was_said() -> None:
    matrix = np.outer([1.0, -2, 3, 0.5, 2], [1.0, 1000, 0.01])
    given = matrix.copy()
    given[[1, 3, 0], [0, 1, 2]] = NAN
    np.testing.assert_allclose(Factorisation(1).transform(given), matrix, rtol=1e-3)


@pytest.mark.parametrize("size", [1e200, 1.7e308, 1e-200])
@pytest.mark.parametrize("method", SCALING, ids=repr)
def test_extreme_entries_are_completed_as_others_are(method: Any, size: float) -> None:
    given = np.array([[1, 1, 0.5], [1, NAN, 0.5], [1, 1, 0.5]])
    np.testing.assert_allclose(method.transform(size * given) / size, method.transform(given), atol=5e-3)
    np.testing.assert_allclose(method.estimate(size * given) / size, method.estimate(given), atol=5e-3)


def test_a_factorisation_of_columns_that_are_far_apart_ends_also_unscaled() -> None:
    _, given = person_data()
    assert np.isfinite(Factorisation(2, scale="none").transform(given)).all()
    assert np.isfinite(Factorisation(2, scale="none").transform(1e50 * given)).all()


@pytest.mark.parametrize("method", ALL, ids=repr)
@pytest.mark.parametrize("where", ["fit", "transform", "estimate", "held_out"])
def test_a_blank_row_or_column_is_an_error_in_every_method(method: Completer, where: str) -> None:
    given = np.outer([0.5, -0.2, 0.3, 1, 0.7], [0.9, 0.4, -0.7, 0.3, 0.1])
    row, column = given.copy(), given.copy()
    row[1] = column[:, 2] = NAN
    with pytest.raises(DataError, match=r"row 1 \(counted from 0\) has no observed entry, so that nothing can tell"):
        getattr(method, where)(row)
    with pytest.raises(DataError, match=r"column 2 \(counted from 0\) has no observed entry"):
        getattr(method, where)(column)
    if where != "held_out":
        with pytest.raises(DataError, match=r"row 1 of matrix 1 \(counted from 0\)"):
            getattr(method, where)([given, row])


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8"])
@pytest.mark.parametrize("method", [NuclearNorm(), Factorisation(1), TransformerImputer()], ids=repr)
def test_masks_count_and_precision_stays(method: Any, dtype: str) -> None:
    values = np.ones((5, 5)).astype(dtype)
    mask = np.zeros((5, 5), bool)
    mask[1, 2] = True
    values[1, 2] = -999
    completed = method.fit_transform(np.ma.masked_array(values, mask))
    assert completed.dtype == (dtype if dtype != "i8" else "f8")
    assert not np.ma.isMaskedArray(completed)
    np.testing.assert_array_equal(completed[~mask], 1)
    assert 0.4 < completed[1, 2] < 1.1
    if dtype != "i8":
        gap = np.where(mask, np.array(NAN, dtype), values)
        np.testing.assert_array_equal(method.fit_transform(gap), completed)


def test_a_value_beyond_its_precision_is_an_error() -> None:
    given = np.array([[1e4, 6e4], [6e4, NAN]], dtype="f2")
    with pytest.raises(DataError, match="beyond the range of float16"):
        Factorisation(1).transform(given)


def test_bounds_and_rounding_are_of_what_is_filled_in() -> None:
    given = np.array([[1.0, 2.26], [2.26, NAN]])
    value = Factorisation(1).transform(given)[1, 1]  # about 5.1
    cases: list[tuple[dict[str, Any], float]] = [
        ({"rounding": 1}, round(value, 1)),
        ({"rounding": -1}, 10),
        ({"max_value": 3.0}, 3),
        ({"min_value": 6.25, "rounding": 0}, 7),
        ({"min_value": 6.25, "rounding": 1}, 6.3),
        ({"max_value": 0.07, "rounding": 2}, 0.07),
    ]
    for options, expected in cases:
        filled = Factorisation(1, **options).transform(given)
        assert filled[1, 1] == pytest.approx(expected)
        np.testing.assert_array_equal(filled.ravel()[:3], given.ravel()[:3])
    assert TransformerImputer(min_value=-0.1, max_value=0.1).transform(np.where(np.eye(5), NAN, 0.5)).min() == 0.1


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"min_value": 2.0, "max_value": 1.0}, r"min_value: expected at most max_value \(1\), got 2"),
        ({"min_value": math.nan}, "min_value: expected one number, for all columns, got nan"),
        ({"min_value": None}, "min_value: expected float or int, got None"),
        ({"max_value": np.ones(2)}, "max_value: expected float or int, got"),
        ({"rounding": 0.5}, "rounding: expected int or None, got 0.5"),
        ({"scale": "column"}, "scale: expected one of auto, columns, none, got 'column'"),
    ],
)
def test_options_that_make_no_sense_are_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        NuclearNorm().set_params(**options).transform([[1.0, 2.0]])


def test_indicators_say_what_was_missing() -> None:
    frame = pd.DataFrame({"a": [1.0, NAN, 3], "b": [2.0, 4, NAN]}, index=["x", "y", "z"], dtype="float32")
    filled = Factorisation(1, add_indicator=True).set_output(transform="pandas").fit_transform(frame)
    assert list(filled.columns) == ["a", "b", "missingindicator_a", "missingindicator_b"]
    assert list(filled.index) == ["x", "y", "z"]
    assert set(filled.dtypes) == {np.dtype("float32")}
    np.testing.assert_array_equal(filled.iloc[:, 2:], [[0, 0], [1, 0], [0, 1]])
    np.testing.assert_allclose(filled.iloc[:, :2], [[1, 2], [2, 4], [3, 6]], atol=1e-2)
    batch = NuclearNorm(add_indicator=True).transform([[[1.0, NAN], [1, 2]]])
    np.testing.assert_allclose(batch[..., 2:], [[[0, 1], [0, 0]]])


def test_the_column_of_a_frame_that_is_text_is_named() -> None:
    frame = pd.DataFrame({"age": [1.0, 2], "city": ["Bath", None]})
    with pytest.raises(DataError, match="column 'city': could not convert string to float: 'Bath'"):
        NuclearNorm().fit(frame)


DATES = pd.date_range("2020-01-01", periods=2)


@pytest.mark.parametrize(
    ("column", "line"),
    [
        (DATES, "column 'when': expected numbers, got dates or durations"),
        (DATES - DATES[0], "column 'when': expected numbers, got dates or durations"),
        (DATES.tz_localize("UTC"), "column 'when': float.* not 'Timestamp'"),
        (DATES.to_period(), "column 'when': float.* not 'Period'"),
    ],
)
def test_the_column_of_a_frame_that_is_of_dates_is_named(column: Any, line: str) -> None:
    with pytest.raises(DataError, match=line):
        NuclearNorm().fit(pd.DataFrame({"age": [1.0, 2], "when": column}))


@pytest.mark.parametrize("given", [pd.DataFrame({"when": DATES}), np.array([["2020-01-01"]], "M8[D]")])
def test_dates_alone_are_no_numbers(given: Any) -> None:
    with pytest.raises(DataError, match=r"^expected numbers, got dates"):
        NuclearNorm().fit(given)


def test_frames_with_pandas_own_missing_value_are_read() -> None:
    frame = pd.DataFrame({"a": [1, 2, None], "b": [2, None, 6]}, dtype="Int64")
    np.testing.assert_allclose(Factorisation(1).fit_transform(frame), [[1, 2], [2, 4], [3, 6]], atol=1e-2)


@pytest.mark.parametrize("shape", [(30, 4), (4, 30)])
def test_new_rows_follow_from_what_the_factorisation_has_learnt(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(3)
    u, v = random.normal(size=(shape[0], 2)), random.normal(size=(2, shape[1]))
    method = Factorisation(2).fit(u @ v)
    new = random.normal(size=(5, 2)) @ v
    given = new.copy()
    given[:, 0] = NAN  # a column that only the learnt factors know
    np.testing.assert_allclose(method.transform(given), new, atol=5e-2)
    np.testing.assert_allclose(method.transform(given[2:3]), method.transform(given)[2:3], atol=1e-12)
    with pytest.raises(DataError, match=r"row 1 \(counted from 0\) has no observed entry"):
        method.transform(np.where(np.arange(5)[:, None] == 1, NAN, given))


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)])
def test_rows_learnt_from_are_completed_as_without_learning(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(4)
    given = random.normal(size=(shape[0], 1)) @ random.normal(size=(1, shape[1])) * 10.0 ** np.arange(shape[1])
    given[random.random(shape) < 0.2] = NAN
    fitted, fresh = Factorisation(1).fit_transform(given), Factorisation(1).transform(given)
    np.testing.assert_allclose(fitted, fresh, rtol=1e-2)


def test_a_batch_teaches_the_factorisation_nothing() -> None:
    given = np.random.default_rng(5).normal(size=(3, 4, 4))
    method = Factorisation(1).fit(given[0]).fit(given)
    assert not hasattr(method, "components_")
    with pytest.raises(DataError, match="column 0"):
        method.transform([[NAN, 1, 1, 1]])


# ---- the error on held-out entries


def test_the_held_out_error_is_that_of_the_gaps() -> None:
    values, given = person_data(400)
    for method in (NuclearNorm(), RegularisedNuclearNorm()):
        held = method.held_out(given)
        assert held.in_deviations
        assert held.better
        assert held.entries > 0.9 * (~np.isnan(given)).sum()
        assert held.error == pytest.approx(error(method.transform(given), values, given), rel=0.15)
        assert held.error_of_means == pytest.approx(1, abs=0.05)


def test_a_completion_that_is_worse_than_means_is_seen_to_be() -> None:
    _, given = person_data()
    held = NuclearNorm(scale="none").held_out(given)
    assert held.error > 2 * held.error_of_means
    assert not held.better


def test_errors_of_columns_alike_are_in_the_matrix_s_own_unit() -> None:
    given = np.full((6, 4), 7.0)
    given[:3] = 3.0
    given[0, 0] = NAN
    small, large = NuclearNorm().held_out(given), NuclearNorm().held_out(1e200 * given)
    assert not small.in_deviations
    assert small.error_of_means == pytest.approx(2.4, abs=0.3)
    assert large.error_of_means == pytest.approx(1e200 * small.error_of_means)
    assert RowColumnMeans().held_out(given).error == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("wrong", [{"folds": 11}, {"folds": -1}, {"seed": -1}])
def test_parts_that_are_not_there_are_none_to_hide(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected a whole number"):
        RowColumnMeans().held_out(np.ones((4, 4)), **wrong)


def test_without_an_entry_to_spare_nothing_is_said() -> None:
    held = RowColumnMeans().held_out(np.where(np.eye(4), 1.0, NAN))
    assert held.entries == 0
    assert math.isnan(held.error)
    assert held.better


def test_the_held_out_error_does_not_know_what_was_fitted() -> None:
    given = np.random.default_rng(6).normal(size=(20, 5))
    assert Factorisation(3).fit(given).held_out(given) == Factorisation(3).held_out(given)
