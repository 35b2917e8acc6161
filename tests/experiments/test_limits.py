"""What is known of a number whose run ended too early, and what a bound makes of it."""

import math

import pytest

from abruptlab.experiments.limits import AtLeast, AtMost, median, most, quotient
from abruptlab.paper.claim import Bound


def test_a_quotient_is_a_limit_on_the_side_that_is_open() -> None:
    assert (quotient(3.0, 2.0), type(quotient(3.0, 2.0))) == (1.5, float)
    assert (quotient(AtLeast(3), 2.0), type(quotient(AtLeast(3), 2.0))) == (1.5, AtLeast)
    assert (quotient(3.0, AtLeast(2)), type(quotient(3.0, AtLeast(2)))) == (1.5, AtMost)
    assert math.isnan(quotient(AtLeast(3), AtLeast(2)))


@pytest.mark.parametrize(
    ("values", "of_all", "expected"),
    [
        ([1.0, 2.0], max, 2.0),
        ([1.0, AtLeast(2)], max, AtLeast(2)),
        ([3.0, AtLeast(2)], max, AtLeast(3)),  # it may be more, and then it is the largest
        ([3.0, AtMost(2)], max, 3.0),
        ([3.0, AtMost(4)], max, AtMost(4)),
        ([AtLeast(2), AtMost(4)], max, math.nan),
        ([3.0, AtLeast(2)], min, AtLeast(2)),
        ([1.0, AtLeast(2)], min, 1.0),
        ([1.0, AtMost(2)], min, AtMost(1)),
        ([1.0, math.nan], min, math.nan),
    ],
)
def test_the_largest_and_the_smallest(values: list[float], of_all: object, expected: float) -> None:
    found = most(values, of_all)  # pyright: ignore[reportArgumentType]
    assert found == pytest.approx(expected, nan_ok=True)
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0, 1.0, 2.0, math.nan], 2.0),
        ([1.0, 2.0, AtLeast(3)], 2.0),  # wherever it lies, it is above
        ([2.0, 1.0, AtLeast(2)], 2.0),
        ([1.0, AtLeast(2), 3.0], AtLeast(2)),
        ([3.0, AtLeast(1), 2.0], AtLeast(2)),
        ([1.0, AtLeast(3)], AtLeast(2)),
        ([AtMost(1), 2.0, 3.0], 2.0),
        ([1.0, AtMost(2), 3.0], AtMost(2)),
        ([AtLeast(1), 2.0, AtMost(3)], math.nan),
        ([math.nan], math.nan),
    ],
)
def test_the_median(values: list[float], expected: float) -> None:
    found = median(values)
    assert found == pytest.approx(expected, nan_ok=True)
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "bound", "allowed"),
    [
        (1.5, Bound(low=1.6), False),
        (AtLeast(1.5), Bound(low=1.6), None),  # the run ended before it could have been enough
        (AtLeast(1.7), Bound(low=1.6), True),
        (AtLeast(0.7), Bound(high=0.6), False),
        (AtLeast(0.5), Bound(high=0.6), None),
        (AtLeast(1.0), Bound(0.8, 1.25), None),
        (AtLeast(1.3), Bound(0.8, 1.25), False),
        (AtMost(0.5), Bound(high=0.6), True),
        (AtMost(0.7), Bound(high=0.6), None),
        (AtMost(1.5), Bound(low=1.6), False),
    ],
)
def test_a_bound_says_nothing_that_a_limit_leaves_open(value: float, bound: Bound, allowed: bool | None) -> None:
    assert bound.allows(value) is allowed
