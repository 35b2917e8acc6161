"""Sequential Monte Carlo: a population of factorisations is led from the prior to the posterior in levels.

At each level the members that fit the observed entries better are chosen more often, then all are moved (`slices`). A
level's place on the way is a number: from 0 to 1 the fit is gaussian and sharpens, up to the rounding's own variance,
step²/12; from 1 to 2 the gaussian fades while a box closes in, until only the rounding itself is left: x within step/2
of what is observed.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abruptlab.baselines.slices import Target, move_gauge, move_rows, products, residuals
from abruptlab.task.counter import generator
from abruptlab.task.matrices import sample_factors
from abruptlab.task.matrix import MatrixTask

POPULATIONS = 4  # independent of each other, so that their means tell how well the mean is known
END = 2.0  # of the way
KEPT = 0.5  # a level goes as far as this effective share of every population allows
SWEEPS = 3  # of all moves, at a level
DRAWS = 8  # sweeps at the end of the way, each of which gives a draw
LEVELS = 150  # at most
HALVINGS = 48  # in the search for the next level


def posterior_draws(
    task: MatrixTask,
    values: Float[Tensor, "matrix m n"],
    observed: Bool[Tensor, "matrix m n"],
    particles: int,
    seed: int,
) -> tuple[Float[Tensor, "draw matrix m n particle"], Bool[Tensor, " matrix"]]:
    """U Vᵀ of particles from the posterior, and whether they got there within `LEVELS` levels.

    The particles of each population follow one another. What comes out for a matrix depends on `seed` and the matrix
    itself, not on the others; `values` are zero where hidden.
    """
    step = 10.0**-task.decimals
    random = generator(seed, 0)
    u, v = (
        sample_factors(task, (side, task.rank, particles), random).double().repeat(len(values), 1, 1, 1)
        for side in values.shape[1:]
    )
    known, seen = values.unsqueeze(3), observed.to(values.dtype).unsqueeze(3)
    place = values.new_zeros(len(values))
    left = torch.arange(len(values))
    for _ in range(LEVELS):
        target = Target(task.factors, known[left], seen[left], *_fit(place[left], step))
        e = residuals(target, u[left], v[left])
        place[left], members = _advance(e, place[left], step, random)
        target = Target(task.factors, known[left], seen[left], *_fit(place[left], step))
        some_u, some_v = (x[left].gather(3, members[:, None, None].expand(-1, *x.shape[1:3], -1)) for x in (u, v))
        for _ in range(SWEEPS):
            some_u, some_v = _sweep(target, some_u, some_v, random)
        u[left], v[left] = some_u, some_v
        left = left[place[left] < END]
        if not len(left):
            break
    random = generator(seed, 1)  # a matrix comes here alone or with others, at any level
    target = Target(task.factors, known, seen, *_fit(place, step))
    draws = []
    for _ in range(DRAWS):
        u, v = _sweep(target, u, v, random)
        draws.append(products(u, v))
    return torch.stack(draws), place >= END


def _fit(
    place: Float[Tensor, " matrix"], step: float
) -> tuple[Float[Tensor, "matrix 1 1 1"], Float[Tensor, "matrix 1 1 1"]]:
    """The precision of the gaussian and the half width of the box at a place on the way."""
    place = place[:, None, None, None]
    return (1 - (1 - place).abs()) * 12 / step**2, step / 2 / (place - 1).clamp(min=0)


def _advance(
    e: Float[Tensor, "matrix m n particle"], place: Float[Tensor, " matrix"], step: float, random: torch.Generator
) -> tuple[Float[Tensor, " matrix"], Int[Tensor, "matrix particle"]]:
    """The next place, and who takes part from there: the members of every population by systematic resampling."""
    misfit, worst = e.square().sum((1, 2)), e.abs().amax((1, 2))

    def weights(there: Float[Tensor, " matrix"]) -> Float[Tensor, "matrix population member"]:
        (precision, width), (before, _) = ([x[:, 0, 0] for x in _fit(each, step)] for each in (there, place))
        logarithms = torch.where(worst <= width, (before - precision) / 2 * misfit, -torch.inf)
        logarithms = logarithms.unflatten(1, (POPULATIONS, -1))
        highest = logarithms.amax(2, keepdim=True).clamp(min=torch.finfo(e.dtype).min)  # −∞ if all are outside
        return (logarithms - highest).exp()

    def far_enough(there: Float[Tensor, " matrix"]) -> Bool[Tensor, " matrix"]:
        weight = weights(there)
        effective = weight.sum(2).square() / weight.square().sum(2).clamp(min=torch.finfo(e.dtype).tiny)
        return effective.amin(1) >= KEPT * weight.shape[2]

    low, high = place, torch.full_like(place, END)
    low = torch.where(far_enough(high), high, low)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        possible = far_enough(middle)
        low, high = torch.where(possible, middle, low), torch.where(possible, high, middle)
    share = weights(low).cumsum(2)
    size = share.shape[2]
    points = (torch.arange(size) + torch.rand(POPULATIONS, 1, generator=random, dtype=e.dtype)) / size
    members = torch.searchsorted(share, points * share[:, :, -1:], right=True).clamp(max=size - 1)
    return low, (members + size * torch.arange(POPULATIONS)[:, None]).flatten(1)


def _sweep(
    target: Target,
    u: Float[Tensor, "matrix m rank particle"],
    v: Float[Tensor, "matrix n rank particle"],
    random: torch.Generator,
) -> tuple[Float[Tensor, "matrix m rank particle"], Float[Tensor, "matrix n rank particle"]]:
    """All moves once."""
    u = move_rows(target, u, v, random)
    v = move_rows(target.transposed, v, u, random)
    return move_gauge(target, u, v, random)
