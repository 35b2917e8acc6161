"""Judging the claims on a run, on several runs of one configuration, or on a sweep."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from abruptlab.errors import AbruptlabError, ConfigError
from abruptlab.paper.catalogue import CLAIMS
from abruptlab.paper.claim import Claim, Null, Number, OverSeeds
from abruptlab.paper.findings import Findings
from abruptlab.paper.verdict import Verdict, write_verdicts
from abruptlab.run.checkpoints import IMPORTED
from abruptlab.run.run import Run
from abruptlab.system.files import writing
from abruptlab.system.tracking import track


def judge(findings: Findings, claims: Mapping[str, Claim] | None = None) -> list[Verdict]:
    """Every claim on such a subject (or some of the claims), judged on it. Nothing is written."""
    chosen = CLAIMS if claims is None else claims
    suited = [(name, claim) for name, claim in chosen.items() if findings.suit(claim.sweep)]
    return [_judge(name, claim, findings) for name, claim in track(suited, "claims")]


def require_alike(several: Sequence[Findings]) -> None:
    """Raises `ConfigError` unless all are of runs that differ in their seed, and in nothing else."""
    for findings in several:
        if findings.sweep:
            raise ConfigError(f"expected one sweep or several runs, {findings.subject.folder} is a sweep")
    first = several[0].run.config
    for findings in several[1:]:
        if replace(findings.run.config, seed=first.seed, name=first.name) != first:
            raise ConfigError(
                f"expected runs of one configuration but for the seed: {findings.run.folder} and "
                f"{several[0].run.folder} differ in more"
            )
    of_seed: dict[int, Path] = {}
    for findings in several:
        seed, folder = findings.run.config.seed, findings.run.folder
        if seed in of_seed and IMPORTED not in findings.run.made_with:  # nobody knows the seeds of those
            raise ConfigError(f"expected runs of different seeds: {of_seed[seed]} and {folder} are both of seed {seed}")
        of_seed[seed] = folder


def _judge(name: str, claim: Claim, findings: Findings) -> Verdict:
    try:
        number = None if (why := _cannot(claim, findings)) else claim.measure(findings)
    except AbruptlabError as error:
        number, why = None, str(error)
    if isinstance(number, OverSeeds):
        known = {seed: value for seed, value in number.numbers.items() if math.isfinite(value)}
        numbers = {seed: value for seed, value in known.items() if claim.bound.allows(value) is not None}
        missing = number.planned - len(numbers)
        why = f"{missing} of {number.planned} seeds cannot be judged" if missing else ""
        seeds, values = (*numbers,), (*numbers.values(),)
    else:
        seed = 0 if findings.sweep else findings.run.config.seed
        seeds, values = (seed,), (_finite(number),)
    within = tuple(None if value is None else claim.bound.allows(value) for value in values)
    if claim.fails_without_drop and not findings.sweep and _has_no_drop(claim, findings):
        within, why = (False,), "the run has no drop"
    elif values == (None,) and not why:
        why = f"the run has no such number: {claim.quantity}"
    says = any(each is not None for each in values)
    nulls = {null.name: _null(null, claim, findings) for null in claim.nulls if says}
    return Verdict(
        name,
        claim.text,
        claim.source,
        claim.figures,
        claim.tables,
        claim.quantity,
        str(claim.bound),
        seeds,
        tuple(_rounded(value) for value in values),
        within,
        {null: (_rounded(value),) for null, value in nulls.items()},
        tuple(null for null, value in nulls.items() if value is not None and claim.bound.allows(value)),
        (why,) if why else (),
    )


def _has_no_drop(claim: Claim, findings: Findings) -> bool:
    """Whether a run of the kind that the claim is about has made its steps, and no drop in them."""
    run = findings.run
    return run.objective.kind == claim.kind and len(run.metrics["step"]) > 0 and run.drop is None and not _stopped(run)


def _stopped(run: Run) -> bool:
    """Whether a run with losses has steps left to make."""
    return not run.finished and int(run.metrics["step"][-1]) + 1 < run.config.training.steps


def _cannot(claim: Claim, findings: Findings) -> str:
    """Why a run cannot say anything; empty if it may."""
    if claim.sweep:
        return ""
    run = findings.run
    run.require(claim.kind)
    drop = run.drop
    if len(run.metrics["step"]):
        if drop is None:
            return "the run has been stopped before a drop" if _stopped(run) else "the run has no drop"
        if claim.final and drop.end is None and not run.finished:
            return "the run has been stopped while it falls"
    elif claim.curve:
        return "the run has no losses of its training"
    return ""


def _null(null: Null, claim: Claim, findings: Findings) -> Number:
    """The number of a null; None if there is none, for whatever reason, or it is a limit that may lie on either side of
    the bound."""
    try:
        number = _finite(null.measure(claim, findings))
    except AbruptlabError:
        return None
    return None if number is None or claim.bound.allows(number) is None else number


def _finite(number: Number) -> Number:
    return number if number is not None and math.isfinite(number) else None


def _rounded(value: Number) -> Number:
    return None if value is None else float(f"{value:.6g}")  # three are shown: four would round some of them twice


def write_claims(findings: Findings) -> tuple[Path, list[Verdict]]:
    """Judge every claim on a run or a sweep and write the verdicts to `claims.json`; returns its path and them.

    Raises `ConfigError` for a sweep that no claim is about, `RunError` if it cannot be written.
    """
    if not any(findings.suit(claim.sweep) for claim in CLAIMS.values()):
        known = ", ".join(dict.fromkeys(claim.sweep for claim in CLAIMS.values() if claim.sweep))
        raise ConfigError(
            f"no claim is about the sweep {findings.sweep}; there are claims about runs and the sweeps {known}"
        )
    return save_claims(findings, judge(findings))


def save_claims(findings: Findings, verdicts: Sequence[Verdict]) -> tuple[Path, list[Verdict]]:
    """Write verdicts to the `claims.json` of the findings; returns its path and them."""
    path = findings.folder / "claims.json"
    with writing(findings.folder):
        write_verdicts(path, verdicts)
    return path, list(verdicts)
