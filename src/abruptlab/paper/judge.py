"""Judging the claims on a run or a sweep."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.paper.catalogue import CLAIMS, SWEEP_CLAIMS
from abruptlab.paper.make import writing
from abruptlab.paper.registry import Claim, Findings, SweepClaim
from abruptlab.system.files import write_atomically


@dataclass(frozen=True)
class Verdict:
    """A claim judged on one run, or on the runs of one sweep."""

    id: str
    claim: str
    place: str
    measured: float | None  # to four digits
    expected: str
    holds: bool | None  # None: the run cannot say
    note: str = ""  # why it cannot say, or of how few seeds it speaks


def judge(found: Findings, claims: Mapping[str, Claim | SweepClaim] | None = None) -> list[Verdict]:
    """Every claim on such a subject (or some of the claims), judged on it. Nothing is written."""
    return [
        _judge(name, claim, found) if isinstance(claim, Claim) else _judge_sweep(name, claim, found)
        for name, claim in ({**CLAIMS, **SWEEP_CLAIMS} if claims is None else claims).items()
        if found.suit(claim)
    ]


def _judge_sweep(name: str, claim: SweepClaim, found: Findings) -> Verdict:
    expected = f"{claim.quantity}: {claim.bound}"
    try:
        number = claim.measure(found)
    except AbruptlabError as error:
        return Verdict(name, claim.text, claim.place, None, expected, None, str(error))
    note = "" if number.finished == number.planned else f"{number.finished} of {number.planned} seeds"
    if not math.isfinite(number.value):
        return Verdict(name, claim.text, claim.place, None, expected, None, note)
    measured = float(f"{number.value:.4g}")
    return Verdict(name, claim.text, claim.place, measured, expected, number.value in claim.bound, note)


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
    """Judge every claim on a run or a sweep and write the verdicts to `claims.json`; returns its path and them.

    Raises `RunError` if it cannot be written.
    """
    path = found.folder / "claims.json"
    verdicts = judge(found)
    with writing(found):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps([asdict(verdict) for verdict in verdicts], indent=1) + "\n")
    return path, verdicts
