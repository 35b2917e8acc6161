"""The posterior mean, against integration by brute force and on simulated truths."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

from abruptlab.baselines import bayes, smc
from abruptlab.baselines.bayes import Posterior, PosteriorMean
from abruptlab.errors import ConfigError, DataError
from abruptlab.task.matrices import sample
from abruptlab.task.matrix import Factors, MatrixTask
from tests.solving import fill

NAN = np.nan
PRIORS: dict[str, Any] = {"uniform": stats.uniform(-1, 2), "gaussian": stats.norm(), "laplace": stats.laplace()}
FACTORS: list[Factors] = ["uniform", "gaussian", "laplace"]


def task_matrices(
    side: int, rank: int, matrices: int, factors: Factors = "uniform", decimals: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Matrices of a task, and with NaN where an entry is hidden."""
    task = MatrixTask(sizes=((side, side),), rank=rank, factors=factors, decimals=decimals, limit=99.0)
    batch = sample(task, matrices, seed=4)
    values = batch.values.double().view(-1, side, side).numpy()
    return values, np.where(batch.observed.view(-1, side, side), values, NAN)


def accepted(matrix: np.ndarray, rank: int, factors: str, decimals: int, draws: int = 2_000_000) -> np.ndarray:
    """Rounded matrices drawn from the prior, those that agree with the observed entries."""
    random = np.random.default_rng(3)
    draw: Callable[[tuple[int, ...]], np.ndarray] = {
        "uniform": lambda shape: random.uniform(-1, 1, shape),
        "gaussian": random.standard_normal,
        "laplace": lambda shape: random.laplace(size=shape),
    }[factors]
    u, v = (draw((rank, side, draws)) for side in matrix.shape)
    for i, j in np.argwhere(~np.isnan(matrix)):  # entry by entry, of ever fewer draws
        agree = np.abs((u[:, i] * v[:, j]).sum(0).round(decimals) - matrix[i, j]) < 1e-9
        u, v = u[..., agree], v[..., agree]
    return np.einsum("kid,kjd->dij", u, v).round(decimals)


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize(
    ("matrix", "rank", "decimals"),
    [
        ([[1, NAN], [1, 0]], 1, 0),
        ([[1, 1, NAN], [1, NAN, 1]], 1, 0),
        ([[0.4, NAN], [NAN, -0.2]], 2, 1),
        ([[0.4, NAN], [NAN, -0.2]], 1, 1),
    ],
)
def test_draws_from_the_prior_that_agree_have_the_same_mean_and_spread(
    matrix: list[list[float]], rank: int, decimals: int, factors: Factors
) -> None:
    incomplete = np.array(matrix, dtype=float)
    hidden = np.isnan(incomplete)
    kept = accepted(incomplete, rank, factors, decimals)
    assert len(kept) > 500
    found = PosteriorMean(rank, factors, decimals, particles=2048).posterior(incomplete)
    error = np.hypot(kept.std(0) / len(kept) ** 0.5, found.error[0])[hidden]
    assert (np.abs(found.mean[0] - kept.mean(0))[hidden] < 4 * error + 1e-9).all()
    np.testing.assert_allclose(found.deviation[0][hidden], kept.std(0)[hidden], rtol=0.1)


@pytest.mark.parametrize("factors", FACTORS)
def test_three_entries_of_two_decimals_give_the_fourth_as_quadrature_does(factors: Factors) -> None:
    """Given u₁, v₁ the other two factors are independent, each in an interval: an integral over two numbers is left.

    The corner is small, so that its rounding leaves the fourth entry, about 0.2 · 0.2 / 0.05, in wide doubt.
    """
    corner, right, below, half = 0.05, 0.2, 0.2, 0.005
    prior = PRIORS[factors]
    u = prior.ppf((np.arange(20_000) + 0.5) / 20_000)[:, None]  # an even number: none of them is 0
    v = (corner + half * np.linspace(-0.975, 0.975, 40)) / u
    weight = prior.pdf(v) / np.abs(u)
    mean, square = 1.0, 1.0
    for by, entry in ((u, right), (v, below)):
        low, high = np.sort([(entry - half) / by, (entry + half) / by], axis=0)
        if factors == "uniform":
            low, high = low.clip(-1, 1), high.clip(-1, 1)
        weight = weight * (prior.cdf(high) - prior.cdf(low))
        mean, square = mean * (low + high) / 2, square * (low**2 + low * high + high**2) / 3
    mean, square = ((moment * weight).sum() / weight.sum() for moment in (mean, square))
    found = PosteriorMean(1, factors, particles=4096).posterior([[corner, right], [below, NAN]])
    assert abs(found.mean[0, 1, 1] - mean) < 4 * found.error[0, 1, 1] + 1e-4
    assert found.error[0, 1, 1] < 0.05 * found.deviation[0, 1, 1]
    np.testing.assert_allclose(found.deviation[0, 1, 1], (square - mean**2) ** 0.5, rtol=0.05)


@pytest.mark.parametrize(("rank", "factors"), [(1, "uniform"), (1, "gaussian"), (1, "laplace"), (2, "laplace")])
def test_errors_are_as_large_as_the_posterior_says(rank: int, factors: Factors) -> None:
    """On simulated truths; `tests/slow` has larger matrices, and more of them."""
    values, incomplete = task_matrices(3, rank, 120, factors, decimals=1)
    assert_calibrated(PosteriorMean(rank, factors, decimals=1, particles=128).posterior(incomplete), values, 0.1)


def assert_calibrated(found: Posterior, values: np.ndarray, step: float) -> None:
    """Mean squared error and posterior variance agree, and the mean is neither too high nor too low."""
    assert found.converged.all()
    size = np.maximum(found.deviation, step).max((1, 2))  # so that no matrix outweighs the others
    surprise = ((found.mean - values) ** 2 - found.deviation**2 - found.error**2).mean((1, 2)) / size**2
    assert abs(surprise.mean()) < 3.5 * surprise.std() / len(surprise) ** 0.5
    bias = (found.mean - values).mean((1, 2)) / size
    assert abs(bias.mean()) < 3.5 * bias.std() / len(bias) ** 0.5


def test_the_error_says_how_much_two_seeds_differ() -> None:
    _, incomplete = task_matrices(4, 1, 60, decimals=1)
    one, other = (PosteriorMean(1, decimals=1, particles=64, seed=seed).posterior(incomplete) for seed in (1, 2))
    doubtful = (one.deviation > 0.1) & (other.deviation > 0.1)
    assert doubtful.sum() > 40
    size = (one.deviation**2)[doubtful]
    apart = ((one.mean - other.mean) ** 2)[doubtful] / size
    told = (one.error**2 + other.error**2)[doubtful] / size
    assert 0.2 < np.median(apart / told) < 1.2  # 0.5 for a squared normal number over its estimate from six
    assert np.median(one.effective) > 64


def test_a_matrix_is_completed_alike_alone_and_in_a_batch_and_whatever_the_global_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, incomplete = task_matrices(3, 1, 12, decimals=1)
    method = PosteriorMean(1, decimals=1, particles=64)
    torch.manual_seed(1)
    filled = fill(method, incomplete)
    torch.manual_seed(2)
    np.testing.assert_array_equal(fill(method, incomplete[7]), filled[7])
    monkeypatch.setattr(bayes, "TOGETHER", 5 * 9 * 64)  # five matrices at once
    np.testing.assert_array_equal(fill(method, incomplete), filled)
    seen = ~np.isnan(incomplete)
    np.testing.assert_array_equal(filled[seen], incomplete[seen])
    assert not np.array_equal(fill(PosteriorMean(1, decimals=1, particles=64, seed=1), incomplete), filled)


def test_two_cores_give_the_same_and_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    _, incomplete = task_matrices(3, 1, 3, decimals=1)
    method = PosteriorMean(1, decimals=1, particles=64)
    alone = fill(method, incomplete)
    monkeypatch.setattr(bayes, "TOGETHER", 1)  # one matrix at once
    torch.set_num_threads(2)
    try:
        np.testing.assert_array_equal(fill(method, incomplete), alone)
        assert torch.get_num_threads() == 2
        with pytest.raises(ConfigError):
            PosteriorMean(9).solve(torch.ones(1, 3, 3), torch.ones(1, 3, 3, dtype=torch.bool))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("change", [lambda x: -x, lambda x: x.swapaxes(1, 2), lambda x: x[:, ::-1, [2, 0, 3, 1]]])
def test_the_answer_follows_the_symmetries_of_the_task(change: Callable[[np.ndarray], np.ndarray]) -> None:
    _, incomplete = task_matrices(4, 1, 20, decimals=1)
    plain, changed = (PosteriorMean(1, decimals=1).posterior(X) for X in (incomplete, change(incomplete)))
    doubt = np.hypot(change(plain.error), changed.error)
    distance = np.abs(change(plain.mean) - changed.mean)
    assert (distance < 6 * doubt + 0.02).all()
    assert (distance**2).mean() < 2 * (doubt**2).mean() + 1e-8


def test_nothing_observed_is_the_prior_and_everything_observed_is_certain() -> None:
    found = PosteriorMean(2, "gaussian", particles=4096).posterior(np.full((3, 4), NAN))
    np.testing.assert_allclose(found.mean, 0, atol=5 * found.error.max())
    np.testing.assert_allclose(found.deviation, 2**0.5, rtol=0.1)
    values, _ = task_matrices(4, 1, 3)
    found = PosteriorMean(1).posterior(values)
    np.testing.assert_array_equal(found.mean, values)
    assert (found.deviation == 0).all()
    assert (found.effective == np.inf).all()


def test_a_row_with_nothing_observed_is_zero_with_the_prior_s_spread() -> None:
    matrix = np.outer([0.5, -0.8, 0.3], [0.9, 0.4, -0.7]).round(2)
    matrix[1] = NAN
    found = PosteriorMean(1, particles=1024).posterior(matrix)
    assert (np.abs(found.mean[0, 1]) < 5 * found.error[0, 1]).all()
    ratio = found.deviation[0, 1] / np.abs([0.9, 0.4, -0.7])  # u ~ Unif[−1, 1] has deviation 1/√3, v ≤ 1 is in doubt
    np.testing.assert_allclose(ratio / ratio[0], 1, rtol=0.03)
    assert 0.4 < ratio[0] < 0.65


def test_a_matrix_that_a_population_gets_lost_on_is_tried_again_with_more_particles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, incomplete = task_matrices(3, 1, 3, decimals=1)
    few, many = (PosteriorMean(1, decimals=1, particles=count).posterior(incomplete) for count in (64, 256))
    draws = bayes.posterior_draws

    def losing_the_second(
        task: MatrixTask, values: torch.Tensor, observed: torch.Tensor, particles: int, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        found, converged = draws(task, values, observed, particles, seed)
        return found, converged & ((particles > 64) | (torch.arange(len(values)) != 1))

    monkeypatch.setattr(bayes, "posterior_draws", losing_the_second)
    found = PosteriorMean(1, decimals=1, particles=64).posterior(incomplete)
    assert found.converged.all()
    np.testing.assert_array_equal(found.mean, [few.mean[0], many.mean[1], few.mean[2]])
    np.testing.assert_array_equal(found.error, [few.error[0], many.error[1], few.error[2]])


def test_a_matrix_that_is_none_of_the_task_s_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smc, "LEVELS", 40)
    good = [[0.5, 0.2], [0.2, NAN]]
    beyond = [[1.5, 0.2], [0.2, NAN]]  # a product of two numbers below 1
    said = r"1 of 2 matrices: .* lie within ±1, and an entry is of size 1.5: divide the matrices by 1.5 or more first"
    with pytest.warns(ConvergenceWarning, match=said):
        found = PosteriorMean(1, decimals=1, particles=64).posterior([good, beyond])
    assert found.converged.tolist() == [True, False]
    assert np.isfinite(found.mean).all()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"rank": 1, "factors": "cauchy"}, "factors: expected uniform, gaussian or laplace, got 'cauchy'"),
        ({"rank": 1, "particles": 30}, "particles: expected a multiple of 4, at least 8, got 30"),
        ({"rank": 1.0}, "rank: expected a whole number of at least 1, got 1.0"),
        ({"rank": 3}, "rank: expected 1 to 2"),
        ({"rank": 1, "decimals": 7}, "decimals: expected 0 to 4, got 7"),
    ],
)
def test_settings_that_make_no_sense_are_one_clear_line(settings: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        PosteriorMean(1).set_params(**settings).transform(np.ones((2, 2)))


def test_what_is_no_matrix_is_an_error() -> None:
    with pytest.raises(DataError, match="expected a matrix"):
        PosteriorMean(1).posterior([0.5, 0.25])


def test_one_matrix_that_is_none_of_the_task_s_is_completed_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smc, "LEVELS", 15)
    given = [[0.9, -0.2, 0.7], [-0.8, 0.6, NAN], [0.1, 0.9, -0.5]]
    with pytest.warns(ConvergenceWarning, match="1 of 1 matrices: .* or it takes more particles$"):  # it is in reach
        completed = PosteriorMean(1, particles=64).transform(given)
    assert -1 <= completed[1, 2] <= 1
    np.testing.assert_array_equal(np.delete(completed, 5), np.delete(np.ravel(given), 5))
