"""The ledger: every figure and table of the paper, how it is made here, and what came of its claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from abruptlab.errors import RunError
from abruptlab.paper.catalogue import FIGURES, TABLES
from abruptlab.paper.registry import FigureSpec, TableSpec
from abruptlab.paper.verdict import Verdict, counted, read_verdicts

NUMBERS = range(1, 28)  # the paper's figures; it has one table

# What a figure is made from (a kind of model, or a sweep): where that is found once it is trained, and in the folder of
# results its folders at laptop's scale and at the paper's.
LAPTOP, PAPER = 0, 1
HOMES: Mapping[str, tuple[str, tuple[str, str]]] = {
    "encoder": ("laptop", ("laptop", "paper/paper-bf16")),
    "decoder": ("runs/gpt-laptop-seed0", ("gpt-laptop", "paper/gpt-softmax")),
    "variants": ("runs/sweeps/variants", ("pocket", "paper/variants")),
    "components": ("runs/sweeps/components", ("pocket/components", "paper/components")),
}


@dataclass(frozen=True)
class Entry:
    """A line of the ledger."""

    name: str
    title: str
    command: str
    laptop: str  # what came of its claims at laptop's scale
    paper: str  # and at the paper's
    home: str = ""  # inside the folder of results, where laptop's scale is
    claims: tuple[Verdict, ...] = ()  # on it, at laptop's scale


def ledger(results: Path) -> list[Entry]:
    """A line for each of the paper's figures and its table, with the verdicts found in the folder `results`.

    Raises `RunError` if there is no such folder or it holds verdicts that cannot be read.
    """
    if not results.is_dir():
        raise RunError(f"no folder of results at {results}; expected the one that the project's repository has")
    figures = [_entry("figure", str(number), FIGURES[str(number)], results) for number in NUMBERS]
    return [*figures, _entry("table", "1", TABLES["1"], results)]


def _entry(kind: str, number: str, spec: FigureSpec | TableSpec, results: Path) -> Entry:
    subject, homes = HOMES[spec.sweep or spec.kind]
    name, drawn = f"{kind} {number}", f"{kind}s/{kind}_{number}.json"
    claims = [
        tuple(verdict for verdict in read_verdicts(results / home) if number in getattr(verdict, f"{kind}s"))
        for home in homes
    ]
    judged = any(claims)  # somewhere: so it has claims
    outcomes = [
        _outcome(verdicts, results / home / drawn, judged) for verdicts, home in zip(claims, homes, strict=True)
    ]
    command = f"abruptlab {name} {subject}"
    return Entry(name, spec.title, command, outcomes[LAPTOP], outcomes[PAPER], homes[LAPTOP], claims[LAPTOP])


def _outcome(verdicts: Sequence[Verdict], drawn: Path, has_claims: bool) -> str:
    judged = [verdict for verdict in verdicts if verdict.judged]
    if len(judged) == 1:
        return judged[0].said
    if judged:
        return counted(judged).removeprefix("of ").replace(" claims judged", ":", 1)
    if not drawn.exists():
        return "not run yet"
    return "drawn, not judged" if has_claims else "drawn, no claim of its own"
