"""The page of a run: the story with its scrubber, the verdicts, the figures, and how to make it again."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from abruptlab.experiments.level import hidden_level, trivial_level
from abruptlab.figures.style import ATTENTION, DIVERGING
from abruptlab.paper import FIGURES, Findings, counted, judge
from abruptlab.paper.findings import which
from abruptlab.report.changes import changes
from abruptlab.report.pack import in_base64
from abruptlab.report.pictures import Picture, picture
from abruptlab.report.story import Story, measure_story
from abruptlab.report.template import fill
from abruptlab.run.run import Run
from abruptlab.system.files import write_atomically, writing
from abruptlab.system.provenance import versions
from abruptlab.system.tracking import track

CLASSICAL = ("floor", "3", "19", "closeness")  # figures that have a part of the page to themselves


def build_report(findings: Findings) -> Path:
    """Write `report.html` to the folder of the findings, with everything it shows inside it.

    Figures that are missing or damaged, or were made from other weights or losses, by other code or with other options,
    are made first; those that the run cannot give are named with the reason.

    Raises `RunError` if the run has no metrics yet, or the page cannot be written.
    """
    story, kind = measure_story(findings), findings.run.objective.kind
    suited = {name: spec for name, spec in FIGURES.items() if findings.suit(spec.sweep) and spec.kind == kind}
    first = {(which(spec.measure), spec.draw): name for name, spec in reversed(suited.items())}
    names = [name for name in suited if name in first.values()]  # some figures of other runs are the same of this one
    pictures = {name: picture(name, findings) for name in track(names, "figures")}
    page = render(findings, story, pictures)
    path = findings.folder / "report.html"
    with writing(findings.folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, page)
    return path


def render(findings: Findings, story: Story, pictures: Mapping[str, Picture | str]) -> str:
    """The page as HTML, with the figures by id, or why there is none."""
    run = findings.run
    shown = {name: each for name, each in pictures.items() if isinstance(each, Picture)}
    verdicts = judge(findings)
    return fill(
        "page.html.jinja",
        run=run,
        level=trivial_level(run),
        mean_square=hidden_level(run) if run.config.task.kind == "matrix" else None,
        took=timedelta(seconds=round(run.metrics["elapsed_s"][-1])),
        happened=what_happened(run),
        story=story.content | {"palettes": _palettes()},
        changes=changes(run, story),
        pictures=shown,
        classical=[name for name in CLASSICAL if name in shown],
        others=[name for name in shown if name not in CLASSICAL],
        missing=[(FIGURES[name], why) for name, why in pictures.items() if isinstance(why, str)],
        files={each.key: in_base64(each.npz) for each in shown.values()},  # figures of one measurement share them
        in_base64=in_base64,
        verdicts=verdicts,
        counted=counted(verdicts),
        made_with=_made_with(run),
    )


def what_happened(run: Run) -> str:
    """The run in a sentence."""
    done, drop = len(run.metrics["step"]), run.drop
    if drop is None:
        return f"No drop was found in the {done:,} steps of this run."
    falling = run.objective.drops.subject
    plateau = f"{falling} stayed on a plateau at {drop.plateau:.3g} and began to drop at step {drop.onset:,}"
    if drop.end is None:
        return f"{plateau}; after {done:,} steps the fall is still under way, at {drop.final:.2g}."
    below = f"{drop.final:.2g}, {drop.depth:.3g} times lower"
    return f"{plateau}; by step {drop.end:,} it was 90 % of the way down to {below}."


def _palettes() -> dict[str, list[str]]:
    """The colours of shares and of values, as 256 CSS colours each."""
    named, levels = (("shares", ATTENTION), ("values", DIVERGING)), np.linspace(0, 1, 256)
    return {name: [to_hex(colour) for colour in colormaps[palette](levels)] for name, palette in named}


def _made_with(run: Run) -> dict[str, Any]:
    """Versions and device of the training, and of this page where they differ."""
    trained = run.made_with
    return trained | {f"{name} (this page)": value for name, value in versions().items() if trained.get(name) != value}
