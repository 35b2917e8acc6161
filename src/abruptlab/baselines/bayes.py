"""The Bayes floor: the posterior mean, which no other method beats on average."""

import math
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from abruptlab.arguments import require, require_count, require_types
from abruptlab.baselines.columns import observed_of
from abruptlab.baselines.completer import Bounded
from abruptlab.baselines.smc import POPULATIONS, posterior_draws
from abruptlab.task.matrix import Factors, MatrixTask

TOGETHER = 2**18  # numbers in a tensor of all particles of the matrices that are led at once: what a cache holds

AGAIN = 4  # times the particles, for matrices that some population finds no way to: it is small ones that get lost


@dataclass(frozen=True)
class Posterior:
    """What is known of each entry of rounded matrices, and how well that was computed."""

    mean: Float[np.ndarray, "batch m n"]
    deviation: Float[np.ndarray, "batch m n"]  # the posterior's standard deviation; 0 where observed
    error: Float[np.ndarray, "batch m n"]  # standard error of the mean, from its spread over independent populations
    converged: Bool[
        np.ndarray, " batch"
    ]  # False where a population found no factors whose product rounds to the matrix

    @property
    def effective(self) -> Float[np.ndarray, " batch"]:
        """How many independent draws from the posterior would give the mean as exactly; infinite where nothing varies.

        The convergence check: few mean that the populations do not agree.
        """
        variance, between = ((each**2).sum((1, 2)) for each in (self.deviation, self.error))
        return np.divide(variance, between, out=np.full_like(variance, np.inf), where=between > 0)


@dataclass(eq=False, repr=False)
class PosteriorMean(Bounded):
    """The mean of the rounded matrix given its observed entries: of all methods, the least expected L on the task.

    The task is the paper's: X = U Vᵀ of known rank, the entries of U and V independent with the distribution `factors`
    (Unif[−1, 1], N(0, 1) or Laplace(0, 1)), X rounded to `decimals`. It is X as rounded that is averaged, so that
    observed entries come back untouched. `particles` factorisations are followed, in independent populations (`smc`);
    the numbers for a matrix depend on `seed` and the matrix alone.

    Raises `ConfigError` for factors that do not exist, for a rank or decimals that no task has, and for fewer than two
    particles a population or a number that the populations cannot share. `min_value` and the parameters after it are
    `Completer`'s. Warns (scikit-learn's `ConvergenceWarning`)
    about matrices for which, even with four times the particles, some population found no factors that round to what is
    observed, as happens if they are none of the task's: their mean is that of factors that come near to it.
    """

    rank: int
    factors: Factors = "uniform"
    decimals: int = 2
    particles: int = 256
    seed: int = 0

    def posterior(self, X: Any) -> Posterior:
        """The posterior of a batch of matrices [batch, m, n], NaN where missing; a single one counts as a batch of one.

        Raises `DataError` as `estimate` does, but for rows and columns without an observed entry: the prior, and the
        spread that it leaves, is what is known of them.
        """
        return self._posterior(*observed_of(self._check(X)))

    def solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        return torch.from_numpy(self._posterior(values, observed).mean)

    def _posterior(self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]) -> Posterior:
        require_count(self.rank, "rank")
        require_types(self)
        fits = self.particles >= 2 * POPULATIONS and self.particles % POPULATIONS == 0
        require(bool(fits), "particles", f"a multiple of {POPULATIONS}, at least {2 * POPULATIONS}", self.particles)
        posterior = self._solve(values, observed, self.particles)
        lost = ~posterior.converged
        if lost.any():
            again = self._solve(
                values[torch.from_numpy(lost)], observed[torch.from_numpy(lost)], AGAIN * self.particles
            )
            for field in fields(Posterior):
                getattr(posterior, field.name)[lost] = getattr(again, field.name)
        if not posterior.converged.all():
            warnings.warn(
                f"{(~posterior.converged).sum()} of {len(values)} matrices: not every population found {self.factors} "
                f"factors of rank {self.rank} whose product rounds to the observed entries; either there are none, "
                f"or it takes more particles{self._out_of_reach(values)}",
                ConvergenceWarning,
                stacklevel=2,
            )
        return posterior

    def _out_of_reach(self, values: Float[Tensor, "batch m n"]) -> str:
        """What explains that there are none, if the entries are too large for uniform factors."""
        largest = float(values.abs().max())
        if self.factors != "uniform" or largest <= self.rank:
            return ""
        return (
            f" (their products lie within ±{self.rank}, and an entry is of size {largest:.6g}: divide the matrices by "
            f"{largest / self.rank:.3g} or more first)"
        )

    def _solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"], particles: int
    ) -> Posterior:
        """The posterior by so many particles, for some of the matrices at a time."""
        m, n = values.shape[1:]
        task = MatrixTask(sizes=((m, n),), rank=self.rank, factors=self.factors, decimals=self.decimals)
        share = max(1, TOGETHER // (particles * m * n))
        scale = 10**self.decimals

        def solve(known: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            draws, converged = posterior_draws(task, known, seen, particles, self.seed)
            rounded = (draws * scale).round().div_(scale).unflatten(-1, (POPULATIONS, -1))
            means = rounded.mean((0, -1))  # of each population
            mean, error = means.mean(-1), means.std(-1) / math.sqrt(POPULATIONS)
            deviation = (rounded - mean[..., None, None]).square().mean((0, -1, -2)).sqrt()
            return torch.where(seen, known, mean), deviation * ~seen, error * ~seen, converged

        with _one_core_each() as threads:
            parts = list(threads.map(solve, values.split(share), observed.split(share)))
        return Posterior(*(torch.cat(column).numpy() for column in zip(*parts, strict=True)))


@contextmanager
def _one_core_each() -> Iterator[ThreadPoolExecutor]:
    """As many threads as PyTorch may use, each of which computes on one core.

    The tensors are so small that several cores at one of them mostly wait for each other.
    """
    count = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that start from here on have it from this
    try:
        with ThreadPoolExecutor(count) as threads:
            yield threads
    finally:
        torch.set_num_threads(count)
