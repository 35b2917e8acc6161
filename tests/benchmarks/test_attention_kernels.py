"""The library's attention is the one that was measured to be fastest."""

from pathlib import Path

import pytest

from benchmarks import attention
from benchmarks.attention import AUTOGRAD, SIZES, SLACK, markdown, measure, read

RESULTS = Path(__file__).parents[2] / "results/benchmarks"


@pytest.mark.parametrize("row", read(RESULTS), ids=lambda row: f"{row.of}-{row.dtype}-{row.width}/{row.heads}")
def test_the_choice_is_the_fastest_that_was_measured(row: attention.Row) -> None:
    assert row.cost <= SLACK, (row.chosen, row.ms)


def test_every_size_was_measured_in_every_precision() -> None:
    measured = [
        (row.dtype, row.of, row.width, row.heads, row.places, row.causal, row.matrices) for row in read(RESULTS)
    ]
    assert measured == [(dtype, *size) for dtype in attention.DTYPES for size in SIZES]


def test_a_measurement() -> None:
    row = measure("bf16", "tiny", 8, 2, 5, True, 2, rounds=2)
    assert set(row.ms) == {"fused", "narrow", "wide", AUTOGRAD}
    assert all(ms > 0 for ms in row.ms.values())
    assert row.cost >= 1
    assert f"**{row.ms[row.chosen]:.1f}**" in markdown([row], {"device": "this"})
