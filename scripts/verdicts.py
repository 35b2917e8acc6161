"""The table of verdicts in docs/claims.md, from results/: python -m scripts.verdicts [RESULTS [PAGE]]

A column without a claims.json stays empty until there is one: abruptlab claims RUN [RUN ...] --out results/FOLDER
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.paper import CLAIMS, Verdict, counted, read_verdicts
from abruptlab.system.files import write_atomically

# → the folder of results
COLUMNS = {"paper": "paper/paper-seed1", "base": "base", "laptop": "laptop", "pocket": "pocket/run"}
START, END = "<!-- verdicts: python -m scripts.verdicts -->", "<!-- end of verdicts -->"


def table(judged: Mapping[str, Mapping[str, Verdict]]) -> str:
    """A line for every claim on an encoder's run, with its bound, its nulls and a column for each folder."""
    head = ["claim", "from", "number", "bound", "null (of the first that has it)", *judged]
    rows = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for name, claim in CLAIMS.items():
        if claim.sweep or claim.kind != "encoder":
            continue
        verdicts = [of_run.get(name) for of_run in judged.values()]
        known = [verdict for verdict in verdicts if verdict is not None]
        null = next((verdict.null for verdict in known if verdict.has_null), "–")
        figures = [f"figure {figure}" for figure in claim.figures] + [f"table {each}" for each in claim.tables]
        place = f"{claim.source}: {', '.join(figures)}"
        cells = [claim.text, place, claim.quantity, str(claim.bound), null, *map(_cell, verdicts)]
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(rows)


def _cell(verdict: Verdict | None) -> str:
    if verdict is None or not verdict.judged:
        return "–"
    said = verdict.said if verdict.outcome == "holds" else f"**{verdict.said}**"
    return f"{verdict.number} {said}"


def written(results: Path) -> str:
    """What stands between the two marks."""
    judged = {
        name: {verdict.id: verdict for verdict in read_verdicts(results / folder)} for name, folder in COLUMNS.items()
    }
    counts = [f"- `{name}`: {_counted(of_run)}" for name, of_run in judged.items()]
    return "\n".join([START, "", *counts, "", table(judged), "", END])


def _counted(verdicts: Mapping[str, Verdict]) -> str:
    ours = [verdict for name, verdict in verdicts.items() if name in CLAIMS and CLAIMS[name].kind == "encoder"]
    return counted(ours) if ours else "not judged yet"


def main(results: Path, page: Path) -> None:
    """Put the table into the page. Raises `RunError` for no folder, and for a page without the marks."""
    if not results.is_dir():
        raise RunError(f"{results}: expected a folder of results")
    text = page.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise RunError(f"{page}: expected the lines {START} and {END}, between which the table goes")
    write_atomically(page, before + written(results) + after)


if __name__ == "__main__":
    given = [Path(word) for word in sys.argv[1:]]
    try:
        main(*given, *[Path("results"), Path("docs/claims.md")][len(given) :])
    except (AbruptlabError, OSError) as error:
        sys.exit(str(error))
