"""The page of all figures: our picture beside what the paper claims of it, from the registry and results/."""

from collections.abc import Iterable
from pathlib import Path

from abruptlab.paper import FIGURES, TABLES, Verdict, read_verdicts
from abruptlab.paper.ledger import Entry, ledger
from abruptlab.paper.plan import MAIN, PAPER, SCALES

BESIDE = "base"  # the results in which figures and claims without a number in the paper are looked for


def all_figures(results: Path) -> str:
    """The page's Markdown: a line for each figure, then each with its picture and claims. Links are those of a page in
    docs/. What `results` lacks is said to be missing."""
    entries = ledger(results)
    made = [entry for entry in entries if entry.command]
    beside = {
        name: MAIN if spec.kind == "sequence" else PAPER[spec.kind][BESIDE]
        for name, spec in FIGURES.items()
        if not name[0].isdigit() and not spec.sweep
    }
    of_the_text = [
        verdict
        for verdict in read_verdicts(results / BESIDE)
        if verdict.judged and not any(figure[0].isdigit() for figure in verdict.figures) and not verdict.tables
    ]
    return "\n\n".join(
        [
            _overview(entries),
            *(_section(entry, results) for entry in made),
            "## Beside the paper's figures",
            "What the paper says in its text, without a figure, and what it does not say.",
            *(
                _drawing(name, results, home.folder, f"abruptlab figure {name} {home.subject}")
                for name, home in beside.items()
            ),
            "### Claims of the text",
            _claims(of_the_text),
        ]
    )


def _overview(entries: Iterable[Entry]) -> str:
    rows = [f"| | what, and the command | {' | '.join(SCALES.values())} |", "|" + "---|" * (2 + len(SCALES))]
    for entry in entries:
        link, made = entry.name, entry.title
        if entry.command:
            link, made = f"[{link}](#{link.replace(' ', '-')})", f"{made}<br>`{entry.command}`"
        rows.append(f"| {link} | {made} | {' | '.join(entry.outcomes.values())} |")
    return "\n".join(rows)


def _section(entry: Entry, results: Path) -> str:
    kind, number = entry.name.split()
    command = f"abruptlab {entry.name} {entry.shown.subject}"
    parts = [f"## {entry.name.capitalize()} {{ #{kind}-{number} }}"]
    if kind == "table":
        table = results / entry.shown.folder / "tables" / f"table_{number}.md"
        shown = table.read_text(encoding="utf-8") if table.exists() else "*Not made yet.*"
        parts += [f"**{entry.title}.** {TABLES[number].caption}", f"`{command}`", shown]
    else:
        names = [name for name in FIGURES if name.split("-")[0] == number]
        parts += [_drawing(name, results, entry.shown.folder, command.replace(number, name, 1)) for name in names]
    return "\n\n".join([*parts, _claims(entry.claims) if entry.claims else "The paper makes no claim about it alone."])


def _drawing(name: str, results: Path, home: str, command: str) -> str:
    spec, picture = FIGURES[name], results / home / "figures" / f"figure_{name}.png"
    place = f"../results/{home}/figures/{picture.name}"
    shown = f"[![{spec.title}]({place})]({place})" if picture.exists() else "*Not drawn yet.*"  # opens in full
    return f"**{spec.title}** ({spec.place}). {spec.caption}\n\n{shown}\n\n`{command}`"


def _claims(verdicts: Iterable[Verdict]) -> str:
    rows = ["| claim | verdict | number | bound | null |", "|---|---|---|---|---|"]
    for verdict in verdicts:
        said = verdict.said if verdict.outcome in ("holds", "not judged") else f"**{verdict.said}**"
        said += f" ({'; '.join(verdict.notes)})" * bool(verdict.notes)
        claim = f"{verdict.claim} ({verdict.place})<br>*{verdict.quantity}*"
        cells = (claim, said, verdict.number, verdict.bound, verdict.null)
        rows.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(rows)
