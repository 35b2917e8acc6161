"""The simplest completions."""

import numpy as np

from abruptlab.baselines.simple import PredictZero, RowColumnMeans
from tests.solving import fill, solve

NAN = np.nan


def test_zero_where_missing() -> None:
    np.testing.assert_array_equal(fill(PredictZero(), [[1, NAN, 3]]), [[1, 0, 3]])


def test_an_additive_matrix_is_recovered() -> None:
    rows, columns = np.array([0.0, 1.0, 5.0]), np.array([2.0, -1.0, 0.5, 7.0])
    full = rows[:, None] + columns
    given = full.copy()
    given[[0, 1, 2, 2], [0, 2, 1, 3]] = NAN
    np.testing.assert_allclose(solve(RowColumnMeans(), given), full, atol=1e-12)
    np.testing.assert_allclose(solve(RowColumnMeans(), [given.T, full.T]), [full.T, full.T], atol=1e-12)


def test_complete_matrices_give_row_mean_plus_column_mean_less_mean() -> None:
    given = np.array([[1.0, 2.0, 6.0], [4.0, 0.0, -1.0]])
    expected = given.mean(1, keepdims=True) + given.mean(0) - given.mean()
    np.testing.assert_allclose(solve(RowColumnMeans(), given), expected, atol=1e-12)


def test_least_squares_not_means_of_means() -> None:
    # the overall mean is 3; of the effects only −1 = r₀ + c₀, 0 = r₀ + c₁, 1 = r₁ + c₁ matter: [1, 1] has 1, [1, 0] 0
    np.testing.assert_allclose(solve(RowColumnMeans(), [[2, 3], [NAN, 4]]), [[2, 3], [3, 4]], atol=1e-12)


def test_an_empty_row_gets_the_columns() -> None:
    given = [[1.0, 3.0], [NAN, NAN], [3.0, 5.0]]
    np.testing.assert_allclose(solve(RowColumnMeans(), given), [[1, 3], [2, 4], [3, 5]], atol=1e-12)


def test_nothing_observed_gives_zero() -> None:
    np.testing.assert_array_equal(solve(RowColumnMeans(), [[NAN, NAN]]), [[0, 0]])
