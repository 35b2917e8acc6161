"""`watch`: a run that another process trains, seen in the terminal. It reads only, and gives way to the training."""

import math
import os
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

from abruptlab.arguments import meant
from abruptlab.cli.printing import LINE_EVERY_S, hours, plain_console
from abruptlab.errors import CheckpointError

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.text import Text

    from abruptlab.experiments.glance import Glance
    from abruptlab.run.live import GrowingRun

LOOK_EVERY_S = 2.0
LOWEST = 19  # priority: the training goes first
LEAST_CURVE, MOST_CURVE = 8, 20  # lines


@dataclass
class Watch:
    """Follow a run that another process trains, until it is finished: curve, numbers, time left, the drop, and where
    each head looks. It only reads, and never disturbs the run."""

    run: Positional[str]
    """Run folder, which may yet have to be made, or a run that comes with the package."""

    def __call__(self) -> None:
        import torch

        from abruptlab.run.live import GrowingRun
        from abruptlab.run.pretrained import is_shipped, pretrained_run

        os.nice(LOWEST)
        torch.set_num_threads(1)
        seen = GrowingRun(pretrained_run(self.run).folder if is_shipped(self.run) else Path(self.run))
        console = plain_console()
        with _Screen(console) if console.is_terminal else nullcontext(_Lines(console)) as view:
            while True:
                seen.look()
                view.show(seen)
                if seen.finished:
                    return
                time.sleep(LOOK_EVERY_S)


class _Lines:
    """Where there is no terminal: a line now and then."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._last_line = -LINE_EVERY_S

    def show(self, seen: "GrowingRun") -> None:
        """A line, if one is due or the last."""
        if seen.finished or time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._console.print("  ".join(line.plain for line in status(seen)), soft_wrap=True)


class _Screen(ExitStack):
    """In a terminal: one picture, renewed in its place; the last one stays."""

    def __init__(self, console: "Console") -> None:
        from rich.live import Live

        super().__init__()
        self._console = console
        self._live = self.enter_context(Live(console=console, auto_refresh=False))
        self._glance: Glance | None = None

    def show(self, seen: "GrowingRun") -> None:
        """Everything at once, then the heads again if there is a new checkpoint, which takes a moment."""
        self._draw(seen)
        if (glance := look_inside(seen, self._glance)) is not self._glance:
            self._glance = glance
            self._draw(seen)

    def _draw(self, seen: "GrowingRun") -> None:
        size = self._console.size
        self._live.update(picture(seen, self._glance, size.width, size.height - 1), refresh=True)


def look_inside(seen: "GrowingRun", last: "Glance | None") -> "Glance | None":
    """The heads at the newest checkpoint; the last ones as long as there is no other that can be read."""
    from abruptlab.experiments.glance import measure_glance

    steps = seen.run.steps if seen.run else []
    if seen.run is None or not steps or (last and last.step == steps[-1]):
        return last
    try:
        return measure_glance(seen.run, steps[-1])
    except CheckpointError:  # the run has just deleted it, or is damaged: the next one will do
        return last


def status(seen: "GrowingRun") -> "list[Text]":
    """How far the run is, its losses, its drop, and whether it stands still: a line each."""
    from rich.text import Text

    if seen.run is None:
        beside = [path.parent.name for path in seen.folder.absolute().parent.glob("*/config.toml")]
        return [Text(f"{seen.folder}: waiting for the run to begin{meant(seen.folder.name, beside)}")]
    steps = seen.run.config.training.steps
    parts = [f"{seen.folder}: step {seen.step} of {steps}, {seen.step / steps:.0%}"]
    if seen.finished:
        parts.append("finished")
    elif seen.seconds_per_step is not None:
        parts.append(f"{hours(seen.seconds_per_step * (steps - seen.step))} left")
        parts.append(f"{1000 * seen.seconds_per_step:.3g} ms/step")
    lines = [Text(", ".join(parts))]
    if seen.step:
        lines += [_losses(seen), Text(_drop(seen))]
    if seen.quiet_since is not None:
        since = datetime.fromtimestamp(seen.quiet_since)
        what = "all steps are made, and no last checkpoint" if seen.step == steps else "no new step"
        lines.append(Text(f"{what} since {since:%Y-%m-%d %H:%M:%S}: is it still being trained?"))
    return lines


def _losses(seen: "GrowingRun") -> "Text":
    """The means of the last losses, each in its curve's colour, and the shares that are right."""
    from rich.text import Text

    from abruptlab.figures.terminal import ink
    from abruptlab.run.live import RECENT
    from abruptlab.run.metrics import known_mean
    from abruptlab.task.base import SHARE

    assert seen.run is not None
    objective = seen.run.objective
    last = {name: known_mean(values[-RECENT:]) for name, values in seen.metrics.items()}
    parts = [Text(f"{metric.symbol} {last[metric.name]:.3g}", ink(metric) or "") for metric in objective.curves]
    shares = [metric for metric in objective.metrics if metric.unit == SHARE]
    parts += [Text(f"{metric.symbol} {last[metric.name]:.0%}") for metric in shares]
    return Text("  ").join(parts)


def _drop(seen: "GrowingRun") -> str:
    """The drop, if it has been found."""
    if seen.drop is None:
        return "no drop" if seen.finished else "no drop yet"
    begun = f"drop from step {seen.drop.onset}"
    if seen.drop.end is None:
        return f"{begun}, still falling"
    return f"{begun} to {seen.drop.end}, {seen.drop.depth:.3g} times lower"


def signs(glance: "Glance") -> str:
    """What moves before a drop, at the newest checkpoint (docs/plateau.md)."""
    attention = f"{glance.attention:.2f} × uniform" if math.isfinite(glance.attention) else "–"
    return f"signs (step {glance.step}): collapse {glance.collapse:.2f}, best head's useful attention {attention}"


def picture(seen: "GrowingRun", glance: "Glance | None", width: int, height: int) -> "Group":
    """Everything, in a window of so many columns and lines."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    from abruptlab.figures.terminal import draw_glance, draw_losses

    first, *others = status(seen)
    if seen.run is None or not seen.step:
        return Group(first, *others)
    steps = seen.run.config.training.steps
    if glance is not None and seen.drop is None:
        others.append(Text(signs(glance)))
    bar = Padding(ProgressBar(total=steps, completed=seen.step, width=width), 0)  # which ends the line, too
    parts = [first, bar, *others]
    room = height - len(parts)
    maps = [] if glance is None else [draw_glance(glance, width, room - max(LEAST_CURVE, room // 3))]
    rest = room - sum(text.plain.count("\n") + 1 for text in maps)
    return Group(
        *parts,
        draw_losses(seen.run.objective.curves, seen.metrics, width, max(LEAST_CURVE, min(rest, MOST_CURVE))),
        *maps,
    )
