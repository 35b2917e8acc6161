"""The verdicts in results/ on sweeps are what their saved figures say."""

from pathlib import Path

import pytest

from abruptlab.paper import judge, read_verdicts
from abruptlab.sweep.file import Sweep
from scripts.judge_saved import Saved

RESULTS = Path(__file__).parents[2] / "results"
SWEEPS = ["pocket", "pocket/components", "paper/variants-base"] + [
    f"loss-plateau/{name}"
    for name in (
        "plateau",
        "plateau-spared",
        "own-parts",
        "repeat",
        "tasks",
        "causal",
        "causal-laptop",
        "announce",
        "announce-sums",
        "announce-rates",
        "announce-again",
    )
]


@pytest.mark.parametrize("name", SWEEPS)
def test_verdicts_are_of_the_saved_figures(name: str) -> None:
    folder = RESULTS / name
    judged = {verdict.id: verdict for verdict in judge(Saved(Sweep(folder), folder))}
    kept = read_verdicts(folder)
    assert kept
    for verdict in kept:
        numbers, nulls = judged[verdict.id].numbers, judged[verdict.id].nulls
        assert judged[verdict.id].within == verdict.within, verdict.id
        if verdict.judged:
            assert numbers == pytest.approx(verdict.numbers, rel=1e-3), verdict.id
            assert nulls == verdict.nulls, verdict.id
