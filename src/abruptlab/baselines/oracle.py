"""The nuclear norm by a general solver: slow, and what our own solver is held against."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from abruptlab.baselines.completer import Completer
from abruptlab.errors import DataError


class NuclearNormOracle(Completer):
    """The matrix of least nuclear norm that has the observed entries, by cvxpy (figures 3 and 19).

    Needs the extra `baselines`; raises `DataError` without it. The problem is compiled once for each shape: which
    entries are observed is a parameter of it.
    """

    def solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        solve = compiled(*values.shape[-2:])
        pairs = zip(values.numpy(), observed.numpy(), strict=True)
        return torch.from_numpy(np.stack([solve(matrix, seen) for matrix, seen in pairs]))


@lru_cache(maxsize=8)
def compiled(m: int, n: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The solver for m × n matrices: (values, zero where missing; where observed) → the completed matrix."""
    try:
        import cvxpy
    except ModuleNotFoundError:
        raise DataError("cvxpy is not installed; it comes with `pip install 'abruptlab[baselines]'`") from None
    completed: Any = cvxpy.Variable((m, n))
    known, seen = cvxpy.Parameter((m, n)), cvxpy.Parameter((m, n))
    problem = cvxpy.Problem(cvxpy.Minimize(cvxpy.normNuc(completed)), [cvxpy.multiply(seen, completed) == known])

    def solve(values: np.ndarray, observed: np.ndarray) -> np.ndarray:
        known.value, seen.value = values, observed.astype(float)
        problem.solve(solver=cvxpy.CLARABEL)
        return np.where(observed, values, completed.value)

    return solve
