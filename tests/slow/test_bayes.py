"""The posterior mean on many matrices of the paper's kind: its errors are as large as it says."""

import pytest

from abruptlab.baselines.bayes import PosteriorMean
from abruptlab.task.matrix import Factors
from tests.baselines.test_bayes import assert_calibrated, task_matrices


@pytest.mark.parametrize("factors", ["uniform", "gaussian", "laplace"])
@pytest.mark.parametrize(("side", "rank"), [(5, 1), (4, 2)])
def test_errors_are_as_large_as_the_posterior_says(side: int, rank: int, factors: Factors) -> None:
    values, incomplete = task_matrices(side, rank, 400, factors)
    assert_calibrated(PosteriorMean(rank, factors).posterior(incomplete), values, 0.01)
