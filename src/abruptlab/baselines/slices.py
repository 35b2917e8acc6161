"""Moves of a population of factorisations U Vᵀ that leave its distribution as it is, by slice sampling.

The distribution is prior(U) · prior(V) · Π_observed exp(−precision/2 · e²) · [|e| ≤ width], with e = x − u·v. Along a
line through (U, V), each factor of the density gets a level drawn below its present value, and the new point is uniform
on the part of the line where every factor is above its level. All these parts are intervals: nothing is tuned or
rejected, and far tails need no care. Where the density is gaussian along the line, the new point is on either side of
the middle with equal chance, whatever the old one was.

The particles are the last dimension of every tensor, as it is the long one. All matrices share the random numbers.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from abruptlab.task.matrix import Factors

TINY = 1e-200  # in place of a zero that would be divided by


@dataclass(frozen=True)
class Target:
    """A batch of matrices, and how sharply their observed entries count."""

    factors: Factors  # the prior of the entries of U and V
    values: Float[Tensor, "matrix m n 1"]  # zero where hidden
    observed: Float[Tensor, "matrix m n 1"]  # 1, or 0 where hidden
    precision: Float[Tensor, "matrix 1 1 1"]  # of the gaussian factor
    width: Float[Tensor, "matrix 1 1 1"]  # of the box, from its middle; infinite for none

    @property
    def variance(self) -> Float[Tensor, "matrix 1 1"]:
        """About that of an error: the gaussian's and the box's precisions added."""
        return 1 / (self.precision + 3 / self.width.square()).clamp(min=TINY)[:, 0]

    @property
    def transposed(self) -> "Target":
        """The same with rows and columns exchanged."""
        swapped = (self.values.transpose(1, 2), self.observed.transpose(1, 2))
        return Target(self.factors, *swapped, self.precision, self.width)


def residuals(
    target: Target, u: Float[Tensor, "matrix m rank particle"], v: Float[Tensor, "matrix n rank particle"]
) -> Float[Tensor, "matrix m n particle"]:
    """x − u·v where observed, else 0."""
    return (target.values - products(u, v)) * target.observed


def products(
    u: Float[Tensor, "matrix m rank particle"], v: Float[Tensor, "matrix n rank particle"]
) -> Float[Tensor, "matrix m n particle"]:
    """U Vᵀ of every particle."""
    product = u[:, :, None, 0] * v[:, None, :, 0]
    for k in range(1, u.shape[2]):
        product.addcmul_(u[:, :, None, k], v[:, None, :, k])
    return product


def move_rows(
    target: Target,
    u: Float[Tensor, "matrix m rank particle"],
    v: Float[Tensor, "matrix n rank particle"],
    random: torch.Generator,
) -> Float[Tensor, "matrix m rank particle"]:
    """U, each row moved along `rank` lines that the likelihood given V makes nearly independent of each other."""
    e = residuals(target, u, v)
    boxed = bool(target.width.isfinite().any())
    ridge = target.variance  # for a prior of unit precision: good directions need no exact one
    u = u.clone()
    earlier: list[tuple[Tensor, Tensor, Tensor]] = []  # directions d, their effects w = v·d, ⟨d, d⟩
    for k in range(u.shape[2]):
        d = torch.zeros_like(u)
        d[:, :, k] = 1.0
        w = v[:, None, :, k] * target.observed
        for d_before, w_before, square in earlier:  # Gram–Schmidt in ⟨d, d'⟩ = Σ w·w' + ridge · Σ d·d'
            share = (((w * w_before).sum(2) + ridge * d_before[:, :, k]) / square).unsqueeze(2)
            w, d = w - share * w_before, d - share * d_before
        earlier.append((d, w, (w * w).sum(2) + ridge * (d * d).sum(2)))
        line = Line(random)
        line.prior(target.factors, u, d)
        line.gaussian(e, w, target.precision[:, 0])
        if boxed:
            line.box(e, w, target.width)
        t = line.draw().unsqueeze(2)
        u += t * d
        e -= t * w
    return u


def move_gauge(
    target: Target,
    u: Float[Tensor, "matrix m rank particle"],
    v: Float[Tensor, "matrix n rank particle"],
    random: torch.Generator,
) -> tuple[Float[Tensor, "matrix m rank particle"], Float[Tensor, "matrix n rank particle"]]:
    """U A and V A⁻ᵀ, which have the same product: every column is scaled, turned or not, and sheared by every other.

    Only the rows and columns take part that observed entries connect to one row, drawn at random: no observed entry
    changes, but a hidden one between two such parts does.
    """
    u, v = u.clone(), v.clone()
    rows, columns = _connected(target.observed[..., 0], int(torch.randint(u.shape[1], (), generator=random)))
    for k in range(u.shape[2]):
        s = _scale(target.factors, u[:, :, k] * rows, v[:, :, k] * columns, rows.sum(1) - columns.sum(1), random)
        sign = torch.randint(2, s.shape[1:], generator=random) * 2 - 1
        u[:, :, k] *= torch.where(rows > 0, sign * s.exp(), 1.0)
        v[:, :, k] *= torch.where(columns > 0, sign * (-s).exp(), 1.0)
        for other in range(u.shape[2]):
            if other != k:
                by_u, by_v = rows * u[:, :, k], -columns * v[:, :, other]
                line = Line(random)
                line.prior(target.factors, u[:, :, other], by_u)
                line.prior(target.factors, v[:, :, k], by_v)
                t = line.draw().unsqueeze(1)
                u[:, :, other] += t * by_u
                v[:, :, k] += t * by_v
    return u, v


def _connected(
    observed: Float[Tensor, "matrix m n"], row: int
) -> tuple[Float[Tensor, "matrix m 1"], Float[Tensor, "matrix n 1"]]:
    """1 for the rows and columns that observed entries connect to `row`, 0 for the others."""
    rows = torch.zeros_like(observed[:, :, :1])
    columns = torch.zeros_like(observed[:, :1].mT)
    rows[:, row] = 1.0
    for _ in range(observed.shape[1]):
        columns = (observed.mT @ rows).clamp(max=1)
        rows = (rows + observed @ columns).clamp(max=1)
    return rows, columns


def _scale(
    factors: Factors,
    a: Float[Tensor, "matrix m particle"],
    b: Float[Tensor, "matrix n particle"],
    volume: Float[Tensor, "matrix 1"],
    random: torch.Generator,
) -> Float[Tensor, "matrix 1 particle"]:
    """s for a·exp(s) and b·exp(−s), which changes the volume by exp(volume · s)."""
    line = Line(random)
    line.slope = volume
    if factors == "uniform":
        line.within(b.abs().amax(1).clamp(min=TINY).log(), -a.abs().amax(1).clamp(min=TINY).log())
    else:
        # the prior is exp(−size · exp(power · s)) for a, and likewise for b
        power = 2 if factors == "gaussian" else 1
        up, down = (
            (line.depth(x[0, 0]) / (x.abs() ** power / power).sum(1).clamp(min=TINY)).log1p() / power for x in (a, b)
        )
        line.within(-down, up)
    return line.draw().unsqueeze(1)


class Line:
    """The density along x + t·d, for lines without number; t = 0 is the present point."""

    def __init__(self, random: torch.Generator) -> None:
        self.random = random
        self.low, self.high = torch.tensor([-torch.inf, torch.inf], dtype=torch.float64)
        self.curvature = self.slope = torch.zeros((), dtype=torch.float64)

    def within(self, low: Tensor, high: Tensor) -> None:
        """A factor that is above its level from `low` to `high`, and at t = 0 (but for rounding errors)."""
        self.low, self.high = self.low.maximum(low.clamp(max=0)), self.high.minimum(high.clamp(min=0))

    def gaussian(self, e: Tensor, by: Tensor, precision: Tensor | float = 1.0) -> None:
        """The factors exp(−precision/2 · (e − t·by)²), one for each place of the last dimension but one."""
        self.curvature = self.curvature + precision * (by * by).sum(-2)
        self.slope = self.slope + precision * (e * by).sum(-2)

    def box(self, e: Tensor, by: Tensor, width: Tensor | float) -> None:
        """The factors [|e − t·by| ≤ width], one for each place of the last dimension but one."""
        speed = by.abs().clamp(min=TINY)
        middle = e * by.sign()
        self.within(((middle - width) / speed).amax(-2), ((middle + width) / speed).amin(-2))

    def prior(self, factors: Factors, x: Tensor, by: Tensor) -> None:
        """The prior of x + t·by, for each place of the last dimension but one."""
        if factors == "gaussian":
            self.gaussian(-x, by)
        elif factors == "uniform":
            self.box(-x, by, 1.0)
        else:
            self.box(-x, by, x.abs() + self.depth(x[0]))

    def depth(self, like: Tensor) -> Tensor:
        """How far a level lies below the logarithm of the density."""
        return torch.empty_like(like).exponential_(generator=self.random).clamp(min=1e-20)

    def draw(self) -> Tensor:
        """The new t of every line."""
        like = torch.broadcast_tensors(self.curvature, self.slope, self.low)[0]
        # slope · t − curvature/2 · t² is above its level, −depth, between these roots
        curvature, depth = self.curvature.clamp(min=TINY), self.depth(like[0])
        reach = self.slope + (self.slope.square() + 2 * curvature * depth).sqrt().copysign(self.slope)
        near, far = -2 * depth / reach, reach / curvature
        self.within(near.minimum(far), near.maximum(far))
        return self.low + torch.rand(like[0].shape, generator=self.random, dtype=like.dtype) * (self.high - self.low)
