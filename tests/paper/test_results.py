"""The verdicts in results/ are of the claims that the code makes."""

from pathlib import Path

import pytest

from abruptlab.paper import CLAIMS
from abruptlab.paper.verdict import read_verdicts

RESULTS = Path(__file__).parents[2] / "results"
HOMES = sorted(path.parent for path in RESULTS.rglob("claims.json"))


@pytest.mark.parametrize("home", HOMES, ids=lambda home: str(home.relative_to(RESULTS)))
def test_a_verdict_says_what_its_claim_says(home: Path) -> None:
    verdicts = read_verdicts(home)
    assert verdicts
    for verdict in verdicts:
        claim = CLAIMS[verdict.id]
        said = (verdict.claim, verdict.source, verdict.quantity, verdict.bound)
        assert said == (claim.text, claim.source, claim.quantity, str(claim.bound)), verdict.id
        assert not verdict.passing, f"the null of {verdict.id} passes: mend the claim, or drop it"
        for number, within in zip(verdict.numbers, verdict.within, strict=True):
            assert number is None or within is None or within == (number in claim.bound), verdict.id


def test_every_claim_that_was_judged_has_a_null_with_a_number() -> None:
    verdicts = [verdict for home in HOMES for verdict in read_verdicts(home)]
    judged = {verdict.id for verdict in verdicts if verdict.judged}
    measured = {verdict.id for verdict in verdicts for numbers in verdict.nulls.values() if set(numbers) != {None}}
    assert len(judged) > 80
    assert judged - measured == set()
