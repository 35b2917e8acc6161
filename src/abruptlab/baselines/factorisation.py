"""Rank-aware factorisation: the U Vᵀ of known rank that fits the observed entries best."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from abruptlab.arguments import require, require_count, require_types
from abruptlab.baselines.columns import Units, choose_units, observed_of
from abruptlab.baselines.completer import Scaled, typical_size
from abruptlab.task.counter import generator

PART = 1000  # problems (matrices × restarts) solved at once, few enough for the cache
ITERATIONS = 200
FLOOR = 1e-10  # of the ridge, in sizes of a matrix: below it rounding decides
# a problem is solved when a step promises to lower its objective by less than this share:
SEARCH = 1e-3  # in every restart
FINISH = 1e-6  # in the best one


@dataclass(eq=False, repr=False)
class Factorisation(Scaled):
    """Minimises Σ_observed (X − U Vᵀ)² + ridge · (‖U‖² + ‖V‖²) by Levenberg–Marquardt; the best of many starts wins.

    With the ridge at the rounding's variance (step²/12) over the factors' (1/3) this is about the most probable matrix
    of the paper's task, and the default is about that ridge. The starts depend on `seed` and the shape alone. `scale`
    and the parameters after it are `Completer`'s.

    Fitted to one matrix [m, n] it has learnt what the columns have in common, `components_` [rank, n], in units of
    `scale_` [n]: `transform` and `estimate` then find the rows of a new matrix from these, each by itself and from one
    observed entry on. Fitted to a batch it has learnt nothing, and completes every matrix from its own entries.
    """

    rank: int
    ridge: float = 3e-5
    restarts: int = 20
    seed: int = 0
    _centred = False

    def fit(self, X: Any, y: Any = None) -> "Factorisation":
        """Factorise `X` and note its columns. Raises as `transform` does."""
        for learnt in ("components_", "scale_"):
            vars(self).pop(learnt, None)
        super().fit(X)
        given = self._check(X)
        if given.ndim == 2:
            values, observed = observed_of(given)
            units = choose_units(values, observed, self.scale, self._centred)
            # of the factors of the least ‖U‖² + ‖V‖² those that are orthogonal
            _, sizes, right = torch.linalg.svd(self.solve(units.into(values, observed), observed)[0])
            right, sizes = right[: self.rank], sizes[: self.rank]
            self.components_: Float[np.ndarray, "rank n"] = (sizes.sqrt()[:, None] * right[: len(sizes)]).numpy()
            self.scale_: Float[np.ndarray, " n"] = units.unit[0, 0].numpy()
        return self

    def _estimate(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        if not hasattr(self, "components_"):
            return super()._estimate(values, observed)
        unit = torch.from_numpy(self.scale_)[None, None]
        units, v = Units(torch.zeros_like(unit), unit), torch.from_numpy(self.components_).mT[None]
        u = _rows(v, units.into(values, observed), observed.double(), v.new_full((len(values),), self.ridge))[0]
        return units.back(u @ v.mT)

    def _refuse_blanks(self, given: Float[np.ndarray, "*batch m n"], columns: bool = True) -> None:
        super()._refuse_blanks(given, columns and not hasattr(self, "components_"))

    def solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        """Raises `ConfigError` for a rank or restarts that are no whole numbers from 1, or a ridge not above 0."""
        require_count(self.rank, "rank")
        require_types(self)
        most = min(values.shape[1:])
        require(self.rank <= most, "rank", f"1 to {most}, as no matrix of that size has another", self.rank)
        require_count(self.restarts, "restarts")
        require(bool(self.ridge > 0), "ridge", "a number above 0", self.ridge)
        if values.shape[1] < values.shape[2]:  # tall matrices, whose small V is what the solver works on
            return self.solve(values.mT, observed.mT).mT
        share = max(1, PART // self.restarts)
        return torch.cat([self._best(*part) for part in zip(values.split(share), observed.split(share), strict=True)])

    def _best(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        batch, _, n = values.shape
        ridge = (FLOOR * typical_size(values, observed)[:, 0, 0]).clamp(min=self.ridge)
        start = torch.randn(self.restarts, n, self.rank, generator=generator(self.seed), dtype=torch.float64)
        # so scaled that U Vᵀ with a U of the same size is of the size of the observed entries
        size = (values.square().sum((1, 2)) / observed.sum((1, 2)).clamp(min=1) / self.rank) ** 0.25
        mask = observed.double()
        problems = [each.repeat_interleave(self.restarts, 0) for each in (values, mask, ridge)]
        v, objective = _minimise((start * size[:, None, None, None]).flatten(0, 1), *problems, tolerance=SEARCH)
        best = objective.unflatten(0, (batch, self.restarts)).argmin(1)
        v = v.unflatten(0, (batch, self.restarts))[torch.arange(batch), best]
        v, _ = _minimise(v, values, mask, ridge, FINISH)
        return _rows(v, values, mask, ridge)[0] @ v.mT


def _minimise(
    start: Float[Tensor, "problem n rank"],
    values: Float[Tensor, "problem m n"],
    mask: Float[Tensor, "problem m n"],
    ridge: Float[Tensor, " problem"],
    tolerance: float,
) -> tuple[Float[Tensor, "problem n rank"], Float[Tensor, " problem"]]:
    """Levenberg–Marquardt on V, with the best U for every V (variable projection): V and the objective.

    A problem leaves the batch when it is solved.
    """
    v = start
    u, inverse, objective = _rows(v, values, mask, ridge)
    damping = torch.ones_like(objective)
    best, lowest = v.clone(), objective.clone()
    going = torch.arange(len(v))
    for _ in range(ITERATIONS):
        gradient, hessian = _downhill(u, v, inverse, values, mask, ridge)
        hessian.diagonal(dim1=1, dim2=2).add_(damping[:, None])
        factor, failure = torch.linalg.cholesky_ex(hessian)
        failed = failure > 0  # by rounding: more damping helps
        step = torch.cholesky_solve(gradient.unsqueeze(-1), factor).squeeze(-1).masked_fill(failed[:, None], 0.0)
        promised = (step * (gradient + damping[:, None] * step)).sum(1).masked_fill(failed, torch.inf)
        there = v + step.unflatten(1, v.shape[1:])
        u_there, inverse_there, reached = _rows(there, values, mask, ridge)
        better = reached < objective
        damping = torch.where(better, damping / 4, damping * 4).clamp(min=1e-9)
        chosen = better[:, None, None]
        v, u, objective = torch.where(chosen, there, v), torch.where(chosen, u_there, u), reached.minimum(objective)
        inverse = torch.where(chosen.unsqueeze(-1), inverse_there, inverse)
        best[going], lowest[going] = v, objective
        keep = promised > tolerance * objective
        if not keep.any():
            break
        going, v, u, inverse, objective, damping, values, mask, ridge = (
            tensor[keep] for tensor in (going, v, u, inverse, objective, damping, values, mask, ridge)
        )
    return best, lowest


def _rows(
    v: Float[Tensor, "problem n rank"],
    values: Float[Tensor, "problem m n"],
    mask: Float[Tensor, "problem m n"],
    ridge: Float[Tensor, " problem"],
) -> tuple[Float[Tensor, "problem m rank"], Float[Tensor, "problem m rank rank"], Float[Tensor, " problem"]]:
    """The best U for V, the inverse of each row's Gram matrix, and the objective; `values` are zero where hidden."""
    gram = torch.einsum("pij,pjk,pjl->pikl", mask, v, v) + ridge[:, None, None, None] * torch.eye(
        v.shape[2], dtype=v.dtype
    )
    inverse, failure = torch.linalg.inv_ex(gram)
    u = (inverse @ (values @ v).unsqueeze(-1)).squeeze(-1)
    misfit = (values - mask * (u @ v.mT)).square().sum((1, 2))
    objective = misfit + ridge * (u.square().sum((1, 2)) + v.square().sum((1, 2)))
    return u, inverse, objective.masked_fill((failure != 0).any(1), torch.inf)  # singular by rounding: no way to go


def _downhill(
    u: Float[Tensor, "problem m rank"],
    v: Float[Tensor, "problem n rank"],
    inverse: Float[Tensor, "problem m rank rank"],
    values: Float[Tensor, "problem m n"],
    mask: Float[Tensor, "problem m n"],
    ridge: Float[Tensor, " problem"],
) -> tuple[Float[Tensor, "problem unknown"], Float[Tensor, "problem unknown unknown"]]:
    """Half the downhill gradient of the objective in V, and half its Gauss–Newton Hessian once U is eliminated."""
    problems, _, rank = u.shape
    n = v.shape[1]
    gradient = (values - mask * (u @ v.mT)).mT @ u - ridge[:, None, None] * v
    # ∂²/∂u_ik ∂v_jl = M_ij v_jk u_il, [problem, i·k, j·l]; the Schur complement takes off what U makes good
    mixed = (mask[:, :, None, :, None] * v.mT[:, None, :, :, None] * u[:, :, None, None, :]).flatten(3)
    hessian = -(mixed.flatten(1, 2).mT @ (inverse @ mixed).flatten(1, 2))
    own = torch.einsum("pij,pik,pil->pjkl", mask, u, u) + ridge[:, None, None, None] * torch.eye(rank, dtype=u.dtype)
    blocks = hessian.view(problems, n, rank, n, rank).diagonal(dim1=1, dim2=3)  # [problem, k, l, j]
    blocks.add_(own.permute(0, 2, 3, 1))
    return gradient.flatten(1), hessian
