"""Nuclear-norm minimisation, for thousands of small matrices at once.

Both methods are one problem, with M the observed entries, Ω their places and μ ≥ 0:

    min  ‖Z‖_* + 1/(2μ) · ‖P_Ω(Z − M)‖²        where μ = 0 means the constraint P_Ω(Z) = M.

It is solved by Douglas–Rachford splitting: z is the proximal point of the data's term, w that of the nuclear norm
(`shrink`), and x moves by their difference. The dual problem,

    max  ⟨M, Y⟩ − μ/2 · ‖Y‖²        over Y that are zero outside Ω, with largest singular value ≤ 1,

proves how good a solution is: Y = (z − x)/step, scaled down where it is too large, bounds the optimum from below.
"""

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

import torch
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from abruptlab.arguments import require, require_types
from abruptlab.baselines.completer import Scaled

RELAXATION = 1.8  # between 0 and 2; above 1 it overshoots, which saves iterations
STEP = 0.2  # the first step, as a share of the largest singular value of M; it adapts
CHECK_EVERY = 10  # iterations between looks at the duality gap and at the step
ADAPT_UNTIL = 2_000  # iterations; from then on the step is fixed, as the proof of convergence asks
TOGETHER = 2**17  # entries of the matrices that a thread solves at once; fewer pay more for the last ones to finish


@dataclass(eq=False, repr=False)
class NuclearNorm(Scaled):
    """The matrix of least nuclear norm that has the observed entries (figures 3 and 19).

    With `scale="auto"`, that is of the columns in standard deviations where their spreads differ more than tenfold, as
    units do, and the columns of a small matrix may by chance; with `scale="none"` (and in `solve`) of the matrix as it
    is, always.

    It stops where the duality gap proves the norm to be within `tolerance`, relatively, of the least one, and warns
    (scikit-learn's `ConvergenceWarning`) if `max_iterations` did not suffice. Where several matrices have the least
    norm, it gives one of them. Raises `ConfigError` for a tolerance or a number of iterations that is not above 0.
    """

    tolerance: float = 1e-5
    max_iterations: int = 20_000

    def solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        require_types(self)
        return minimise(values, observed, values.new_zeros(len(values)), self.tolerance, self.max_iterations)


@dataclass(eq=False, repr=False)
class RegularisedNuclearNorm(Scaled):
    """The minimiser of (1/|Ω|) · ‖P_Ω(Z − X)‖² + penalty · ‖Z‖_* (the paper has penalties from 0.0005 to 0.01).

    This is soft-impute's problem, and for large matrices too this one class will do: soft-impute's own iteration is
    proximal gradient on it (step |Ω|/2, so that each threshold is penalty · |Ω|/2), which needs the same
    decomposition of the smaller side an iteration, and more iterations. Stops, warns and raises as `NuclearNorm`, and
    raises `ConfigError` for a penalty below 0.
    """

    penalty: float = 0.001
    tolerance: float = 1e-5
    max_iterations: int = 20_000

    def solve(
        self, values: Float[Tensor, "batch m n"], observed: Bool[Tensor, "batch m n"]
    ) -> Float[Tensor, "batch m n"]:
        require_types(self)
        require(bool(self.penalty >= 0), "nuclear norm", "a penalty of 0 or more", self.penalty)
        # the objective divided by the penalty has 1/(2μ) = 1/(penalty · |Ω|)
        slack = self.penalty * observed.double().sum((-1, -2)) / 2
        completed, more = torch.zeros_like(values), slack < _largest(values)[:, 0, 0]  # than zero, which is exact else
        if more.any():
            parts = values[more], observed[more], slack[more]
            completed[more] = minimise(*parts, self.tolerance, self.max_iterations)
        return completed


def minimise(
    values: Float[Tensor, "batch m n"],
    observed: Bool[Tensor, "batch m n"],
    slack: Float[Tensor, " batch"],
    tolerance: float,
    max_iterations: int,
) -> Float[Tensor, "batch m n"]:
    """Solve the problem above for each matrix, with μ = `slack` and `values` zero where not `observed`."""
    given = f"{tolerance} and {max_iterations}"
    require(bool(tolerance > 0 and max_iterations > 0), "nuclear norm", "tolerance and max_iterations above 0", given)
    m, n = values.shape[-2:]
    if m < n:  # tall matrices, whose small Gram matrices `shrink` decomposes
        return minimise(values.mT, observed.mT, slack, tolerance, max_iterations).mT
    parts = [each.split(max(1, TOGETHER // (m * n))) for each in (values, observed, slack)]
    with ThreadPoolExecutor(torch.get_num_threads()) as threads:  # the decompositions use one core a call
        solved = list(threads.map(_douglas_rachford, *parts, repeat(tolerance), repeat(max_iterations)))
    unfinished = sum(count for _, count in solved)
    if unfinished:
        warnings.warn(
            f"{unfinished} of {len(values)} matrices missed tolerance {tolerance:g} in {max_iterations} iterations",
            ConvergenceWarning,
            stacklevel=2,
        )
    return torch.cat([solution for solution, _ in solved])


def _douglas_rachford(
    values: Float[Tensor, "batch m n"],
    observed: Bool[Tensor, "batch m n"],
    slack: Float[Tensor, " batch"],
    tolerance: float,
    max_iterations: int,
) -> tuple[Float[Tensor, "batch m n"], int]:
    """The solutions, and how many of them missed the tolerance. A matrix that is finished leaves the batch."""
    solutions = torch.empty_like(values)
    left = torch.arange(len(values))
    slack = slack[:, None, None]
    before = x = z = w = values
    step = STEP * _largest(values).clamp(min=torch.finfo(values.dtype).tiny)
    for iteration in range(0, max_iterations, CHECK_EVERY):
        freedom = torch.where(observed, slack / (slack + step), 1.0)
        for _ in range(CHECK_EVERY):
            before = x
            z = torch.lerp(values, x, freedom)
            w = shrink(2 * z - x, step)
            x = x + RELAXATION * (w - z)
        dual = (z - before) / step
        candidate = torch.where(observed, z, w)
        objective, gap = _certificate(candidate, dual, values, observed, slack)
        solutions[left] = candidate
        stay = gap > tolerance * objective
        left, values, observed, slack, step, x, z, w, dual = (
            each[stay] for each in (left, values, observed, slack, step, x, z, w, dual)
        )
        if not len(left):
            break
        if iteration < ADAPT_UNTIL:
            change = _balance(w - z, dual, z, observed, step)
            x = x + step * (1 - change) * dual  # z and the dual stay what they are
            step = step * change
    return solutions, len(left)


def shrink(matrices: Float[Tensor, "batch m n"], by: Float[Tensor, "batch 1 1"]) -> Float[Tensor, "batch m n"]:
    """All singular values lessened by `by`, down to zero at most: the proximal map of the nuclear norm.

    By the eigenvectors of AᵀA, which on a CPU take a third of the time of A's singular vectors; what that loses in
    singular values near zero is below the threshold anyway.
    """
    squares, vectors = torch.linalg.eigh(matrices.mT @ matrices)
    singular = squares.clamp(min=torch.finfo(squares.dtype).tiny).sqrt().unsqueeze(-2)
    return matrices @ ((vectors * (1 - by / singular).clamp(min=0)) @ vectors.mT)


def nuclear_norm(matrices: Float[Tensor, "batch m n"]) -> Float[Tensor, " batch"]:
    """The sum of the singular values."""
    return _singular_values(matrices).sum(-1)


def _singular_values(matrices: Float[Tensor, "batch m n"]) -> Float[Tensor, "batch n"]:
    return torch.linalg.eigvalsh(matrices.mT @ matrices).clamp(min=0).sqrt()


def _largest(matrices: Float[Tensor, "batch m n"]) -> Float[Tensor, "batch 1 1"]:
    return _singular_values(matrices)[:, -1:, None]


def _norm(matrices: Float[Tensor, "batch m n"]) -> Float[Tensor, "batch 1 1"]:
    """The Frobenius norm."""
    return matrices.square().sum((-1, -2), keepdim=True).sqrt()


def _certificate(
    candidate: Float[Tensor, "batch m n"],
    dual: Float[Tensor, "batch m n"],
    values: Float[Tensor, "batch m n"],
    observed: Bool[Tensor, "batch m n"],
    slack: Float[Tensor, "batch 1 1"],
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """The candidate's objective, and by how much at most it lies above the optimum."""
    misfit = torch.where(observed & (slack > 0), (candidate - values).square() / (2 * slack), 0.0).sum((-1, -2))
    objective = nuclear_norm(candidate) + misfit
    feasible = dual / _largest(dual).clamp(min=1)
    bound = (values * feasible - slack / 2 * feasible.square()).sum((-1, -2))
    return objective, objective - bound


def _balance(
    difference: Float[Tensor, "batch m n"],
    dual: Float[Tensor, "batch m n"],
    z: Float[Tensor, "batch m n"],
    observed: Bool[Tensor, "batch m n"],
    step: Float[Tensor, "batch 1 1"],
) -> Float[Tensor, "batch 1 1"]:
    """The factor by which the step is to change, so that neither residual is far behind the other.

    w − z at the observed places is how far w is from the data; at the others, by the step, how far the subgradient
    at w is from being a dual point. Each counts relatively to its variable.
    """
    primal = _norm(torch.where(observed, difference, 0.0)) * _norm(dual) * step
    other = _norm(torch.where(observed, 0.0, difference)) * _norm(torch.where(observed, z, 0.0))
    factor = (other / primal).sqrt().nan_to_num(1.0).clamp(0.5, 2.0)
    return torch.where((factor - 1).abs() < 0.2, 1.0, factor)
