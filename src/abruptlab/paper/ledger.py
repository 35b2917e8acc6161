"""The ledger: every figure and table of the paper, how it is made here, and what came of its claims."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from abruptlab.errors import RunError
from abruptlab.paper.catalogue import FIGURES, TABLES
from abruptlab.paper.judge import Verdict
from abruptlab.paper.registry import FigureSpec, TableSpec

NUMBERS = range(1, 28)  # the paper's figures; it has one table
NOT_DESCRIBED = "more attention maps and sizes, which the sources at hand do not describe"

# What a figure is made from (a kind of model, or a sweep): where that is found once it is trained, and in the folder of
# results its folders at laptop's scale and at the paper's.
LAPTOP, PAPER = 0, 1
HOMES: Mapping[str, tuple[str, tuple[str, str]]] = {
    "encoder": ("laptop", ("laptop", "paper/paper")),
    "decoder": ("runs/gpt-laptop-seed0", ("gpt-laptop", "paper/gpt")),
    "variants": ("runs/sweeps/variants", ("pocket", "paper/variants")),
    "components": ("runs/sweeps/components", ("pocket/components", "paper/components")),
}


@dataclass(frozen=True)
class Entry:
    """A line of the ledger."""

    name: str
    title: str
    command: str  # "" if there is nothing to be made
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
    entries = []
    for number in NUMBERS:
        spec = FIGURES.get(str(number))
        if spec is None:
            entries.append(Entry(f"figure {number}", NOT_DESCRIBED, "", "–", "–"))
        else:
            entries.append(_entry("figure", str(number), spec, results))
    return [*entries, _entry("table", "1", TABLES["1"], results)]


def _entry(kind: str, number: str, spec: FigureSpec | TableSpec, results: Path) -> Entry:
    subject, homes = HOMES[spec.sweep or spec.kind]
    name, drawn = f"{kind} {number}", f"{kind}s/{kind}_{number}.json"
    claims = [tuple(verdict for verdict in read_verdicts(results / home) if name in named(verdict)) for home in homes]
    outcomes = [_outcome(verdicts, results / home / drawn) for verdicts, home in zip(claims, homes, strict=True)]
    command = f"abruptlab {name} {subject}"
    return Entry(name, spec.title, command, outcomes[LAPTOP], outcomes[PAPER], homes[LAPTOP], claims[LAPTOP])


def _outcome(verdicts: Sequence[Verdict], drawn: Path) -> str:
    judged = [verdict for verdict in verdicts if verdict.holds is not None]
    if judged:
        held = sum(verdict.holds is True for verdict in judged)
        seeds = {verdict.note for verdict in judged if verdict.note}
        said = "holds" if held == len(judged) else f"{held} of {len(judged)} claims hold" if held else "fails"
        return f"{said} ({', '.join(sorted(seeds))})" if seeds else said
    if not drawn.exists():
        return "not run yet"
    return "drawn, not judged" if verdicts else "drawn, no claim of its own"


def read_verdicts(home: Path) -> list[Verdict]:
    """The verdicts in the `claims.json` of a folder; none if there is no such file.

    Raises `RunError` if it cannot be read.
    """
    path = home / "claims.json"
    try:
        return [Verdict(**verdict) for verdict in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"cannot read the verdicts in {path}: {error}") from None


def named(verdict: Verdict) -> set[str]:
    """The figures and tables that a claim's place names: `figures 15, 17`, `figure 7a`, `text, table 1`."""
    found = re.findall(r"(figure|table)s? (\d+)[a-z]?((?:, \d+)*)", verdict.place)
    return {f"{kind} {number}" for kind, first, others in found for number in [first, *re.findall(r"\d+", others)]}
