"""TransformerImputer: scikit-learn's contract, and what it says about matrices that are not the model's."""

import math
import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from abruptlab.baselines.factorisation import Factorisation
from abruptlab.baselines.nuclear import NuclearNorm, RegularisedNuclearNorm
from abruptlab.baselines.simple import PredictZero, RowColumnMeans
from abruptlab.complete.imputer import TransformerImputer, cut, paste
from abruptlab.errors import CheckpointError, DataError, RunError
from abruptlab.run.pretrained import pretrained_run
from abruptlab.task.matrices import sample
from abruptlab.task.matrix import MatrixTask
from tests.handmade import COLUMNS, CONFIG, ROWS, copier
from tests.synthetic import STEPS, make_metrics, make_run

NAN = np.nan
TASK = MatrixTask(sizes=((5, 5),), rank=1, limit=2.0)  # that of the run in the package
FITTING = (  # scikit-learn's checks that fit and transform tables of sizes of their own
    "check_fit_score_takes_y",
    "check_estimators_dtypes",
    "check_dtype_object",
    "check_pipeline_consistency",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_transformer_data_not_an_array",
    "check_transformer_general",
    "check_transformer_preserve_dtypes",
    "check_transformers_unfitted_stateless",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_dict_unchanged",
    "check_fit_idempotent",
)


def expected_failures(estimator: Any) -> dict[str, str]:
    failures = {}
    if isinstance(estimator, TransformerImputer) and not estimator.tiles:
        failures |= dict.fromkeys(FITTING, "completes matrices of the trained size only, unless tiles=True")
    if os.environ.get("CHECK_SHAPES", "yes") == "yes" and estimator.get_params():
        reason = "sets parameters of wrong types, which conftest's checks of signatures refuse"
        failures["check_do_not_raise_errors_in_init_or_set_params"] = reason
    return failures


@pytest.mark.filterwarnings("ignore:.*not of rank", "ignore:.*without an observed entry")
@parametrize_with_checks(
    [
        TransformerImputer(tiles=True, rescale=True),
        TransformerImputer(),
        NuclearNorm(),
        RegularisedNuclearNorm(),
        Factorisation(1),
        Factorisation(1, add_indicator=True),
        RowColumnMeans(),
        PredictZero(),
    ],
    expected_failed_checks=expected_failures,
    xfail_strict=True,
)
def test_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def task_matrices(count: int, task: MatrixTask = TASK) -> tuple[np.ndarray, np.ndarray]:
    """Matrices, and with NaN where an entry is hidden, of which every row and column has an observed one."""
    batch = sample(task, 2 * count, seed=8)
    m, n = task.sizes[0]
    observed = batch.observed.view(-1, m, n)
    some = observed.any(1).all(1) & observed.any(2).all(1)
    values = batch.values.double().view(-1, m, n)[some][:count].numpy()
    return values, np.where(observed[some][:count], values, NAN)


def test_the_package_s_run_completes_its_task_far_better_than_zero() -> None:
    values, given = task_matrices(200)
    completed = TransformerImputer().fit_transform(given)
    hidden = np.isnan(given)
    np.testing.assert_array_equal(completed[~hidden], given[~hidden])
    assert np.square(completed - values)[hidden].mean() < 0.1 * np.square(values)[hidden].mean()


def test_what_it_fills_in_is_what_the_model_says() -> None:
    task = pretrained_run().config.matrices
    batch = sample(task, 3, seed=1)
    given = batch.values.where(batch.observed, math.nan).view(-1, 5, 5).numpy()
    with torch.no_grad():
        expected = pretrained_run().load("final")(batch.tokens).view(-1, 5, 5).numpy()
    estimated = TransformerImputer().estimate(given)
    np.testing.assert_allclose(estimated, expected, atol=1e-6)
    np.testing.assert_allclose(TransformerImputer().estimate(given[1]), expected[1], atol=1e-6)


@pytest.fixture
def copying(tmp_path: Path) -> Path:
    """A run whose model gives back what it sees, and 0 where it sees nothing; 3×4, rank 1, two decimals."""
    make_run(tmp_path, make_metrics(), {STEPS: copier()}, CONFIG)
    return tmp_path


MATRIX = np.outer([1.0, -0.5, 0.2], [0.5, -1.0, 0.9, 0.1])


def with_holes(matrix: np.ndarray) -> np.ndarray:
    given = matrix.copy()
    given[1, 2] = given[-1, 0] = NAN
    return given


def test_a_run_may_be_a_folder_or_a_run(copying: Path) -> None:
    expected = np.where(np.isnan(with_holes(MATRIX)), 0, MATRIX)
    for run in (copying, str(copying), make_run(copying, make_metrics(), (), CONFIG)):
        np.testing.assert_allclose(TransformerImputer(run).transform(with_holes(MATRIX)), expected, atol=1e-4)


def test_observed_entries_are_tokens_to_the_model_and_come_back_as_they_were(copying: Path) -> None:
    given = np.full((ROWS, COLUMNS), 0.123456)
    np.testing.assert_allclose(TransformerImputer(copying).estimate(given), 0.12, atol=1e-4)
    np.testing.assert_array_equal(TransformerImputer(copying).transform(given), given)


def test_another_size_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DataError, match=r"5×5, .* laptop was trained for, got 3×4; .*tiles=True.*--method nuclear"):
        TransformerImputer().transform(np.zeros((3, 4)))


def test_a_larger_range_is_an_error_that_says_what_to_do(copying: Path) -> None:
    with pytest.raises(DataError, match=r"from −1 to 1, .* size 40; divide the matrix by 40 .*rescale=True"):
        TransformerImputer(copying).transform(40 * MATRIX)
    TransformerImputer(copying).transform(1.004 * MATRIX)  # as a token it is 1


def test_without_a_run_or_a_checkpoint_it_says_so(copying: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="neither a run folder nor a run of the package"):
        TransformerImputer("nowhere").transform(np.zeros((5, 5)))
    (copying / "checkpoints").rename(tmp_path / "gone")
    with pytest.raises(CheckpointError, match="no checkpoint 'final'"):
        TransformerImputer(copying).transform(0.5 * MATRIX)


@pytest.mark.parametrize("factor", [1e-250, 0.01, 40.0, 1e250])
def test_rescaled_matrices_are_completed_alike_at_any_scale(factor: float) -> None:
    values, given = task_matrices(50)
    completed = TransformerImputer(rescale=True).fit_transform(values * 0 + given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # rounding of the original is more than a step in small matrices
        again = TransformerImputer(rescale=True).transform(factor * given) / factor
    np.testing.assert_allclose(again, completed, atol=0.05)
    assert np.square(again - values)[np.isnan(given)].mean() < 0.1 / 9


def test_a_spike_stays_in_range(copying: Path) -> None:
    given = np.zeros((ROWS, COLUMNS))
    given[0, 0] = 50.0
    np.testing.assert_allclose(TransformerImputer(copying, rescale=True).estimate(given), given, atol=1e-2)


@pytest.mark.parametrize("shape", [(3, 4), (1, 1), (6, 8), (7, 9), (2, 13)])
def test_tiles_are_each_a_matrix_of_the_model(copying: Path, shape: tuple[int, int]) -> None:
    matrix = np.outer(np.linspace(-1, 1, shape[0]), np.linspace(1, 0.2, shape[1])).round(2)
    completed = TransformerImputer(copying, tiles=True).estimate([matrix, -matrix])
    np.testing.assert_allclose(completed, [matrix, -matrix], atol=1e-4)


def test_tiles_begin_at_the_upper_left() -> None:
    _, given = task_matrices(4)
    above, below = np.hstack(list(given[:2])), np.hstack(list(given[2:]))
    whole = TransformerImputer(tiles=True).transform(np.vstack([above, below]))
    apart = TransformerImputer().transform(given)
    np.testing.assert_allclose(whole[5:, :5], apart[2], atol=1e-6)
    np.testing.assert_allclose(whole[:5, 5:], apart[1], atol=1e-6)


def test_paste_undoes_cut() -> None:
    matrices = torch.arange(2 * 7 * 8.0).view(2, 7, 8)
    tiles = cut(matrices, (3, 5))
    assert tiles.shape == (2 * 3 * 2, 3, 5)
    assert torch.equal(tiles[1, :, :3], matrices[0, :3, 5:])
    assert torch.equal(paste(tiles, matrices.shape), matrices)


def test_matrices_of_another_rank_are_warned_of() -> None:
    _, fitting = task_matrices(50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TransformerImputer().transform(fitting)
        TransformerImputer().transform(np.zeros((5, 5)))
    with pytest.warns(UserWarning, match=r"the matrix is not of rank 1, .* by 1\d\d?%.*--method nuclear|by \d\d%"):
        TransformerImputer().transform(0.5 * np.eye(5))
    _, other = task_matrices(50, MatrixTask(sizes=((5, 5),), rank=2))
    with pytest.warns(UserWarning, match=r"(4\d|50) of 50 matrices"):
        TransformerImputer(rescale=True).transform(other)


def test_a_tile_of_which_some_row_is_blank_is_warned_of(copying: Path) -> None:
    given = np.tile(MATRIX, (1, 2))
    given[1, :COLUMNS] = NAN
    with pytest.warns(UserWarning, match="1 of 2 tiles are without an observed entry in some row or column"):
        TransformerImputer(copying, tiles=True).transform(given)


def test_copies_of_it_do_the_same() -> None:
    _, given = task_matrices(1)
    imputer = TransformerImputer(pretrained_run(), rescale=True).fit(given[0])
    expected = imputer.transform(given[0])
    copies: list[Any] = [clone(imputer), pickle.loads(pickle.dumps(imputer))]
    for copy in copies:
        np.testing.assert_array_equal(copy.transform(given[0]), expected)


def test_in_a_pipeline_and_with_names() -> None:
    _, given = task_matrices(1)
    pipeline = make_pipeline(FunctionTransformer(lambda x: x / 2), TransformerImputer())
    assert np.isfinite(pipeline.fit_transform(given[0])).all()
    names = np.array(list("abcde"), dtype=object)
    np.testing.assert_array_equal(TransformerImputer().fit(given[0]).get_feature_names_out(names), names)
    with pytest.raises(DataError, match="X has 4 features, but TransformerImputer is expecting 5"):
        TransformerImputer().fit(given[0]).transform(given[0][:, :4])


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ([[1.0, np.inf]], "X contains infinity"),
        ([[1.0], [2.0, 3.0]], "inhomogeneous"),
        ([["a", 1.0]], "could not convert string to float"),
        ([1.0, 2.0], r"expected a matrix \[m, n\] or a batch \[batch, m, n\], got shape \[2\]"),
        (np.zeros((0, 3)), "0 sample"),
        (np.zeros((2, 3, 0)), "0 feature"),
    ],
)
def test_what_is_no_matrix_of_numbers_is_one_line(given: Any, line: str) -> None:
    for method in (NuclearNorm(), TransformerImputer()):
        for do in (method.fit, method.transform, method.estimate):
            with pytest.raises(DataError, match=line) as caught:
                do(given)
            assert "\n" not in str(caught.value)


def test_a_batch_does_not_disturb_the_columns_of_fit() -> None:
    _, given = task_matrices(6)
    imputer = TransformerImputer().fit(given)
    assert vars(imputer)["n_features_in_"] == 5
    np.testing.assert_allclose(imputer.transform(given[2]), imputer.transform(given)[2], atol=1e-6)
