"""The page over many runs, a sweep's or those in a folder: their curves on one axis, and what came of each."""

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from abruptlab.config import RunConfig
from abruptlab.errors import AbruptlabError, RunError
from abruptlab.experiments.level import trivial_level
from abruptlab.experiments.losses import final_value, smooth
from abruptlab.experiments.variants import POINTS
from abruptlab.paper import FIGURES, Findings, Verdict, judge
from abruptlab.presets import PRESETS
from abruptlab.report.pack import in_base64
from abruptlab.report.pictures import picture
from abruptlab.report.template import fill
from abruptlab.run.metrics import finite
from abruptlab.run.run import Run
from abruptlab.sweep.file import Point, Sweep
from abruptlab.sweep.state import RunState, read_state
from abruptlab.system.files import write_atomically, writing
from abruptlab.task.base import Objective


@dataclass(frozen=True)
class Member:
    """A run among others."""

    folder: Path  # of the run
    state: RunState
    run: Run | None  # None: it has not begun
    known: bool = True  # whether its configuration is

    @property
    def curve(self) -> list[float | None]:
        """The loss that drops, its running mean at `POINTS` steps (all, if they are fewer); over that of the trivial
        solution, where it is known."""
        if self.run is None or not len(self.run.metrics["step"]):
            return []
        step, objective = self.run.metrics["step"], self.run.objective
        level = 1.0 if objective.level is None else trivial_level(self.run)
        points = np.linspace(step[0], step[-1], min(POINTS, len(step)))
        values = np.interp(points, step, smooth(self.run.metrics[objective.falling]) / level)
        return [float(f"{value:.4g}") if value > 0 else None for value in values]  # a logarithm has neither 0 nor NaN


def sweep_members(sweep: Sweep) -> list[Member]:
    """A member for every point of a sweep, begun or not."""
    variants = list(dict.fromkeys((point.family, point.label) for point in sweep.points))
    points = sorted(sweep.points, key=lambda point: variants.index((point.family, point.label)))  # the seeds together
    return [_member(sweep.folder / point.key, point) for point in points]


def folder_members(folder: Path) -> list[Member]:
    """The runs that lie in a folder, of which those that differ by their seed alone share a label."""
    members, unread = [], {}
    for path in sorted(folder.glob("*/config.toml")):
        try:
            config = RunConfig.read(path)
        except AbruptlabError as error:
            unread[path.parent] = str(error)
            continue
        label = path.parent.name.removesuffix(f"-seed{config.seed}")
        members.append(_member(path.parent, Point(label, config, _family(config))))
    return members + [_unread(path, error, members) for path, error in unread.items()]


def build_index(findings: Findings) -> Path:
    """Write `index.html` to the folder of the findings on a sweep, with its verdicts and the figures that are there;
    those that were made from something else are made anew, or left out if the sweep cannot give them.

    Raises `RunError` if no run has begun, or the page cannot be written.
    """
    sweep = findings.subject
    assert isinstance(sweep, Sweep)
    pictures = {}
    for name, spec in FIGURES.items():
        there = findings.suit(spec.sweep) and (findings.folder / "figures" / f"figure_{name}.png").is_file()
        if there and not isinstance(shown := picture(name, findings), str):
            pictures[spec.title] = in_base64(shown.webp)
    names = ["sweep.toml", *([] if sweep.config.base in PRESETS else [sweep.config.base])]
    sources = {name: (sweep.folder / name).read_text(encoding="utf-8") for name in names}
    members = sweep_members(sweep)
    with writing(findings.folder):
        return _write(findings.folder, f"Sweep: {sweep.config.name}", members, judge(findings), pictures, sources)


def build_folder_index(folder: Path, out: Path | None = None) -> Path:
    """Write `index.html` over the runs in a folder to that folder, or to `out`.

    Raises `RunError` if there is no run that has begun, or the page cannot be written.
    """
    with writing(out or folder):
        return _write(out or folder, f"Runs in {folder.resolve().name}", folder_members(folder))


def _member(folder: Path, point: Point) -> Member:
    state = read_state(folder, point)
    try:
        run = Run(folder) if (folder / "config.toml").is_file() else None
        if run is not None:
            run.metrics  # noqa: B018 - a damaged run is listed as failed, without a curve
    except AbruptlabError as error:
        return Member(folder, replace(state, state="failed", error=str(error)), None)
    return Member(folder, state, run)


def _unread(folder: Path, error: str, members: Sequence[Member]) -> Member:
    """A run whose configuration is damaged, listed as failed beside the others, or alone."""
    config = members[0].state.point.config if members else RunConfig()
    return Member(folder, RunState(Point(folder.name, config, _family(config)), "failed", error=error), None, False)


def _write(
    out: Path,
    title: str,
    members: Sequence[Member],
    verdicts: Sequence[Verdict] = (),
    pictures: dict[str, str] | None = None,
    sources: dict[str, str] | None = None,
) -> Path:
    runs = [_row(member, out) for member in members]
    if not any(run["curve"] for run in runs):
        failed = next((member.state.error for member in members if member.state.state == "failed"), None)
        raise RunError(f"{title}: " + (f"no run can be read: {failed}" if failed else "no run has begun yet"))
    page = fill(
        "index.html.jinja",
        title=title,
        counts=Counter({run["key"]: run["state"] for run in runs}.values()),
        runs=runs,
        families=list(dict.fromkeys(run["family"] for run in runs)),
        axes=_axes(members),
        verdicts=verdicts,
        pictures=pictures or {},
        sources=sources,
    )
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "index.html", page)
    return out / "index.html"


MIXED = {
    "name": "what falls, of several kinds of runs; over the trivial solution's where that is known",
    "trivial": None,
}


def _axes(members: Sequence[Member]) -> dict[str, dict]:
    """What is drawn of each family, and whether it is compared with predicting zero."""
    axes: dict[str, dict] = {}
    for member in members:
        axis = _axis(member.state.point.config.objective)
        if axes.setdefault(member.state.point.family, axis) != axis:
            axes[member.state.point.family] = MIXED
    return axes


def _axis(objective: Objective) -> dict:
    if objective.level is None:
        return {"name": objective.drops.title, "trivial": None}
    return {"name": f"{objective.drops.title} over that of {objective.trivial}", "trivial": objective.trivial}


def _family(config: RunConfig) -> str:
    """What a run is compared with, where no sweep says it: those of its kind of model and task."""
    return f"{config.model.kind}: {config.objective.drops.title}"


def _row(member: Member, out: Path) -> dict:
    """All that the page says of a run."""
    state, run = member.state, member.run
    drop = None if run is None else run.drop
    values = np.empty(0) if run is None else run.metrics[run.objective.falling]
    page = member.folder / "report.html"
    return {
        "key": member.folder.name,
        "family": state.point.family,
        "label": state.point.label,
        "seed": state.point.config.seed if member.known else None,
        "state": state.state,
        "error": state.error,
        "step": state.step,
        "steps": state.steps,
        "onset": drop and drop.onset,
        "width": drop and drop.width,
        "depth": drop and finite(drop.depth),
        "final": finite(final_value(values)) if len(values) else None,
        "page": quote(os.path.relpath(page, out)) if page.is_file() else None,
        "command": shlex.join(["abruptlab", "report", str(member.folder)]),
        "curve": member.curve,
    }
