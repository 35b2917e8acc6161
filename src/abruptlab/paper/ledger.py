"""The ledger: every figure and table of the paper, how it is made here, and what came of its claims."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from abruptlab.errors import RunError
from abruptlab.paper.catalogue import FIGURES, TABLES
from abruptlab.paper.plan import PAPER, SCALES, SMALLEST, Home
from abruptlab.paper.registry import Spec
from abruptlab.paper.verdict import Verdict, counted, read_verdicts

NUMBERS = range(1, 28)  # the paper's figures; it has one table

FIRST = "base", "laptop", "paper"  # whose picture is shown, if it is there


@dataclass(frozen=True)
class Entry:
    """A line of the ledger."""

    name: str
    title: str
    command: str  # at laptop's scale, which takes least
    outcomes: dict[str, str]  # what came of its claims, by scale
    shown: Home  # whose picture and verdicts say most
    claims: tuple[Verdict, ...]  # on that


def ledger(results: Path) -> list[Entry]:
    """A line for each of the paper's figures and its table, with the verdicts found in the folder `results`.

    Raises `RunError` if there is no such folder or it holds verdicts that cannot be read.
    """
    if not results.is_dir():
        raise RunError(f"no folder of results at {results}; expected the one that the project's repository has")
    figures = [_entry("figure", str(number), FIGURES[str(number)], results) for number in NUMBERS]
    return [*figures, _entry("table", "1", TABLES["1"], results)]


def _entry(kind: str, number: str, spec: Spec, results: Path) -> Entry:
    homes = PAPER[spec.sweep or spec.kind]
    claims = {
        scale: tuple(
            verdict for verdict in read_verdicts(results / home.folder) if number in getattr(verdict, f"{kind}s")
        )
        for scale, home in homes.items()
    }
    drawn = {
        scale: (results / home.folder / f"{kind}s" / f"{kind}_{number}.json").exists() for scale, home in homes.items()
    }
    judged = any(claims.values())  # somewhere: so it has claims
    outcomes = {scale: _outcome(claims[scale], drawn[scale], judged) if scale in homes else "–" for scale in SCALES}
    shown = next((scale for scale in FIRST if drawn.get(scale)), SMALLEST)
    command = f"abruptlab {kind} {number} {homes[SMALLEST].subject}"
    return Entry(f"{kind} {number}", spec.title, command, outcomes, homes[shown], claims[shown])


def _outcome(verdicts: Sequence[Verdict], drawn: bool, has_claims: bool) -> str:
    judged = [verdict for verdict in verdicts if verdict.judged]
    if len(judged) == 1:
        return judged[0].said
    if judged:
        return counted(judged).removeprefix("of ").replace(" claims judged", ":", 1)
    if not drawn:
        return "not run yet"
    return "drawn, not judged" if has_claims else "drawn, no claim of its own"
