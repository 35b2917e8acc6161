"""How far the runs of a sweep are, read from their folders; the index, and the time left."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.run.drop import Drop
from abruptlab.run.metrics import finite, known_mean, last_row
from abruptlab.run.run import Run
from abruptlab.sweep.file import Point
from abruptlab.system.files import write_atomically

AVERAGED = 100  # steps over which the final losses are means: one batch alone is noise
WARM_UP_S = 5.0  # of training, before which a run's speed says nothing


@dataclass(frozen=True)
class RunState:
    """How far a run is."""

    point: Point
    state: Literal["waiting", "begun", "done", "failed"]
    step: int = 0  # updates made
    seconds: float = 0.0  # of training until then
    losses: dict[str, float] = field(default_factory=dict)  # metrics: means over the last steps if done, else the last
    drop: Drop | None = None  # of a run that is done
    error: str = ""  # of one that failed, in a line

    @property
    def steps(self) -> int:
        """Updates that the run has in all."""
        return self.point.config.training.steps

    @property
    def falling(self) -> float | None:
        """The loss whose drop is looked for (L_mask, for an encoder); None before the first step."""
        return self.losses.get(self.point.config.objective.falling)

    @property
    def name(self) -> str:
        """What the run is called among those of its sweep."""
        return " ".join(filter(None, (self.point.family, self.point.label, f"seed {self.point.config.seed}")))


def read_state(run_folder: Path, point: Point) -> RunState:
    """How far a point's run is; a damaged one has failed. Cheap unless it is done: then its drop is looked for."""
    try:
        return _read_state(run_folder, point)
    except AbruptlabError as error:
        return RunState(point, "failed", error=str(error))


def _read_state(run_folder: Path, point: Point) -> RunState:
    names = point.config.objective.names
    if (run_folder / "config.toml").is_file() and (run := Run(run_folder)).finished:
        metrics, steps = run.metrics, run.config.training.steps
        if len(metrics["step"]) < steps:
            raise RunError(f"{run_folder} is finished, and has the metrics of {len(metrics['step'])} of {steps} steps")
        losses = {name: known_mean(metrics[name][-AVERAGED:]) for name in names}
        return RunState(point, "done", steps, float(metrics["elapsed_s"][-1]), losses, run.drop)
    row = last_row(run_folder / "metrics.jsonl")
    losses = {name: row[name] for name in names if name in row}
    note = run_folder.with_suffix(".error")
    error = note.read_text(encoding="utf-8", errors="replace").partition("\n")[0] if note.is_file() else ""
    state = "failed" if error else "begun" if row else "waiting"
    return RunState(point, state, int(row.get("step", -1)) + 1, row.get("elapsed_s", 0.0), losses, error=error)


def write_index(folder: Path, states: Iterable[RunState]) -> None:
    """Write `index.json`, for those who read a sweep without this package. Nothing here reads it."""
    rows = [
        {
            "key": state.point.key,
            "family": state.point.family,
            "label": state.point.label,
            "seed": state.point.config.seed,
            "state": state.state,
            "step": state.step,
            "steps": state.steps,
            "drop_onset": state.drop and state.drop.onset,
            "drop_end": state.drop and state.drop.end,
            **({name: finite(round(loss, 8)) for name, loss in state.losses.items()} if state.state == "done" else {}),
            "error": state.error or None,
        }
        for state in states
    ]
    write_atomically(folder / "index.json", json.dumps(rows, indent=1) + "\n")


def seconds_left(states: Sequence[RunState], running: int) -> float | None:
    """An estimate for all that is to do, with that many runs at a time; None as long as nothing is known.

    A run goes on at its own mean speed, one that has hardly begun at that of its variant's other seeds, or, where they
    are not known, of all others.
    """
    known = [state for state in states if state.state == "done" or state.seconds >= WARM_UP_S]
    if not known:
        return None
    paces: dict[object, tuple[float, int]] = {}  # seconds and steps, of a run, of its variant's seeds, of all
    for state in known:
        for group in _groups(state.point):
            seconds, steps = paces.get(group, (0.0, 0))
            paces[group] = seconds + state.seconds, steps + state.step

    def speed(point: Point) -> float:
        seconds, steps = next(paces[group] for group in _groups(point) if group in paces)
        return seconds / steps

    left = [(state.steps - state.step) * speed(state.point) for state in states if state.state in ("waiting", "begun")]
    return max([sum(left) / max(1, running), *left]) if left else 0.0


def _groups(point: Point) -> tuple[object, ...]:
    """Runs that take about as long as a point's, the nearest first."""
    return point.key, (point.family, point.label), "all"
