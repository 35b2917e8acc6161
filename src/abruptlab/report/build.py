"""The page of a run: what happened, the figures, the verdicts, and how to make it again."""

import base64
import shlex
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from abruptlab.files import write_atomically
from abruptlab.paper import FIGURES, judge, make_figure, writing
from abruptlab.provenance import versions
from abruptlab.runs import Run


def build_report(run: Run) -> Path:
    """Write `report.html` to the run folder, with everything it shows inside it; figures that are missing or older
    than the run's metrics are made first.

    Raises `RunError` if the run has no metrics or no checkpoint yet, or the page cannot be written.
    """
    path = run.folder / "report.html"
    page = render(run, {name: _picture(name, run) for name in FIGURES})
    with writing(run):
        write_atomically(path, page)
    return path


def render(run: Run, pictures: dict[str, bytes]) -> str:
    """The page as HTML, with the figures as PNG by id."""
    template = files("abruptlab.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(
        run=run,
        steps=len(run.metrics["step"]),
        happened=what_happened(run),
        figures=[(FIGURES[name], base64.b64encode(picture).decode()) for name, picture in pictures.items()],
        verdicts=judge(run),
        config=run.config.to_toml(),
        made_with=_made_with(run),
    )


def what_happened(run: Run) -> str:
    """The run in a sentence."""
    done, drop = len(run.metrics["step"]), run.drop
    if drop is None:
        return f"No drop was found in the {done:,} steps of this run."
    plateau = f"L_mask stayed on a plateau at {drop.plateau:.3g} and began to drop at step {drop.onset:,}"
    if drop.end is None:
        return f"{plateau}; after {done:,} steps the fall is still under way, at {drop.final:.2g}."
    below = f"{drop.final:.2g}, {drop.depth:.3g} times lower"
    return f"{plateau}; by step {drop.end:,} it was 90 % of the way down to {below}."


def _picture(figure: str, run: Run) -> bytes:
    picture, metrics = run.folder / "figures" / f"figure_{figure}.png", run.folder / "metrics.jsonl"
    if not picture.exists() or picture.stat().st_mtime < metrics.stat().st_mtime:
        make_figure(figure, run, shlex.join(["abruptlab", "figure", figure, str(run.folder)]))
    return picture.read_bytes()


def _made_with(run: Run) -> dict[str, Any]:
    """Versions and device of the training, and of this page where they differ."""
    trained = run.made_with
    return trained | {f"{name} (this page)": value for name, value in versions().items() if trained.get(name) != value}
