"""The page over many runs, a sweep's or those in a folder: their curves on one axis, and what came of each."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from abruptlab.errors import RunError
from abruptlab.experiments.losses import final_value, smooth
from abruptlab.experiments.variants import POINTS, zero_level
from abruptlab.paper import FIGURES, Findings, Verdict, judge, writing
from abruptlab.report.build import FALLING
from abruptlab.report.pack import in_base64
from abruptlab.report.pictures import small_picture
from abruptlab.report.template import fill
from abruptlab.run.run import DROPS, Run
from abruptlab.sweep.file import Point, Sweep
from abruptlab.sweep.state import RunState, read_state
from abruptlab.system.files import write_atomically

KINDS = {"encoder": "BERT: L_mask", "decoder": "GPT: loss at observed entries"}


@dataclass(frozen=True)
class Member:
    """A run among others."""

    folder: Path  # of the run
    state: RunState
    run: Run | None  # None: it has not begun

    @property
    def curve(self) -> list[float | None]:
        """The loss that drops, its running mean at `POINTS` steps (all, if they are fewer); over that of predicting
        zero, for an encoder."""
        if self.run is None or not len(self.run.metrics["step"]):
            return []
        step, kind = self.run.metrics["step"], self.run.config.model.kind
        level = zero_level(self.run) if kind == "encoder" else 1.0
        at = np.linspace(step[0], step[-1], min(POINTS, len(step)))
        values = np.interp(at, step, smooth(self.run.metrics[DROPS[kind]]) / level)
        return [float(f"{value:.4g}") if value > 0 else None for value in values]  # a logarithm has neither 0 nor NaN


def sweep_members(sweep: Sweep) -> list[Member]:
    """A member for every point of a sweep, begun or not."""
    variants = list(dict.fromkeys((point.family, point.label) for point in sweep.points))
    points = sorted(sweep.points, key=lambda point: variants.index((point.family, point.label)))  # the seeds together
    return [_member(sweep.folder / point.key, point) for point in points]


def folder_members(folder: Path) -> list[Member]:
    """The runs that lie in a folder, of which those that differ by their seed alone share a label."""
    found = []
    for path in sorted(folder.glob("*/config.toml")):
        config = Run(path.parent).config
        label = path.parent.name.removesuffix(f"-seed{config.seed}")
        found.append(_member(path.parent, Point(label, config, KINDS[config.model.kind])))
    return found


def build_index(found: Findings) -> Path:
    """Write `index.html` to the folder of the findings on a sweep, with its verdicts and the figures that are there.

    Raises `RunError` if no run has begun, or the page cannot be written.
    """
    sweep = found.subject
    assert isinstance(sweep, Sweep)
    pictures = {
        spec.title: in_base64(small_picture(path))
        for name, spec in FIGURES.items()
        if found.suit(spec) and (path := found.folder / "figures" / f"figure_{name}.png").is_file()
    }
    members, file = sweep_members(sweep), (sweep.folder / "sweep.toml").read_text(encoding="utf-8")
    with writing(found):
        return _write(found.folder, f"Sweep: {sweep.config.name}", members, judge(found), pictures, file)


def build_folder_index(folder: Path, out: Path | None = None) -> Path:
    """Write `index.html` over the runs in a folder to that folder, or to `out`.

    Raises `RunError` if there is no run that has begun, or the page cannot be written.
    """
    try:
        return _write(out or folder, f"Runs in {folder.resolve().name}", folder_members(folder))
    except OSError as error:
        raise RunError(f"cannot write {error.filename or out or folder}: {error.strerror or error}") from None


def _member(folder: Path, point: Point) -> Member:
    return Member(folder, read_state(folder, point), Run(folder) if (folder / "config.toml").is_file() else None)


def _write(
    out: Path,
    title: str,
    members: Sequence[Member],
    verdicts: Sequence[Verdict] = (),
    pictures: dict[str, str] | None = None,
    file: str = "",
) -> Path:
    runs = [_row(member, out) for member in members]
    if not any(run["curve"] for run in runs):
        raise RunError(f"{title}: no run has begun yet")
    page = fill(
        "index.html.jinja",
        title=title,
        counts=Counter(state for state in {run["key"]: run["state"] for run in runs}.values()),
        runs=runs,
        families=list(dict.fromkeys(run["family"] for run in runs)),
        axes=_axes(members),
        verdicts=verdicts,
        pictures=pictures or {},
        file=file,
    )
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / "index.html", page)
    return out / "index.html"


def _axes(members: Sequence[Member]) -> dict[str, dict]:
    """What is drawn of each family, and whether it is compared with predicting zero."""
    axes = {
        "encoder": {"name": "L_mask over that of predicting zero", "zero": True},
        "decoder": {"name": FALLING["decoder"], "zero": False},
    }
    return {member.state.point.family: axes[member.state.point.config.model.kind] for member in members}


def _row(member: Member, out: Path) -> dict:
    """All that the page says of a run."""
    state, run, kind = member.state, member.run, member.state.point.config.model.kind
    drop = None if run is None else run.drop
    values = np.empty(0) if run is None else run.metrics[DROPS[kind]]
    page = member.folder / "report.html"
    return {
        "key": member.folder.name,
        "family": state.point.family,
        "label": state.point.label,
        "seed": state.point.config.seed,
        "state": state.state,
        "error": state.error,
        "step": state.step,
        "steps": state.steps,
        "onset": drop and drop.onset,
        "width": drop and drop.width,
        "depth": drop and drop.depth,
        "final": final_value(values) if len(values) else None,
        "page": quote(os.path.relpath(page, out)) if page.is_file() else None,
        "folder": str(member.folder),
        "curve": member.curve,
    }
