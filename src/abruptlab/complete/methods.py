"""Completing one matrix of a person's, of any size and scale, by any of the methods."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from abruptlab.baselines.bayes import PosteriorMean
from abruptlab.baselines.columns import columns_differ, observed_of
from abruptlab.baselines.completer import Completer, typical_size
from abruptlab.baselines.factorisation import Factorisation
from abruptlab.baselines.holdout import PARTS, HeldOut, held_out
from abruptlab.baselines.nuclear import NuclearNorm, RegularisedNuclearNorm
from abruptlab.baselines.simple import RowColumnMeans
from abruptlab.complete.imputer import TransformerImputer
from abruptlab.errors import ConfigError, DataError

LONGEST = 300.0  # seconds, about, that a completion may take
HELD_OUT = 30.0  # seconds, about, that its error on held-out entries may take; one part is always held out
ROUGH = 64  # particles of the posterior mean on held-out entries: many matrices, of whose error a digit is enough
PRIOR_DECIMALS = 4  # that the posterior mean knows at most


@dataclass(frozen=True)
class Method:
    """A way to complete a matrix."""

    make: Callable[..., Completer]
    seconds: Callable[[int, int, int], float] = lambda m, n, rank: 0.0  # for m × n, m ≥ n; about, on two cores
    rescaled: bool = True  # whether the matrix is made one of root mean square 1 first


METHODS = {
    "nuclear": Method(NuclearNorm, lambda m, n, rank: 5e-7 * m * n**2),
    "regularised": Method(RegularisedNuclearNorm, lambda m, n, rank: 5e-7 * m * n**2),
    "factorisation": Method(
        Factorisation,
        # the second stands for the memory: at most half a gigabyte for a tensor
        lambda m, n, rank: m * n * rank**2 * max(5e-7 * n * rank, 1e-4),
    ),
    "means": Method(RowColumnMeans, lambda m, n, rank: 1e-9 * (m + n) ** 3),
    "posterior-mean": Method(PosteriorMean, lambda m, n, rank: 0.1 * m * n * rank, rescaled=False),
    "bert": Method(TransformerImputer, rescaled=False),
}


@dataclass(frozen=True)
class Plan:
    """A method, set up for a matrix."""

    completer: Completer
    rescaled: bool
    folds: int  # parts of the observed entries that are held out, one after another
    seconds: float  # that it will take, about


@dataclass(frozen=True)
class Completion:
    """A matrix with and without its missing entries."""

    values: Float[np.ndarray, "m n"]  # as completed, the observed entries untouched
    observed: Bool[np.ndarray, "m n"]
    spread: Float[np.ndarray, "m n"] | None  # standard deviation of what an entry may be, 0 where observed
    held_out: HeldOut  # how well observed entries are completed if they are hidden
    warnings: tuple[str, ...]  # what the method has to say


def plan(name: str, shape: tuple[int, int], **options: Any) -> Plan:
    """The method called `name` for a matrix of that shape; options that are None count as not given.

    The options are those that `check_options` lets pass, and `min_value`, `max_value` and `rounding`. Raises
    `ConfigError` for a rank that does not suit the shape, and for a matrix that would take it more than `LONGEST`.
    """
    method = METHODS[name]
    options = {option: value for option, value in options.items() if value is not None}
    large, small = max(shape), min(shape)
    rank = options.get("rank", 1)
    if rank > small:
        raise ConfigError(f"--rank: expected 1 to {small} for a matrix of {shape[0]}×{shape[1]}, got {rank}")
    seconds = method.seconds(large, small, rank)
    if seconds > LONGEST:
        instead = "use nuclear" if METHODS["nuclear"].seconds(large, small, 1) <= LONGEST else "take a part of it"
        raise ConfigError(
            f"method {name} would take about {seconds / 60:,.0f} minutes for a matrix of {shape[0]}×{shape[1]}, more "
            f"than it is made for: {instead}"
        )
    folds = PARTS if PARTS * seconds <= HELD_OUT else max(1, int(HELD_OUT / seconds))
    return Plan(method.make(**options), method.rescaled, folds, (1 + folds) * seconds)


def complete(given: Float[np.ndarray, "m n"], plan: Plan) -> Completion:
    """`given` with its missing entries (NaN) filled in, and how well the method does on entries that are held out.

    Raises `DataError` for a matrix that the method cannot take.
    """
    observed, completer = ~np.isnan(given), plan.completer
    spread = None
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        if isinstance(completer, PosteriorMean):
            mean, spread = _posterior(completer, given)
            rough = replace(completer, particles=ROUGH)
            error = held_out(lambda some: _posterior(rough, some)[0], given, plan.folds, columns_differ(given))
            values = completer.fill(given, mean)
        else:
            unit = _unit(given) if plan.rescaled else 1.0
            scaled = given / unit
            with np.errstate(over="ignore"):
                values = completer.fill(given, unit * completer.estimate(scaled))
            error = completer.held_out(scaled, plan.folds).times(unit)
    words = [str(warning.message) for warning in said]
    if not error.entries:
        words.append("no entry could be spared to see how well this does: do not trust the completion")
    if not error.better:
        words.append("column means tell held-out entries as well as this or better: do not trust the completion")
    return Completion(values, observed, spread, error, tuple(dict.fromkeys(words)))


def _unit(given: Float[np.ndarray, "m n"]) -> float:
    return typical_size(*observed_of(given)).item() or 1.0


def _posterior(
    method: PosteriorMean, given: Float[np.ndarray, "m n"]
) -> tuple[Float[np.ndarray, "m n"], Float[np.ndarray, "m n"]]:
    """The posterior's mean and standard deviation, for a matrix rounded to as many decimals as it has."""
    largest = np.nanmax(np.abs(given))
    if largest > method.rank:
        factor = largest / method.rank
        raise DataError(
            f"the posterior mean takes factors from −1 to 1: expected entries of at most {method.rank}, the rank, "
            f"got one of size {largest:.6g}: divide the matrix by {factor:.3g} or more first, or use nuclear"
        )
    seen = given[~np.isnan(given)]
    decimals = next((some for some in range(PRIOR_DECIMALS) if (seen.round(some) == seen).all()), PRIOR_DECIMALS)
    posterior = replace(method, decimals=decimals).posterior(given.round(decimals))
    return posterior.mean[0], posterior.deviation[0]
