"""Rank-aware factorisation, on matrices whose completion is known."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from abruptlab.baselines.factorisation import Factorisation
from abruptlab.errors import ConfigError
from abruptlab.task.matrices import sample
from abruptlab.task.matrix import MatrixTask
from tests.solving import fill, solve


def hide(matrix: np.ndarray, *places: tuple[int, int]) -> np.ndarray:
    hidden = matrix.copy()
    hidden[tuple(zip(*places, strict=True))] = np.nan
    return hidden


def task_matrices(rows: int, columns: int, rank: int, matrices: int) -> tuple[np.ndarray, np.ndarray]:
    """The matrices of a task, and with NaN where an entry is hidden."""
    batch = sample(MatrixTask(sizes=((rows, columns),), rank=rank), matrices, seed=4)
    values = batch.values.double().view(-1, rows, columns).numpy()
    return values, np.where(batch.observed.view(-1, rows, columns), values, np.nan)


def test_the_missing_entry_of_a_rank_1_matrix_follows_from_three_others() -> None:
    matrix = np.outer([0.5, -0.8, 0.3], [0.9, 0.4, -0.7, 0.6])
    filled = fill(Factorisation(1), hide(matrix, (0, 2), (2, 1)))
    np.testing.assert_allclose(filled, matrix, atol=2e-4)


def test_a_missing_entry_of_a_rank_2_matrix_makes_its_minors_vanish() -> None:
    random = np.random.default_rng(0)
    matrices = random.uniform(-1, 1, (8, 4, 2)) @ random.uniform(-1, 1, (8, 2, 5))
    incomplete = matrices.copy()
    incomplete[:, 1, 3] = np.nan
    np.testing.assert_allclose(fill(Factorisation(2, ridge=1e-9), incomplete), matrices, atol=1e-4)


def test_with_everything_observed_the_ridge_shrinks_the_singular_values() -> None:
    """min ‖X − UVᵀ‖² + ridge·(‖U‖² + ‖V‖²) has the value 2·ridge·‖·‖_* of the product: each σ loses `ridge`."""
    matrix = np.random.default_rng(1).uniform(-1, 1, (4, 6))
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    expected = (left[:, :2] * (sizes[:2] - 0.2)) @ right[:2]
    np.testing.assert_allclose(solve(Factorisation(2, ridge=0.2), matrix), expected, atol=1e-3)


def test_no_general_minimiser_finds_a_lower_objective() -> None:
    _, incomplete = task_matrices(4, 5, 2, matrices=3)
    seen = ~np.isnan(incomplete)
    for matrix, observed, estimate in zip(incomplete, seen, solve(Factorisation(2), incomplete), strict=True):

        def objective(x: np.ndarray, values: np.ndarray = matrix, where: np.ndarray = observed) -> tuple:
            u, v = x[:8].reshape(4, 2), x[8:].reshape(5, 2)
            residual = np.where(where, values - u @ v.T, 0)
            gradient = -2 * np.concatenate([(residual @ v).ravel(), (residual.T @ u).ravel()]) + 6e-5 * x
            return (residual**2).sum() + 3e-5 * (x**2).sum(), gradient

        starts = np.random.default_rng(2).normal(size=(10, 18))
        lowest = min(minimize(objective, start, jac=True).fun for start in starts)
        # of all U Vᵀ that make the estimate, the balanced ones have ‖U‖² + ‖V‖² = 2 ‖estimate‖_*
        norm = np.linalg.svd(estimate, compute_uv=False).sum()
        assert ((matrix - estimate)[observed] ** 2).sum() + 6e-5 * norm <= lowest * 1.001
        assert np.linalg.matrix_rank(estimate, tol=1e-8) == 2


def test_a_matrix_is_completed_alike_alone_in_a_batch_and_transposed() -> None:
    _, incomplete = task_matrices(6, 6, 1, matrices=70)
    filled = fill(Factorisation(1), incomplete)
    np.testing.assert_allclose(fill(Factorisation(1), incomplete[60]), filled[60], atol=1e-10)
    decided = (~np.isnan(incomplete)).sum(1).min(1) >= 3
    flipped = fill(Factorisation(1), incomplete.swapaxes(1, 2)).swapaxes(1, 2)
    both = decided & ((~np.isnan(incomplete)).sum(2).min(1) >= 3)
    np.testing.assert_allclose(flipped[both], filled[both], atol=1e-3)


def test_observed_entries_stay_and_nothing_observed_gives_zero() -> None:
    matrix, incomplete = task_matrices(7, 7, 2, matrices=10)
    seen = ~np.isnan(incomplete)
    filled = fill(Factorisation(2), incomplete)
    np.testing.assert_array_equal(filled[seen], matrix[seen])
    np.testing.assert_array_equal(fill(Factorisation(2), np.full((3, 4), np.nan)), np.zeros((3, 4)))
    incomplete[0, 2] = np.nan
    np.testing.assert_allclose(fill(Factorisation(2), incomplete[0])[2], 0, atol=1e-12)


def test_more_restarts_never_end_higher() -> None:
    _, incomplete = task_matrices(7, 7, 2, matrices=20)
    seen = ~np.isnan(incomplete)

    def misfit(restarts: int) -> np.ndarray:
        estimate = solve(Factorisation(2, restarts=restarts), incomplete)
        norms = np.linalg.svd(estimate, compute_uv=False).sum(-1)
        return (np.where(seen, estimate - incomplete, 0) ** 2).sum((1, 2)) + 2 * 3e-5 * norms

    one, many = misfit(1), misfit(20)
    assert (many <= one * 1.01).all()
    assert (many < one * 0.5).any()  # a single start does get stuck


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        ({"rank": 0}, "rank: expected a whole number of at least 1, got 0"),
        ({"rank": 3}, "rank: expected 1 to 2, as no matrix of that size has another, got 3"),
        ({"rank": 1.0}, "rank: expected a whole number of at least 1, got 1.0"),
        ({"rank": 1, "restarts": 0}, "restarts: expected a whole number of at least 1, got 0"),
        ({"rank": 1, "ridge": 0.0}, "ridge: expected a number above 0, got 0.0"),
    ],
)
def test_settings_that_make_no_sense_are_one_clear_line(bad: dict, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Factorisation(1).set_params(**bad).fit_transform(np.ones((2, 2)))


def test_the_seed_decides_the_starts() -> None:
    _, incomplete = task_matrices(5, 5, 2, matrices=5)
    torch.manual_seed(1)  # no global state is used
    first = solve(Factorisation(2, restarts=2), incomplete)
    torch.manual_seed(2)
    np.testing.assert_array_equal(solve(Factorisation(2, restarts=2), incomplete), first)
