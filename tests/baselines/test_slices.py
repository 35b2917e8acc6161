"""Each move leaves the distribution as it is: what has it before has it afterwards."""

import pytest
import torch
from torch import Tensor

from abruptlab.baselines.slices import Line, Target, move_gauge, move_rows, products
from abruptlab.task.counter import generator
from abruptlab.task.matrices import sample_factors
from abruptlab.task.matrix import Factors, MatrixTask

PARTICLES = 40_000
FACTORS: list[Factors] = ["uniform", "gaussian", "laplace"]
SPREAD = {"uniform": 1 / 3, "gaussian": 1.0, "laplace": 2.0}  # the prior's variance


def target(factors: Factors, observed: list[list[int]], precision: float = 0.0, width: float = torch.inf) -> Target:
    seen = torch.tensor(observed, dtype=torch.float64)[None, :, :, None]
    sharp, half = (torch.full((1, 1, 1, 1), each, dtype=torch.float64) for each in (precision, width))
    return Target(factors, 0.3 * seen, seen, sharp, half)


def prior(factors: Factors, m: int, n: int, rank: int) -> tuple[Tensor, Tensor]:
    task = MatrixTask(sizes=((m, n),), rank=rank, factors=factors)
    random = generator(1)
    u, v = (sample_factors(task, (1, side, rank, PARTICLES), random).double() for side in (m, n))
    return u, v


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("seen", [[[1, 1], [1, 1], [1, 1]], [[1, 0], [0, 1], [0, 0]]])
def test_gauge_moves_leave_the_prior_and_every_observed_product(factors: Factors, seen: list[list[int]]) -> None:
    """Three rows and two columns: the volume changes with the scale, which a wrong Jacobian would show."""
    aim = target(factors, seen)
    u, v = start = prior(factors, 3, 2, 2)
    random = generator(2)
    for _ in range(8):
        u, v = move_gauge(aim, u, v, random)
    torch.testing.assert_close(products(u, v) * aim.observed, products(*start) * aim.observed)
    for before, after in zip(start, (u, v), strict=True):
        assert not torch.equal(before, after)
        torch.testing.assert_close(
            after.square().mean(-1) / SPREAD[factors], torch.ones(after.shape[:-1]).double(), rtol=0.06, atol=0
        )
        torch.testing.assert_close(after.abs().mean(-1), before.abs().mean(-1), rtol=0.03, atol=0)


def test_gauge_moves_change_what_lies_between_parts_that_nothing_connects() -> None:
    aim = target("gaussian", [[1, 0], [0, 1]])
    u, v = prior("gaussian", 2, 2, 1)
    changed = products(*move_gauge(aim, u, v, generator(0))) / products(u, v)
    assert ((changed[0, 0, 1] - 1).abs() > 1e-6).double().mean() > 0.99
    assert (changed[0, 0, 1] < 0).double().mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("factors", FACTORS)
def test_rows_without_observed_entries_forget_and_keep_the_prior(factors: Factors) -> None:
    u, v = prior(factors, 2, 3, 2)
    moved = move_rows(target(factors, [[0, 0, 0], [0, 0, 0]]), u, v, generator(2))
    spread = moved.square().mean(-1) / SPREAD[factors]
    torch.testing.assert_close(spread, torch.ones_like(spread), rtol=0.06, atol=0)
    assert (u * moved).mean(-1).abs().max() < 0.05 * SPREAD[factors]  # no correlation


def test_gaussian_rows_come_to_their_closed_form() -> None:
    """With V fixed and a gaussian prior, u has precision 1 + p·VᵀV and the mean of ridge regression."""
    aim = target("gaussian", [[1, 1, 0]], precision=50.0)
    v = torch.tensor([[0.9, 0.2], [-0.4, 0.7], [0.5, 0.5]]).double()[None, :, :, None].expand(1, 3, 2, PARTICLES)
    u = torch.zeros(1, 1, 2, PARTICLES, dtype=torch.float64)
    random = generator(3)
    for _ in range(12):
        u = move_rows(aim, u, v, random)
    seen = v[0, :2, :, 0]
    covariance = torch.linalg.inv(torch.eye(2).double() + 50 * seen.mT @ seen)
    mean = covariance @ (50 * seen.mT @ torch.tensor([0.3, 0.3]).double())
    torch.testing.assert_close(u[0, 0].mean(1), mean, atol=0.004, rtol=0)
    torch.testing.assert_close(torch.cov(u[0, 0]), covariance, atol=0.002, rtol=0.05)


def test_uniform_rows_in_a_box_are_uniform_in_its_overlap() -> None:
    """0.3 − 0.05 ≤ u · 0.3 ≤ 0.3 + 0.05 and |u| ≤ 1 leave u in [5/6, 1]."""
    aim = target("uniform", [[1]], width=0.05)
    v = torch.full((1, 1, 1, PARTICLES), 0.3, dtype=torch.float64)
    u = torch.full((1, 1, 1, PARTICLES), 0.9, dtype=torch.float64)
    random = generator(4)
    for _ in range(3):
        u = move_rows(aim, u, v, random)
    assert u.min() >= 5 / 6 - 1e-12
    assert u.max() <= 1 + 1e-12
    assert u.mean().item() == pytest.approx(11 / 12, abs=2e-3)
    assert u.std().item() == pytest.approx(1 / 6 / 12**0.5, rel=0.03)


def test_a_line_s_far_tail_is_exponential() -> None:
    """exp(−x²/2) beyond 40: what is left is 1/40 long on average."""
    x = torch.full((1, PARTICLES), 40.0, dtype=torch.float64)
    random = generator(5)
    for _ in range(20):
        line = Line(random)
        line.gaussian(-x.unsqueeze(-2), torch.ones_like(x).unsqueeze(-2))
        line.within(40.0 - x, torch.full_like(x, torch.inf))
        x = x + line.draw()
    assert x.min() >= 40 - 1e-9
    assert (x - 40).mean().item() == pytest.approx(1 / 40, rel=0.05)
