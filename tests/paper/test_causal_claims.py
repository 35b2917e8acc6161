"""The causal test on matrices, on made-up losses whose falls are known."""

from functools import partial
from pathlib import Path

import pytest

from abruptlab.paper import FIGURES, Findings, causal, judge
from abruptlab.sweep.file import SweepConfig, find_sweep
from tests.falls import STEPS, make_sweep

FAMILIES = {
    "useful attention": {"×1": 800, "×10": 150, "×2.5": 300, "×0.5": 1500, "×0.2": 5000},
    "late": {"×1": 1800, "×10 from step 1,500": 1520, "×2.5 from step 1,500": 1540},
    "parts": {
        "none": 800,
        "attention": 200,
        "attention, frozen": 300,
        "attention, frozen at random": 1500,
        "MLP": 700,
        "embeddings": 900,
    },
}


def test_the_claims(tmp_path: Path) -> None:
    verdicts = {}
    for at, (family, labels) in enumerate(FAMILIES.items()):
        folder = tmp_path / str(at)
        folder.mkdir()
        of_family = {name: claim for name, claim in causal.CLAIMS.items() if _family(claim.figures[0]) == family}
        found = Findings(make_sweep(folder, "causal", {family: labels}))
        verdicts |= {verdict.id: verdict for verdict in judge(found, of_family)}
    numbers = {name: verdict.numbers[0] for name, verdict in verdicts.items()}
    assert numbers == pytest.approx(
        {
            "causal-more": 360 / 860,
            "causal-less": 1560 / 860,
            "causal-late": (1540 + 60 - 1500) / (1860 - 1500),
            "causal-parts": 360 / 860,
            "causal-frozen": 1560 / 860,
            "causal-thrice-by-attention": 210 / 860,
            "causal-thrice-by-parts": 260 / 860,
        },
        rel=0.01,
    )
    assert {verdict.outcome for verdict in verdicts.values()} == {"holds"}
    nulls = {name: verdict.nulls["another seed"][0] for name, verdict in verdicts.items()}
    assert nulls["causal-more"] == pytest.approx(860 / 870, rel=0.01)
    assert nulls["causal-less"] == pytest.approx(870 / 860, rel=0.01)
    assert nulls["causal-late"] == pytest.approx((1860 - 1500) / (1870 - 1500), rel=0.01)


def test_the_claims_on_larger_matrices(tmp_path: Path) -> None:
    found = Findings(make_sweep(tmp_path, "causal-laptop", {"useful attention": {"×1": 800, "×10": 150}}))
    verdicts = {verdict.id: verdict for verdict in judge(found) if verdict.judged}
    assert verdicts["causal-laptop-thrice"].numbers[0] == pytest.approx(210 / 860, rel=0.01)
    assert verdicts["causal-laptop-thrice"].outcome == "holds"


def test_it_fails_where_nothing_changes(tmp_path: Path) -> None:
    same = dict.fromkeys(FAMILIES["useful attention"], 800)
    found = Findings(make_sweep(tmp_path, "causal", {"useful attention": same}))
    verdicts = {verdict.id: verdict.outcome for verdict in judge(found) if verdict.judged}
    assert verdicts == {"causal-more": "fails", "causal-less": "fails", "causal-thrice-by-attention": "fails"}


def test_a_variant_that_never_falls_counts_as_its_last_step(tmp_path: Path) -> None:
    labels = FAMILIES["useful attention"] | {"×0.5": 5000}
    found = Findings(make_sweep(tmp_path, "causal", {"useful attention": labels}))
    [verdict] = judge(found, {"causal-less": causal.CLAIMS["causal-less"]})
    assert verdict.numbers[0] == pytest.approx((STEPS - 1) / 860, rel=0.01)


def test_the_sweep_of_the_package_has_what_the_claims_ask_for() -> None:
    points = SweepConfig.read(find_sweep("causal")).points()
    assert {(family, label) for family, labels in FAMILIES.items() for label in labels} == {
        (point.family, point.label) for point in points
    }
    assert len({point.config.seed for point in points}) == 3
    points = SweepConfig.read(find_sweep("causal-laptop")).points()
    labels = {"×1", "×10", f"×10 from step {causal.FROM_LARGER:,}", "none", "attention", "attention, frozen"}
    assert {point.label for point in points} == labels
    assert len({point.config.seed for point in points}) == 3


def _family(figure: str) -> str:
    measure = FIGURES[figure].measure
    assert isinstance(measure, partial)
    return measure.keywords["family"]
