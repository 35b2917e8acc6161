"""Nuclear-norm minimisation: answers known by hand, proofs of optimality, and cvxpy's opinion."""

import sys

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning

from abruptlab.baselines.bayes import PosteriorMean
from abruptlab.baselines.completer import Completer
from abruptlab.baselines.factorisation import Factorisation
from abruptlab.baselines.nuclear import NuclearNorm, RegularisedNuclearNorm, shrink
from abruptlab.baselines.oracle import NuclearNormOracle, compiled
from abruptlab.errors import ConfigError, DataError
from abruptlab.task.matrices import sample
from abruptlab.task.matrix import MatrixTask
from tests.solving import fill, solve

NAN = np.nan


def problems(matrices: int, p: float, size: tuple[int, int] = (7, 7), rank: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Matrices of the paper's task, and the same with NaN at hidden places."""
    batch = sample(MatrixTask(sizes=(size,), rank=rank, mask_probability=p), matrices, seed=7)
    values = batch.values.double().reshape(-1, *size).numpy()
    return values, np.where(batch.observed.reshape(-1, *size).numpy(), values, NAN)


def norms(matrices: np.ndarray) -> np.ndarray:
    return np.linalg.norm(matrices, "nuc", axis=(-2, -1))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # ‖[[a, b], [c, x]]‖_* = √(a² + b² + c² + x² + 2|ax − bc|), so x is bc/a, but in size at most a
        ([[2, 1], [1, NAN]], [[2, 1], [1, 0.5]]),
        ([[1, 2], [-2, NAN]], [[1, 2], [-2, -1]]),
        ([[2, 1, 3], [1, NAN, NAN]], [[2, 1, 3], [1, 0.5, 1.5]]),
        ([[NAN, NAN], [NAN, 3]], [[0, 0], [0, 3]]),
        ([[1, 2], [NAN, NAN]], [[1, 2], [0, 0]]),
        ([[0, NAN], [0, 0]], [[0, 0], [0, 0]]),
        ([[NAN]], [[0]]),
    ],
)
def test_answers_known_by_hand(given: list, expected: list) -> None:
    method = NuclearNorm(tolerance=1e-10)
    np.testing.assert_allclose(solve(method, given), expected, atol=1e-4)
    np.testing.assert_allclose(solve(method, np.transpose(given)), np.transpose(expected), atol=1e-4)


@pytest.mark.parametrize("size", [(7, 7), (4, 6), (6, 3)])
@pytest.mark.parametrize("p", [0.1, 0.35, 0.6])
def test_objectives_are_those_of_cvxpy(size: tuple[int, int], p: float) -> None:
    pytest.importorskip("cvxpy")
    _, given = problems(4, p, size)
    ours, oracle = solve(NuclearNorm(), given), solve(NuclearNormOracle(), given)
    np.testing.assert_allclose(norms(ours), norms(oracle), rtol=1e-4)
    observed = ~np.isnan(given)
    np.testing.assert_array_equal(ours[observed], given[observed])
    np.testing.assert_array_equal(oracle[observed], given[observed])


def test_regularised_objectives_are_those_of_cvxpy() -> None:
    cvxpy = pytest.importorskip("cvxpy")
    _, given = problems(3, 0.3, (5, 4))
    seen, values = ~np.isnan(given), np.nan_to_num(given)
    for penalty in (0.0005, 0.01, 0.2):
        ours = solve(RegularisedNuclearNorm(penalty), given)
        for matrix, mask, completed in zip(values, seen, ours, strict=True):
            variable = cvxpy.Variable(matrix.shape)
            misfit = cvxpy.sum_squares(cvxpy.multiply(mask.astype(float), variable) - matrix) / mask.sum()
            least = cvxpy.Problem(cvxpy.Minimize(misfit + penalty * cvxpy.normNuc(variable))).solve(solver="CLARABEL")
            objective = ((completed - matrix)[mask] ** 2).mean() + penalty * norms(completed)
            assert objective == pytest.approx(least, rel=1e-4)


def test_the_loss_of_the_paper_s_task_is_the_reference_s() -> None:
    values, given = problems(256, 0.3)
    errors = ((fill(NuclearNorm(), given) - values) ** 2).mean((1, 2))
    assert abs(errors.mean() - 1.18e-2) < 3 * np.hypot(0.08e-2, errors.std() / np.sqrt(256))


def test_a_matrix_does_not_depend_on_its_batch_its_scale_or_the_order_of_its_rows() -> None:
    _, given = problems(5, 0.3)
    together = solve(NuclearNorm(), given)
    np.testing.assert_allclose(solve(NuclearNorm(), given[3]), together[3], atol=1e-9)
    np.testing.assert_allclose(solve(NuclearNorm(), 1e-6 * given), 1e-6 * together, atol=1e-12)
    np.testing.assert_allclose(solve(NuclearNorm(), 1e6 * given[:, ::-1]), 1e6 * together[:, ::-1], atol=1)


def test_a_large_matrix_of_low_rank_is_recovered() -> None:
    values, given = problems(1, 0.5, (90, 60), rank=2)
    np.testing.assert_allclose(solve(NuclearNorm(), given), values, atol=0.03)  # the rounding is of full rank


def test_penalised_complete_matrices_are_shrunk() -> None:
    np.testing.assert_allclose(
        solve(RegularisedNuclearNorm(penalty=0.5, tolerance=1e-10), [[3, 0], [0, -0.5]]), [[2, 0], [0, 0]], atol=1e-4
    )


def test_penalised_completions_are_fixed_points_of_soft_impute() -> None:
    _, given = problems(8, 0.3, (6, 5))
    penalty, seen = 0.01, ~np.isnan(given)
    completed = solve(RegularisedNuclearNorm(penalty, tolerance=1e-10), given)
    filled = torch.from_numpy(np.where(seen, given, completed))
    again = shrink(filled, torch.from_numpy(penalty * seen.sum((1, 2), keepdims=True) / 2))
    np.testing.assert_allclose(again, completed, atol=1e-4)


def test_no_penalty_is_the_constraint() -> None:
    _, given = problems(8, 0.3)
    np.testing.assert_array_equal(solve(RegularisedNuclearNorm(penalty=0.0), given), solve(NuclearNorm(), given))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("penalty", [1e6, 1e20, 1e308])
def test_a_penalty_that_leaves_nothing_leaves_zero(penalty: float) -> None:
    _, given = problems(8, 0.3)
    np.testing.assert_array_equal(solve(RegularisedNuclearNorm(penalty=penalty), given), np.zeros_like(given))


def test_too_few_iterations_give_a_warning_and_the_last_completion() -> None:
    _, given = problems(8, 0.3)
    with pytest.warns(ConvergenceWarning, match="8 of 8 matrices missed tolerance 1e-05 in 10 iterations"):
        assert np.isfinite(solve(NuclearNorm(max_iterations=10), given)).all()


@pytest.mark.parametrize(
    "method", [NuclearNorm(tolerance=0.0), NuclearNorm(max_iterations=0), RegularisedNuclearNorm(penalty=-1.0)]
)
def test_settings_without_sense_are_errors(method: NuclearNorm | RegularisedNuclearNorm) -> None:
    with pytest.raises(ConfigError, match="nuclear norm: expected"):
        solve(method, [[1.0]])


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        (NuclearNorm(), {"tolerance": "a"}),
        (NuclearNorm(), {"max_iterations": 1.5}),
        (Factorisation(1), {"ridge": "a"}),
        (PosteriorMean(1), {"particles": "a"}),
        (PosteriorMean(1), {"factors": "cauchy"}),
    ],
)
def test_settings_of_another_type_are_errors(method: Completer, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}: expected"):
        method.set_params(**wrong).transform([[1.0, 2.0], [3.0, np.nan]])


def test_the_oracle_without_cvxpy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled.cache_clear()
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(DataError, match=r"pip install 'abruptlab\[baselines\]'"):
        solve(NuclearNormOracle(), [[1.0, NAN]])
