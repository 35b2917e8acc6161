"""The protocol of every method that completes matrices, in scikit-learn's style."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.base import BaseEstimator, TransformerMixin
from torch import Tensor

from abruptlab.errors import DataError


class Completer(TransformerMixin, BaseEstimator):
    """Completes one matrix [m, n] or a batch of them [batch, m, n], NaN where an entry is missing.

    Nothing is learnt from one matrix for another: `fit` only checks. A method is a subclass with `_estimate`.
    """

    def fit(self, X: Any, y: None = None) -> "Completer":
        """Check `X`. Raises `DataError` as `estimate` does."""
        batched(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """`X` with its missing entries filled; observed entries come back untouched. Raises `DataError`."""
        values = np.asarray(X, dtype=np.float64)
        return np.where(np.isnan(values), self.estimate(X), values)

    def estimate(self, X: Any) -> np.ndarray:
        """The method's values for all entries, observed ones included, in the shape of `X`.

        Raises `DataError` if `X` is no matrix or batch of matrices of finite numbers and NaN.
        """
        values, single = batched(X)
        observed = ~values.isnan()
        estimates = self._estimate(values.nan_to_num(0.0), observed).cpu().numpy()
        return estimates[0] if single else estimates

    @abstractmethod
    def _estimate(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        """Values for all entries, from those that are observed; `values` is zero elsewhere, in float64 on the CPU."""


def batched(X: Any) -> tuple[Float[Tensor, "batch m n"], bool]:
    """`X` as a batch, and whether it was a single matrix."""
    try:
        values = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError("expected numbers (NaN where an entry is missing), got something else or ragged rows") from None
    if values.ndim not in (2, 3) or 0 in values.shape:
        raise DataError(f"expected a matrix [m, n] or a batch [batch, m, n], got shape {[*values.shape]}")
    if np.isinf(values).any():
        raise DataError("expected finite numbers (NaN where an entry is missing), got an infinity")
    return torch.from_numpy(values.reshape(-1, *values.shape[-2:])), values.ndim == 2
