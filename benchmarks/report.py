"""The measurements as JSON, as a table, and as a picture."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure

from abruptlab.figures.style import MASKED, OBSERVED, REFERENCE, SMALL, drawing, new_figure, paper_style
from abruptlab.system.files import write_atomically
from benchmarks.goals import gibibytes, judge
from benchmarks.measurement import Measurement, Spread

COLOURS = {"reference": REFERENCE, "fp32": OBSERVED, "bf16": MASKED}

NOTES = """\
A step of the reference is a training pass, an evaluation of the same matrices and one of 64 fresh ones, with data drawn
on the host and nine losses read; ours is one training pass with data, metrics and logging. All took turns, round by
round: times, ratios (within a round) and shares are medians over the rounds, with the range in brackets. The *limit* is
the time of the step's matrix products alone, at the rate of the model's largest one, measured in the same rounds.
*First step* is what it took beyond the second, in a fresh process with an empty compiler cache: warm-up and, if there
is any, compilation; no other number here contains it. (A graph's is a few steps and the capture, and finds compiled
what the contestants before it have compiled.) Memory is the peak of these steps: on CUDA what PyTorch has allocated, on
a CPU the growth of the highest resident size, the compiler included.
"""


def write_report(measurements: list[Measurement], made_with: dict[str, object], folder: Path) -> None:
    """Write train_step.json, .md, .png and .pdf to `folder`, each atomically."""
    figure = draw_times(measurements)
    contents = {
        "json": json.dumps({"made_with": made_with, "models": [_data(m) for m in measurements]}, indent=1) + "\n",
        "md": _markdown(measurements, made_with),
        "png": _render(figure, "png"),
        "pdf": _render(figure, "pdf"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for ending, content in contents.items():
        write_atomically(folder / f"train_step.{ending}", content)


def _data(measurement: Measurement) -> dict[str, object]:
    derived = {
        name: {
            "step_s": asdict(measurement.step(name)),
            "speedup": asdict(measurement.speedup(name)),
            "share_of_limit": asdict(measurement.share(name)),
            "compilation_s": measurement.compilation_s(name),
        }
        for name in measurement.entries
    }
    return {
        "raw": asdict(measurement),
        "derived": derived | {"overhead": asdict(measurement.overhead())},
        "goals": [asdict(goal) for goal in judge(measurement)],
    }


def _markdown(measurements: list[Measurement], made_with: dict[str, object]) -> str:
    parts = ["# The speed of a training step\n"]
    goals = [goal for measurement in measurements for goal in judge(measurement)]
    if goals:
        rows = [[goal.text, goal.expected, goal.measured, "yes" if goal.met else "**no**"] for goal in goals]
        parts.append(_table(["goal", "aimed at", "measured", "met"], rows))
    for measurement in measurements:
        rounds = len(measurement.overhead_s)
        parts.append(
            f"## {measurement.preset}: {measurement.batch} matrices of {measurement.positions} entries a step,"
            f" {rounds} rounds\n"
        )
        parts.append(
            _table(
                ["", "step", "against the reference", "share of the limit", "TFLOP a step", "first step", "memory"],
                [_row(measurement, name) for name in measurement.entries],
            )
        )
        rates = ", ".join(
            f"{precision} {_brackets(Spread.of(values), lambda v: f'{v / 1e12:.3g}')} TFLOP/s"
            for precision, values in measurement.rates.items()
        )
        overhead = _brackets(measurement.overhead(), lambda v: f"{v:.2%}")
        parts.append(
            f"Rate of the largest product: {rates}. Data, loss, metrics and logging: {overhead} of our fp32 step.\n"
        )
    parts.append(NOTES)
    parts.append("".join(f"- {name}: {value}\n" for name, value in made_with.items()))
    return "\n".join(parts)


def _row(measurement: Measurement, name: str) -> list[str]:
    entry = measurement.entries[name]
    return [
        name,
        _brackets(measurement.step(name), _time),
        _brackets(measurement.speedup(name), lambda v: f"{v:.2f}×"),
        _brackets(measurement.share(name), lambda v: f"{v:.1%}"),
        f"{entry.flops / 1e12:.3g}",
        f"+{max(0.0, measurement.compilation_s(name)):.1f} s",
        gibibytes(entry.first.peak_memory_bytes),
    ]


def _brackets(spread: Spread, text: Callable[[float], str]) -> str:
    return f"{text(spread.median)} ({text(spread.low)} – {text(spread.high)})"


def _time(value: float) -> str:
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


@drawing
def draw_times(measurements: list[Measurement]) -> Figure:
    """The time of a step for each contestant, one panel a model, with the limit in each bar."""
    bars = max(len(measurement.entries) for measurement in measurements)
    figure = new_figure(0.9 + 0.24 * bars)
    panels = figure.subplots(1, len(measurements), squeeze=False)[0]
    for axes, measurement in zip(panels, measurements, strict=True):
        steps = {name: measurement.step(name) for name in measurement.entries}
        slow = max(step.high for step in steps.values())
        unit, scale = ("s", 1.0) if slow >= 1 else ("ms", 1000.0)
        for at, (name, step) in enumerate(steps.items()):
            middle, low, high = scale * step.median, scale * step.low, scale * step.high
            colour = COLOURS[name.split()[0]]
            axes.barh(at, middle, height=0.62, color=colour, alpha=0.85)
            axes.errorbar(middle, at, xerr=[[middle - low], [high - middle]], color="black", linewidth=0.7, capsize=1.5)
            axes.vlines(middle * measurement.share(name).median, at - 0.31, at + 0.31, color="white", linewidth=1.2)
            axes.annotate(
                f"{measurement.speedup(name).median:.2f}×",
                (high, at),
                xytext=(3, 0),
                textcoords="offset points",
                verticalalignment="center",
            )
        axes.set_yticks(range(len(steps)), list(steps))
        axes.tick_params(axis="y", length=0)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.18 * scale * slow)
        axes.set_xlabel(f"time of a step ({unit})")
        axes.set_title(measurement.preset)
    figure.supxlabel(
        "white line: the time of its matrix products alone; whiskers: the range over the rounds", fontsize=SMALL
    )
    return figure


def _render(figure: Figure, ending: str) -> bytes:
    buffer = io.BytesIO()
    with paper_style():
        figure.savefig(buffer, format=ending)
    return buffer.getvalue()
