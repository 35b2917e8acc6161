"""Rank-aware factorisation: the U Vᵀ of known rank that fits the observed entries best."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from abruptlab.baselines.completer import Completer
from abruptlab.errors import ConfigError
from abruptlab.task.matrices import generator

PART = 1000  # problems (matrices × restarts) solved at once, few enough for the cache
ITERATIONS = 200
# a problem is solved when a step promises to lower its objective by less than this share:
SEARCH = 1e-3  # in every restart
FINISH = 1e-6  # in the best one


class Factorisation(Completer):
    """Minimises Σ_observed (X − U Vᵀ)² + ridge · (‖U‖² + ‖V‖²) by Levenberg–Marquardt; the best of many starts wins.

    With the ridge at the rounding's variance (step²/12) over the factors' (1/3) this is about the most probable matrix
    of the paper's task, and the default is about that ridge. The starts depend on `seed` and the shape alone.
    """

    def __init__(self, rank: int, ridge: float = 3e-5, restarts: int = 20, seed: int = 0) -> None:
        self.rank = rank
        self.ridge = ridge
        self.restarts = restarts
        self.seed = seed

    def _estimate(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        """Raises `ConfigError` for a rank or a number of restarts below 1, or a ridge that is not above 0."""
        if self.rank < 1 or self.restarts < 1 or not self.ridge > 0:
            raise ConfigError(
                "factorisation: expected rank and restarts of at least 1 and a ridge above 0, "
                f"got {self.rank}, {self.restarts} and {self.ridge}"
            )
        if values.shape[1] < values.shape[2]:  # tall matrices, whose small V is what the solver works on
            return self._estimate(values.mT, observed.mT).mT
        share = max(1, PART // self.restarts)
        return torch.cat([self._best(*part) for part in zip(values.split(share), observed.split(share), strict=True)])

    def _best(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        batch, _, n = values.shape
        start = torch.randn(self.restarts, n, self.rank, generator=generator(self.seed), dtype=torch.float64)
        # so scaled that U Vᵀ with a U of the same size is of the size of the observed entries
        size = (values.square().sum((1, 2)) / observed.sum((1, 2)).clamp(min=1) / self.rank) ** 0.25
        mask = observed.double()
        v, objective = _minimise(
            (start * size[:, None, None, None]).flatten(0, 1),
            values.repeat_interleave(self.restarts, 0),
            mask.repeat_interleave(self.restarts, 0),
            self.ridge,
            SEARCH,
        )
        best = objective.unflatten(0, (batch, self.restarts)).argmin(1)
        v = v.unflatten(0, (batch, self.restarts))[torch.arange(batch), best]
        v, _ = _minimise(v, values, mask, self.ridge, FINISH)
        return _rows(v, values, mask, self.ridge)[0] @ v.mT


def _minimise(
    start: Float[Tensor, "problem n rank"],
    values: Float[Tensor, "problem m n"],
    mask: Float[Tensor, "problem m n"],
    ridge: float,
    tolerance: float,
) -> tuple[Float[Tensor, "problem n rank"], Float[Tensor, " problem"]]:
    """Levenberg–Marquardt on V, with the best U for every V (variable projection): V and the objective.

    A problem leaves the batch when it is solved.
    """
    v = start
    u, inverse, objective = _rows(v, values, mask, ridge)
    damping = torch.ones_like(objective)
    found, lowest = v.clone(), objective.clone()
    going = torch.arange(len(v))
    for _ in range(ITERATIONS):
        gradient, hessian = _downhill(u, v, inverse, values, mask, ridge)
        hessian.diagonal(dim1=1, dim2=2).add_(damping[:, None])
        step = torch.cholesky_solve(gradient.unsqueeze(-1), torch.linalg.cholesky(hessian)).squeeze(-1)
        promised = (step * (gradient + damping[:, None] * step)).sum(1)
        there = v + step.unflatten(1, v.shape[1:])
        u_there, inverse_there, reached = _rows(there, values, mask, ridge)
        better = reached < objective
        damping = torch.where(better, damping / 4, damping * 4).clamp(min=1e-9)
        chosen = better[:, None, None]
        v, u, objective = torch.where(chosen, there, v), torch.where(chosen, u_there, u), reached.minimum(objective)
        inverse = torch.where(chosen.unsqueeze(-1), inverse_there, inverse)
        found[going], lowest[going] = v, objective
        keep = promised > tolerance * objective
        if not keep.any():
            break
        going, v, u, inverse, objective, damping, values, mask = (
            tensor[keep] for tensor in (going, v, u, inverse, objective, damping, values, mask)
        )
    return found, lowest


def _rows(
    v: Float[Tensor, "problem n rank"],
    values: Float[Tensor, "problem m n"],
    mask: Float[Tensor, "problem m n"],
    ridge: float,
) -> tuple[Float[Tensor, "problem m rank"], Float[Tensor, "problem m rank rank"], Float[Tensor, " problem"]]:
    """The best U for V, the inverse of each row's Gram matrix, and the objective; `values` are zero where hidden."""
    gram = torch.einsum("pij,pjk,pjl->pikl", mask, v, v) + ridge * torch.eye(v.shape[2], dtype=v.dtype)
    inverse = torch.linalg.inv(gram)
    u = (inverse @ (values @ v).unsqueeze(-1)).squeeze(-1)
    misfit = (values - mask * (u @ v.mT)).square().sum((1, 2))
    return u, inverse, misfit + ridge * (u.square().sum((1, 2)) + v.square().sum((1, 2)))


def _downhill(
    u: Float[Tensor, "problem m rank"],
    v: Float[Tensor, "problem n rank"],
    inverse: Float[Tensor, "problem m rank rank"],
    values: Float[Tensor, "problem m n"],
    mask: Float[Tensor, "problem m n"],
    ridge: float,
) -> tuple[Float[Tensor, "problem unknown"], Float[Tensor, "problem unknown unknown"]]:
    """Half the downhill gradient of the objective in V, and half its Gauss–Newton Hessian once U is eliminated."""
    problems, _, rank = u.shape
    n = v.shape[1]
    gradient = (values - mask * (u @ v.mT)).mT @ u - ridge * v
    # ∂²/∂u_ik ∂v_jl = M_ij v_jk u_il, [problem, i·k, j·l]; the Schur complement takes off what U makes good
    mixed = (mask[:, :, None, :, None] * v.mT[:, None, :, :, None] * u[:, :, None, None, :]).flatten(3)
    hessian = -(mixed.flatten(1, 2).mT @ (inverse @ mixed).flatten(1, 2))
    own = torch.einsum("pij,pik,pil->pjkl", mask, u, u) + ridge * torch.eye(rank, dtype=u.dtype)
    blocks = hessian.view(problems, n, rank, n, rank).diagonal(dim1=1, dim2=3)  # [problem, k, l, j]
    blocks.add_(own.permute(0, 2, 3, 1))
    return gradient.flatten(1), hessian
