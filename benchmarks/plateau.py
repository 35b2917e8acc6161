"""How long a step of the follow-up paper's main run takes, with its measures: a plain script's, ours in fp32 and bf16.

    python -m benchmarks.plateau --out results/benchmarks

All take turns, round by round, so that a shared machine's noise hits all alike.
"""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import torch
import tyro
from tabulate import tabulate

from abruptlab.config import RunConfig
from abruptlab.presets import preset
from abruptlab.system.files import write_atomically
from abruptlab.system.memory import keep_freed_memory
from abruptlab.system.provenance import device_name, versions
from abruptlab.task.counter import BLOCK
from abruptlab.training.measures import Measures
from abruptlab.training.state import initial_state
from abruptlab.training.update import update_of
from benchmarks.clock import seconds
from benchmarks.contestants import REFERENCE, Precision
from benchmarks.measurement import Spread
from benchmarks.reference_gpt import ReferenceGpt

CPU = torch.device("cpu")
MEASURING = 1.0  # aimed at: measuring takes at most so much of a training step
NOTES = """\
Medians over the rounds, with the range in brackets; ratios are within a round. *Trained* is drawing the sequences
(ours come in blocks of steps: a step's share of one), the update and reading the losses; *measured* is writing 64
answers, and what is computed of them, of the states and of the attention. *Both* is a step of the run, as measures are
taken at every one. The plain script (`benchmarks.reference_gpt`) sees all tokens so far anew for each one that it
writes.
"""

# a step's training, its measuring, and the drawing of a block of steps where the training does not draw
Parts = tuple[Callable[[], object], Callable[[], object], Callable[[], object] | None]


def main(out: Path, name: str = "window-sum", rounds: int = 12, steps: int = 4) -> None:
    """Measure and write plateau.json and plateau.md.

    Args:
        out: Folder for the results.
        name: Preset of a sequence's task.
        rounds: Turns of each contestant.
        steps: Steps a turn.
    """
    config = preset(name)
    keep_freed_memory()
    contestants = {REFERENCE: _theirs(config)}
    for precision in get_args(Precision):
        training = replace(config.training, precision=precision)
        contestants[f"ours, {precision}"] = _ours(replace(config, training=training))
    measured = {who: _Times() for who in contestants}
    for parts in contestants.values():  # warms up
        for part in filter(None, parts):
            part()
    for _ in range(rounds):
        for who, (train, measure, draw) in contestants.items():
            drawn = seconds(draw, CPU) / BLOCK if draw else 0.0
            measured[who].trained.append(
                seconds(lambda work=train: [work() for _ in range(steps)], CPU) / steps + drawn
            )
            measured[who].measured.append(seconds(lambda work=measure: [work() for _ in range(steps)], CPU) / steps)
    made_with = {
        "command": shlex.join(["python", "-m", "benchmarks.plateau", *sys.argv[1:]]),
        "seed": config.seed,
        "device": device_name(CPU),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        **versions(),
    }
    write_report(config, measured, made_with, out)
    print((out / "plateau.md").read_text(encoding="utf-8"))


class _Times:
    """A contestant's seconds a step, by round."""

    def __init__(self) -> None:
        self.trained: list[float] = []
        self.measured: list[float] = []

    @property
    def both(self) -> list[float]:
        return [trained + measured for trained, measured in zip(self.trained, self.measured, strict=True)]


def _theirs(config: RunConfig) -> Parts:
    reference = ReferenceGpt(config, CPU)
    return reference.train, reference.measure, None


def _ours(config: RunConfig) -> Parts:
    state = initial_state(config, CPU)
    update, measures = update_of(state, config, CPU), Measures(config)
    batch = next(config.task.stream(config.training.batch, config.seed, 0, CPU))

    def draw() -> object:
        return next(config.task.stream(config.training.batch, config.seed, 0, CPU))

    return lambda: update(batch).tolist(), lambda: measures.of(state.model).tolist(), draw


def write_report(config: RunConfig, measured: dict[str, _Times], made_with: dict[str, object], folder: Path) -> None:
    """Write plateau.json and plateau.md to `folder`, each atomically."""
    theirs = measured[REFERENCE]
    rows, judged, data = [], [], {}
    for who, times in measured.items():
        speedup = Spread.of([reference / ours for reference, ours in zip(theirs.both, times.both, strict=True)])
        share = Spread.of([part / whole for part, whole in zip(times.measured, times.trained, strict=True)])
        spreads = [Spread.of(each) for each in (times.trained, times.measured, times.both)]
        times_faster = f"{speedup.median:.2f}× ({speedup.low:.2f} – {speedup.high:.2f})"
        rows.append([who, *map(_milliseconds, spreads), times_faster])
        if who != REFERENCE:
            met = "yes" if share.median <= MEASURING else "**no**"
            judged.append([f"{who}: measuring", f"≤ {MEASURING:.0%} of training", f"{share.median:.0%}", met])
        data[who] = {"trained_s": times.trained, "measured_s": times.measured}
    head = ["", "trained", "measured", "both", "against the reference"]
    parts = [
        f"# The speed of a step of `{config.name}`\n",
        tabulate(judged, ["goal", "aimed at", "measured", "met"], tablefmt="github", disable_numparse=True) + "\n",
        tabulate(rows, head, tablefmt="github", disable_numparse=True) + "\n",
        NOTES,
        "".join(f"- {name}: {value}\n" for name, value in made_with.items()),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {"made_with": made_with, "contestants": data}
    write_atomically(folder / "plateau.json", json.dumps(numbers, indent=1) + "\n")
    write_atomically(folder / "plateau.md", "\n".join(parts))


def _milliseconds(spread: Spread) -> str:
    return f"{1e3 * spread.median:.0f} ms ({1e3 * spread.low:.0f} – {1e3 * spread.high:.0f})"


if __name__ == "__main__":
    tyro.cli(main)
