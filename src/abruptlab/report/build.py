"""The page of a run: what happened, the figures, the verdicts, and how to make it again."""

import base64
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.files import write_atomically
from abruptlab.paper import FIGURES, Findings, judge, make_figure, writing
from abruptlab.provenance import versions
from abruptlab.report.template import fill
from abruptlab.runs import Run

FALLING = {"encoder": "L_mask", "decoder": "The loss at observed entries"}  # the metric whose drop is looked for


def build_report(found: Findings) -> Path:
    """Write `report.html` to the folder of the findings, with everything it shows inside it; figures that are missing
    or older than the run's metrics are made first, those that the run cannot give are named with the reason.

    Raises `RunError` if the run has no metrics yet, or the page cannot be written.
    """
    if not len(found.run.metrics["step"]):
        raise RunError(f"{found.run.folder} has no metrics yet")
    path = found.folder / "report.html"
    pictures, missing = {}, {}
    for name, spec in FIGURES.items():
        if not found.suit(spec):
            continue
        try:
            found.shown_in(spec)
        except AbruptlabError as error:
            missing[name] = str(error)
        else:
            pictures[name] = _picture(name, found)
    page = render(found, pictures, missing)
    with writing(found):
        write_atomically(path, page)
    return path


def render(found: Findings, pictures: Mapping[str, bytes], missing: Mapping[str, str]) -> str:
    """The page as HTML, with the figures as PNG by id, and by id why others are missing."""
    run = found.run
    return fill(
        "page.html.jinja",
        run=run,
        steps=len(run.metrics["step"]),
        happened=what_happened(run),
        falling=FALLING[run.config.model.kind],
        figures=[(FIGURES[name], base64.b64encode(picture).decode()) for name, picture in pictures.items()],
        missing=[(FIGURES[name], why) for name, why in missing.items()],
        verdicts=judge(found),
        config=run.config.to_toml(),
        made_with=_made_with(run),
    )


def what_happened(run: Run) -> str:
    """The run in a sentence."""
    done, drop = len(run.metrics["step"]), run.drop
    if drop is None:
        return f"No drop was found in the {done:,} steps of this run."
    falling = FALLING[run.config.model.kind]
    plateau = f"{falling} stayed on a plateau at {drop.plateau:.3g} and began to drop at step {drop.onset:,}"
    if drop.end is None:
        return f"{plateau}; after {done:,} steps the fall is still under way, at {drop.final:.2g}."
    below = f"{drop.final:.2g}, {drop.depth:.3g} times lower"
    return f"{plateau}; by step {drop.end:,} it was 90 % of the way down to {below}."


def _picture(figure: str, found: Findings) -> bytes:
    picture, metrics = found.folder / "figures" / f"figure_{figure}.png", found.run.folder / "metrics.jsonl"
    if not picture.exists() or picture.stat().st_mtime < metrics.stat().st_mtime:
        make_figure(figure, found, shlex.join(["abruptlab", "figure", figure, str(found.run.folder)]))
    return picture.read_bytes()


def _made_with(run: Run) -> dict[str, Any]:
    """Versions and device of the training, and of this page where they differ."""
    trained = run.made_with
    return trained | {f"{name} (this page)": value for name, value in versions().items() if trained.get(name) != value}
