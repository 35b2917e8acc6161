"""What the commands print."""

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from abruptlab.experiments.estimate import Losses
    from abruptlab.paper import Verdict
    from abruptlab.run.run import Run
    from abruptlab.task.base import Objective

WIDEST = 10_000  # columns
LINE_EVERY_S = 30.0  # about long work, where there is no terminal


def command_line() -> str:
    """The command as the user typed it."""
    return shlex.join(["abruptlab", *sys.argv[1:]])


def hours(seconds: float) -> str:
    """A duration as 0:00:00."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def print_state(run: "Run") -> None:
    """The last metrics, the drop, and the checkpoints at the story's moments."""
    from abruptlab.run.metrics import known_mean

    metrics, drop = run.metrics, run.drop
    done = len(metrics["step"])
    if run.config.start.run:
        print(f"start       {run.config.start}")
    unknown = run.finished and not done  # of an imported run whose losses nobody has given
    progress = "its losses are not known" if unknown else f"{done} of {run.config.training.steps} steps"
    print(f"run         {run.folder}: {progress}")
    if done:
        curves = run.objective.curves
        recent = min(100, math.ceil(done / 10))
        last = "  ".join(f"{metric.symbol} {known_mean(metrics[metric.name][-recent:]):.4g}" for metric in curves)
        print(f"last        {last}  (mean of the last {recent} steps), {metrics['elapsed_s'][-1]:.0f} s of training")
    if drop is None:
        print(f"drop        {'unknown' if unknown else 'none found'}")
    else:
        end = "still falling" if drop.end is None else f"end {drop.end}"
        print(
            f"drop        plateau {drop.plateau:.4f}, onset {drop.onset}, {end}, {drop.depth:.1f} times lower after it"
        )
    kept = ", ".join(f"{name} {step}" for name, step in run.milestones.items()) or "none"
    is_gone = done == run.config.training.steps and not run.finished
    print(f"checkpoints {kept}" + (f" (that of step {done}, the last one, is gone)" if is_gone else ""))


def plain_console(*, stderr: bool = False) -> "Console":
    """A console that prints text as it is: paths and names may have brackets and colons. In a file or a log, nothing is
    folded or shortened. On stderr it says what it can: work goes on when nobody reads any more."""
    from rich.console import Console

    class Log(Console):
        def on_broken_pipe(self) -> None:  # `2>&1 | head`, upon which rich would end the program
            self.quiet = True

        def print(self, *objects: Any, **how: Any) -> None:
            try:
                super().print(*objects, **how)
            except OSError:  # the terminal was closed, the disk is full
                self.quiet = True

    kind = Log if stderr else Console
    console = kind(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = WIDEST
    return console


def print_verdicts(verdicts: "Sequence[Verdict]") -> None:
    """The claims that were judged with their numbers, bounds, nulls and verdicts, as a table; those that were not, by
    why; and how many they are."""
    from rich.table import Table

    from abruptlab.paper import counted

    table = Table("claim", "from", "number", "bound", "null", "verdict", title="Claims of the paper")
    for verdict in (verdict for verdict in verdicts if verdict.judged):
        cells = (f"{verdict.claim} ({verdict.quantity})", verdict.place, verdict.number, verdict.bound, verdict.null)
        table.add_row(*cells, "; ".join([verdict.said, *verdict.notes]))
    unjudged: dict[str, list[str]] = {}  # by why
    for verdict in (verdict for verdict in verdicts if not verdict.judged):
        unjudged.setdefault("; ".join(verdict.notes), []).append(verdict.id)
    console = plain_console()
    if table.row_count:
        console.print(table)
    for why, names in unjudged.items():
        console.print(f"not judged, {len(names)} of {len(verdicts)}: {why}:\n  {', '.join(names)}")
    console.print(counted(verdicts))


def print_losses(title: str, rows: "Mapping[str, Losses]", objective: "Objective") -> None:
    """The metrics of some models with their standard errors."""
    from rich.table import Table

    table = Table("", *(metric.symbol for metric in objective.metrics), title=title)
    for name, row in rows.items():
        cells = [row[metric.name] for metric in objective.metrics]
        table.add_row(name, *(f"{cell.mean:.3g} ± {cell.error:.1g}" for cell in cells))
    plain_console().print(table)
