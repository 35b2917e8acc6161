"""An error that needs no truth: observed entries are hidden, completed, and compared, beside the means of columns."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from abruptlab.baselines.columns import moments, observed_of

PARTS = 10  # of the observed entries; one at a time is hidden


@dataclass(frozen=True)
class HeldOut:
    """Root mean squared errors at entries that were hidden."""

    error: float
    error_of_means: float  # of the mean of the column's other observed entries
    entries: int  # that were hidden; with 0 the errors are NaN
    in_deviations: bool  # whether an error counts in standard deviations of its column, not as it is

    @property
    def better(self) -> bool:
        """Whether the method is better than column means; True also where nothing can be said."""
        return not self.error >= self.error_of_means

    def times(self, unit: float) -> "HeldOut":
        """The errors of a matrix that is larger by that factor."""
        factor = 1.0 if self.in_deviations else unit
        return replace(self, error=factor * self.error, error_of_means=factor * self.error_of_means)


def held_out(
    complete: Callable[[Float[np.ndarray, "m n"]], Float[np.ndarray, "m n"]],
    given: Float[np.ndarray, "m n"],
    folds: int,
    in_deviations: bool,
    seed: int = 0,
) -> HeldOut:
    """Hide `folds` of the `PARTS` of the observed entries, one part after another, and have them completed.

    Every row and column keeps an observed entry. Errors count in deviations of their columns if `in_deviations`.
    """
    values, observed = observed_of(given)
    largest = float(values.abs().max()) or 1.0  # in units of which no square overflows or vanishes
    deviation = largest * moments(values / largest, observed)[1][0, 0].numpy()
    unit = np.where(deviation > 0, deviation, 1.0) if in_deviations else np.full(given.shape[1], largest)
    errors, errors_of_means = [], []
    for hidden in _parts(~np.isnan(given), folds, seed):
        some = np.where(hidden, np.nan, given)
        with warnings.catch_warnings(action="ignore"):  # said of the whole matrix already
            completed = complete(some)
        means = largest * np.nanmean(some / largest, 0)
        i, j = hidden.nonzero()
        errors.append((completed[i, j] / unit[j]) - given[i, j] / unit[j])
        errors_of_means.append(means[j] / unit[j] - given[i, j] / unit[j])
    sizes = [_size(each) * (1.0 if in_deviations else largest) for each in (errors, errors_of_means)]
    return HeldOut(*sizes, entries=sum(map(len, errors)), in_deviations=in_deviations)


def _parts(observed: Bool[np.ndarray, "m n"], folds: int, seed: int) -> Iterator[Bool[np.ndarray, "m n"]]:
    """Which entries to hide; parts that would be empty are left out."""
    places = np.random.default_rng(seed).permutation(np.argwhere(observed))
    for part in range(folds):
        rows, columns = observed.sum(1), observed.sum(0)
        hidden = np.zeros_like(observed)
        for i, j in places[part::PARTS]:
            if rows[i] > 1 and columns[j] > 1:
                hidden[i, j] = True
                rows[i] -= 1
                columns[j] -= 1
        if hidden.any():
            yield hidden


def _size(errors: list[np.ndarray]) -> float:
    if not errors:
        return float("nan")
    return float(np.sqrt(np.square(np.concatenate(errors)).mean()))
