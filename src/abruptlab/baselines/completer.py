"""The protocol of every method that completes matrices, in scikit-learn's style."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, validate_data
from torch import Tensor

from abruptlab.arguments import require, require_count
from abruptlab.baselines.checks import check_bounds
from abruptlab.baselines.columns import Scale, choose_units, columns_differ, observed_of
from abruptlab.baselines.holdout import PARTS, HeldOut, held_out
from abruptlab.errors import DataError

KEPT = (np.float64, np.float32, np.float16)  # precisions that come back as they came; all else becomes the first


class Completer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Completes one matrix [m, n] or a batch of them [batch, m, n], NaN (or masked) where an entry is missing.

    Nothing is learnt from one matrix for another (but by `Factorisation`): `fit` only checks, and notes the number and
    the names of the columns, which later matrices must then have; `transform` and `estimate` need no `fit`. A method is
    a subclass with `solve`. Most have some of these parameters:

    - `scale`: "columns" has the method see every column less its mean, over its standard deviation (`Factorisation`:
      over its root mean square, so that the rank stays what it is); "none" has it see the matrix as it is; "auto" is
      "columns" for a matrix whose columns differ in spread by more than a factor of ten.
    - `min_value`, `max_value`: what is filled in is brought between them.
    - `rounding`: what is filled in is rounded to so many decimals, and within the bounds all the same.
    - `add_indicator`: `transform` appends, for every column, one that is 1 where its entry was missing.

    Matrices whose largest entry is beyond 1e100 or below 1e-100 are divided by it first, whatever `scale` is.
    """

    scale: Scale = "none"
    min_value: float | int = -math.inf
    max_value: float | int = math.inf
    rounding: int | None = None
    add_indicator: bool = False
    _centred: ClassVar[bool] = True  # whether `scale` takes the columns' means off

    def fit(self, X: Any, y: Any = None) -> "Completer":
        """Check `X` and note its columns; no more, so `transform` completes each matrix from itself alone.

        Raises `DataError` as `transform` does.
        """
        given = self._check(X, reset=True)
        self._refuse_blanks(given)
        return self

    def transform(self, X: Any) -> Any:
        """`X` with its missing entries filled, in its own precision; observed entries come back untouched.

        Raises `DataError` as `estimate` does, for a row or column without an observed entry, of which nothing can tell
        the values, and where a value is beyond the largest number of that precision. `ConfigError` for bounds, a
        rounding or a scale that make no sense.
        """
        given = self._check(X)
        self._refuse_blanks(given)
        filled = self.fill(given, self._values(given))
        return np.concatenate([filled, np.isnan(given).astype(given.dtype)], -1) if self.add_indicator else filled

    def fill(
        self, given: Float[np.ndarray, "*batch m n"], values: Float[np.ndarray, "*batch m n"]
    ) -> Float[np.ndarray, "*batch m n"]:
        """`given` with `values` where it is NaN, rounded and within the bounds. Raises as `transform` does."""
        bounds = check_bounds(self.min_value, self.max_value, self.rounding)
        if self.rounding is not None:
            values = values.round(self.rounding)
        with np.errstate(over="ignore"):
            filled = np.where(np.isnan(given), values.clip(*bounds).astype(given.dtype), given)
        if not np.isfinite(filled).all():
            raise DataError(f"the completion has entries beyond the range of {given.dtype}: divide the matrix first")
        return filled

    def estimate(self, X: Any) -> np.ndarray:
        """The method's own values for all entries, observed ones included, in the shape of `X`, in float64.

        Raises `DataError` if `X` is no matrix or batch of matrices of finite numbers and NaN, if its columns are
        not those of the `X` that was given to `fit`, or if a row or column of it has no observed entry.
        """
        given = self._check(X)
        self._refuse_blanks(given)
        return self._values(given)

    def held_out(self, X: Any, folds: int = 10, seed: int = 0) -> HeldOut:
        """How well observed entries of one matrix are completed if they are hidden, beside the means of their columns.

        The observed entries are parted into ten, of which `folds` are hidden, one after another. Raises as `transform`,
        and `ConfigError` for more folds than there are.
        """
        require_count(folds, "folds", 0, PARTS)
        require_count(seed, "seed", 0)
        given = self._check(X)
        if given.ndim != 2:
            raise DataError(f"expected a matrix [m, n], got shape {[*given.shape]}")
        self._refuse_blanks(given)
        given = given.astype(np.float64)
        in_deviations = self.scale == "columns" or columns_differ(given)
        anew: Any = clone(self)  # without what was learnt from the hidden entries
        if self.scale == "auto":
            anew.set_params(scale="columns" if in_deviations else "none")
        return held_out(anew._values, given, folds, in_deviations, seed)

    @abstractmethod
    def solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        """The method itself: values for all entries, from those observed, in the units they have and whichever rows are
        blank. `values` is zero where not observed, in float64 on the CPU."""

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns that `transform` gives; raises as scikit-learn's own does."""
        names: Any = super().get_feature_names_out(input_features)
        marks = [f"missingindicator_{name}" for name in names] if self.add_indicator else []
        return np.array([*names, *marks], dtype=object)

    def _values(self, given: Float[np.ndarray, "*batch m n"]) -> Float[np.ndarray, "*batch m n"]:
        return self._estimate(*observed_of(given)).cpu().numpy().reshape(given.shape)

    def _estimate(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        """`solve` in the units of `scale`. Raises `ConfigError` for another than there are."""
        require(self.scale in get_args(Scale), "scale", f"one of {', '.join(get_args(Scale))}", repr(self.scale))
        units = choose_units(values, observed, self.scale, self._centred)
        return units.back(self.solve(units.into(values, observed), observed))

    def _refuse_blanks(self, given: Float[np.ndarray, "*batch m n"], columns: bool = True) -> None:
        observed = ~np.isnan(given)
        for axis, place in ((-1, "row"), (-2, "column"))[: 1 + columns]:
            blank = ~observed.any(axis)
            if blank.any():
                *matrix, index = np.argwhere(blank)[0]
                of = "".join(f" of matrix {number}" for number in matrix)
                raise DataError(
                    f"{place} {index}{of} (counted from 0) has no observed entry, so that nothing can tell its values: "
                    f"fill one in or remove the {place}"
                )

    def _check(self, X: Any, *, reset: bool = False) -> Float[np.ndarray, "*batch m n"]:
        """`X` as an array, NaN where masked; its columns are compared with those of `fit`, or with `reset` noted."""
        try:
            if np.ma.isMaskedArray(X):
                masked: Any = X.astype(X.dtype if X.dtype.kind == "f" else float)
                X = masked.filled(np.nan)
            shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
            if len(shape) not in (2, 3):
                message = f"expected a matrix [m, n] or a batch [batch, m, n], got shape {[*shape]}. Reshape your data"
                raise DataError(message)
            if np.asarray(X).dtype.kind in "mM":  # which NumPy would count in nanoseconds
                raise DataError("expected numbers, got dates or durations")
            rows: Any = X if len(shape) == 2 else np.reshape(X, (shape[0] * shape[1], shape[2]))
            options: dict[str, Any] = {"dtype": KEPT, "ensure_all_finite": "allow-nan"}
            if reset or hasattr(self, "n_features_in_"):
                return np.reshape(validate_data(self, rows, reset=reset, **options), shape)
            return np.reshape(check_array(rows, estimator=self, input_name="X", **options), shape)
        except DataError:
            raise
        except np.exceptions.DTypePromotionError:
            raise DataError(f"{_column_of_text(X)}expected numbers, got dates or durations") from None
        except (TypeError, ValueError) as error:  # ragged, not numbers, infinite, empty, other columns
            column = _column_of_text(X)
            if isinstance(error, TypeError) and not column:
                raise  # as scikit-learn asks of what is no data at all
            raise DataError(f"{column}{' '.join(str(error).split())}") from None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        assert tags.transformer_tags  # it is a transformer
        tags.transformer_tags.preserves_dtype = [np.dtype(kept).name for kept in KEPT]
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        tags.requires_fit = False
        return tags


@dataclass(eq=False, repr=False, kw_only=True)  # scikit-learn has its own
class Bounded(Completer):
    """A method with the parameters of `Completer` that say what may be filled in."""

    min_value: float | int = -math.inf
    max_value: float | int = math.inf
    rounding: int | None = None
    add_indicator: bool = False


@dataclass(eq=False, repr=False, kw_only=True)
class Scaled(Bounded):
    """A method with all of `Completer`'s parameters."""

    scale: Scale = "auto"


def _column_of_text(X: Any) -> str:
    """The first column of a DataFrame that is not of numbers, as the beginning of a message; "" if there is none."""
    for name in getattr(X, "columns", ()):
        try:
            X[name].astype(float)
        except (TypeError, ValueError):
            return f"column {name!r}: "
    return ""


def typical_size(values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]) -> Float[Tensor, "batch 1 1"]:
    """The root mean square of the observed entries; `values` are zero elsewhere."""
    largest = values.abs().amax((1, 2), keepdim=True)
    relative = values / torch.where(largest > 0, largest, 1.0)  # whose squares neither overflow nor vanish
    count = observed.sum((1, 2), keepdim=True).clamp(min=1)
    return largest * (relative.square().sum((1, 2), keepdim=True) / count).sqrt()
