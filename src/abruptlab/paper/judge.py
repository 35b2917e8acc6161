"""Judging the claims on a run."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.files import write_atomically
from abruptlab.paper.catalogue import CLAIMS
from abruptlab.paper.make import writing
from abruptlab.paper.registry import Claim, Findings


@dataclass(frozen=True)
class Verdict:
    """A claim judged on one run."""

    id: str
    claim: str
    place: str
    measured: float | None  # to four digits
    expected: str
    holds: bool | None  # None: the run cannot say
    note: str = ""  # why it cannot say, where that is known


def judge(found: Findings, claims: Mapping[str, Claim] = CLAIMS) -> list[Verdict]:
    """Every claim (or some of them), judged on a run. Nothing is written."""
    return [_judge(name, claim, found) for name, claim in claims.items()]


def _judge(name: str, claim: Claim, found: Findings) -> Verdict:
    expected = f"{claim.quantity}: {claim.bound}"
    try:
        found.run.require(claim.kind)
    except RunError as error:
        return Verdict(name, claim.text, claim.place, None, expected, None, str(error))
    drop = found.run.drop
    if drop is None:
        holds, note = (None, "the run has no drop") if claim.needs_drop else (False, "")
        return Verdict(name, claim.text, claim.place, None, expected, holds, note)
    try:
        number = claim.measure(found, drop)
    except AbruptlabError as error:
        return Verdict(name, claim.text, claim.place, None, expected, None, str(error))
    if number is None or not math.isfinite(number):
        return Verdict(name, claim.text, claim.place, None, expected, None)
    return Verdict(name, claim.text, claim.place, float(f"{number:.4g}"), expected, number in claim.bound)


def write_claims(found: Findings) -> tuple[Path, list[Verdict]]:
    """Judge every claim on a run and write the verdicts to `claims.json`; returns its path and them.

    Raises `RunError` if it cannot be written.
    """
    path = found.folder / "claims.json"
    verdicts = judge(found)
    with writing(found):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n")
    return path, verdicts
