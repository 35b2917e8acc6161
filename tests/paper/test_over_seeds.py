"""Numbers over seeds, some of them limits, and what two seeds of one variant differ by."""

import math

import pytest

from abruptlab.experiments.limits import AtLeast, AtMost
from abruptlab.paper.causal import CLAIMS
from abruptlab.paper.claim import Number, OverSeeds
from abruptlab.paper.findings import Findings
from abruptlab.paper.over_seeds import Measured, another_seed, most_of, ratio
from abruptlab.run.pretrained import find_run

FINDINGS = Findings(find_run("laptop"))
EARLIER, LATER = CLAIMS["causal-more"], CLAIMS["causal-less"]


def fixed(*numbers: float) -> Measured:
    return lambda findings: OverSeeds(dict(enumerate(numbers)), len(numbers))


def test_a_seed_that_has_learnt_before_the_steps_are_counted_is_left_out() -> None:
    found = ratio(fixed(10.0, 10.0, 10.0), fixed(0.0, -20.0, 40.0))(FINDINGS)
    assert (found.numbers, found.planned) == ({2: 0.25}, 3)
    assert most_of(max, [fixed(1.0, 3.0), fixed(2.0)])(FINDINGS) == OverSeeds({0: 2.0}, 2)


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        ((50.0, 100.0), 0.5),
        ((100.0, 50.0), 0.5),
        ((50.0, AtLeast(100)), AtMost(0.5)),
        ((AtLeast(100), 100.0), AtMost(1.0)),
        ((100.0, AtLeast(50)), math.nan),  # which of them is later is open
        ((AtLeast(100), AtLeast(100)), math.nan),  # not as if they came at once
        ((-10.0, 0.0), math.nan),
    ],
)
def test_two_seeds_differ_by_what_is_known_of_them(seeds: tuple[float, ...], expected: float) -> None:
    found = another_seed(fixed(*seeds)).measure(EARLIER, FINDINGS)
    assert found == pytest.approx(expected, nan_ok=True)
    assert type(found) is type(expected)
    other: Number = another_seed(fixed(*seeds)).measure(LATER, FINDINGS)
    assert other == pytest.approx(1 / expected, nan_ok=True)
