"""A run as Python shows it: in a line, and in a notebook as a table with the curve of its losses."""

from html import escape
from typing import TYPE_CHECKING

from abruptlab.errors import RunError
from abruptlab.run.curve import curve

if TYPE_CHECKING:
    from abruptlab.run.run import Run


def as_text(run: "Run") -> str:
    """Where it is, what it is, how far, and its drop."""
    config = run.config
    return f"Run({str(run.folder)!r}: {config.name}, seed {config.seed}, {_state(run)})"


def as_html(run: "Run") -> str:
    """The same as a table, and the losses over the steps."""
    config, model = run.config, run.config.model
    rows = {
        "folder": str(run.folder),
        "name": f"{config.name}, seed {config.seed}",
        "task": config.task.summary,
        "model": f"{model.kind}, {model.layers} layers, {model.heads} heads, width {model.width}",
        "start": str(config.start),
        "training": _state(run),
        "checkpoints": f"{len(run.steps)}",
    }
    picture = ""
    try:
        metrics = run.metrics
        rows["checkpoints"] += ": " + ", ".join(f"{name} {step}" for name, step in run.milestones.items())
        losses = {metric.symbol: metrics[metric.name].tolist() for metric in run.objective.curves}
        picture = curve(metrics["step"].tolist(), losses, config.training.steps)
    except RunError:
        pass  # which the state says
    cells = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows.items())
    return f"<table>{cells}</table>{picture}"


def _state(run: "Run") -> str:
    steps = run.config.training.steps
    try:
        done, drop = len(run.metrics["step"]), run.drop
    except RunError as error:  # to look at a run must not fail
        return str(error)
    if drop is None:
        return f"{done} of {steps} steps, no drop"
    return f"{done} of {steps} steps, drop {drop.onset} to {drop.end or '…'}"
