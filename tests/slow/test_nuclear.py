"""Our batched nuclear norm against cvxpy on 500 random problems."""

import numpy as np
import pytest

from abruptlab.baselines.nuclear import NuclearNorm
from abruptlab.baselines.oracle import NuclearNormOracle
from tests.baselines.test_nuclear import norms, problems
from tests.solving import solve


@pytest.mark.parametrize("p", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
def test_objectives_are_within_1e_4_of_cvxpy(p: float) -> None:
    _, given = problems(84, p)  # six times 84 is a little over 500
    np.testing.assert_allclose(norms(solve(NuclearNorm(), given)), norms(solve(NuclearNormOracle(), given)), rtol=1e-4)
