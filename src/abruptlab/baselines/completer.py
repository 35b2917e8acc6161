"""The protocol of every method that completes matrices, in scikit-learn's style."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, validate_data
from torch import Tensor

from abruptlab.errors import DataError


class Completer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Completes one matrix [m, n] or a batch of them [batch, m, n], NaN where an entry is missing.

    Nothing is learnt from one matrix for another: `fit` only checks, and notes the number and the names of the
    columns, which later matrices must then have; `transform` and `estimate` need no `fit`. A method is a subclass with
    `_estimate`.
    """

    def fit(self, X: Any, y: Any = None) -> "Completer":
        """Check `X` and note its columns. Raises `DataError` as `estimate` does."""
        self._check(X, reset=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """`X` with its missing entries filled; observed entries come back untouched. Raises `DataError`."""
        values = self._check(X)
        return np.where(np.isnan(values), self.estimate(X), values)

    def estimate(self, X: Any) -> np.ndarray:
        """The method's values for all entries, observed ones included, in the shape of `X`.

        Raises `DataError` if `X` is no matrix or batch of matrices of finite numbers and NaN, or if its columns are
        not those of the `X` that was given to `fit`.
        """
        given = self._check(X)
        values = torch.tensor(given).view(-1, *given.shape[-2:])
        return self._estimate(values.nan_to_num(0.0), ~values.isnan()).cpu().numpy().reshape(given.shape)

    @abstractmethod
    def _estimate(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        """Values for all entries, from those that are observed; `values` is zero elsewhere, in float64 on the CPU."""

    def _check(self, X: Any, *, reset: bool = False) -> Float[np.ndarray, "*batch m n"]:
        """`X` as an array; its columns are compared with those of `fit`, or with `reset` noted."""
        try:
            shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
            if len(shape) not in (2, 3):
                came = f"expected a matrix [m, n] or a batch [batch, m, n], got shape {[*shape]}. Reshape your data"
                raise DataError(came)
            rows: Any = X if len(shape) == 2 else np.reshape(X, (shape[0] * shape[1], shape[2]))
            options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
            if reset or hasattr(self, "n_features_in_"):
                return np.reshape(validate_data(self, rows, reset=reset, **options), shape)
            return np.reshape(check_array(rows, estimator=self, input_name="X", **options), shape)
        except DataError:
            raise
        except ValueError as error:  # ragged, not numbers, infinite, empty, other columns
            raise DataError(" ".join(str(error).split())) from None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.requires_fit = False
        return tags


def typical_size(values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]) -> Float[Tensor, "batch 1 1"]:
    """The root mean square of the observed entries; `values` are zero elsewhere."""
    largest = values.abs().amax((1, 2), keepdim=True)
    relative = values / torch.where(largest > 0, largest, 1.0)  # whose squares neither overflow nor vanish
    count = observed.sum((1, 2), keepdim=True).clamp(min=1)
    return largest * (relative.square().sum((1, 2), keepdim=True) / count).sqrt()
