"""Several seeds of one configuration side by side: python -m scripts.seeds OUT RUN RUN ...

Writes seeds.png and .pdf (over the steps L_mask, or a decoder's loss at observed entries), .npz (the losses of every
step), .json (command, versions); seeds_table.json (for each run its drop, how much of the plateau is left at the end,
whether that is below a fifth, device and versions); and
where every run has a claims.json, seeds_claims.csv, .md and .tex (every claim's number and verdict on each) and the
claims.json of all together.
"""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from abruptlab.errors import AbruptlabError, RunError
from abruptlab.experiments.losses import smooth
from abruptlab.figures.save import save_figure, save_table
from abruptlab.figures.style import REFERENCE, drawing, new_figure
from abruptlab.figures.table import Table
from abruptlab.paper import Findings, Verdict, read_verdicts, together, write_verdicts
from abruptlab.paper.training import FALLEN, fallen
from abruptlab.run.run import Run
from abruptlab.system.files import write_atomically


def row(run: Run) -> dict[str, object]:
    """A run's line of the table."""
    drop = run.drop
    left = None if drop is None else float(f"{fallen(Findings(run)):.4g}")
    return {
        "seed": run.config.seed,
        "steps": len(run.metrics["step"]),
        "plateau": drop and round(drop.plateau, 4),
        "onset": drop and drop.onset,
        "end": drop and drop.end,
        "final_over_plateau": left,
        "falls_below_a_fifth": None if left is None else left <= FALLEN,
        "seconds": round(float(run.metrics["elapsed_s"][-1])),
        "made_with": run.made_with,
    }


def claims(runs: list[Run], verdicts: list[Verdict]) -> Table:
    """Every claim's number and verdict on each run."""
    words = {True: "holds", False: "FAILS", None: "–"}
    rows = []
    for verdict in verdicts:
        each = zip(verdict.numbers, verdict.within, strict=True)
        cells = ("–" if number is None else f"{number:.3g} {words[within]}" for number, within in each)
        rows.append((verdict.claim, verdict.quantity, verdict.bound, *cells, verdict.null, verdict.said))
    seeds = (f"seed {run.config.seed}" for run in runs)
    return Table(("claim", "number", "bound", *seeds, "null", "verdict"), tuple(rows))


@drawing
def draw(runs: list[Run]) -> Figure:
    """The falling loss of every run, on linear and on logarithmic axes; dashed the level of predicting zero (a
    decoder's: the plateau, if there is one), dotted a fifth of it."""
    figure = new_figure(2.35)
    linear, logarithmic = figure.subplots(1, 2)
    objective = runs[0].objective
    falling = objective.falling
    name = r"$L_\mathrm{mask}$" if falling == "loss_masked" else f"{objective.drops.label}, nats"
    plateaus = [run.drop.plateau for run in runs if run.drop is not None]
    level = float(np.median(plateaus)) if objective.level is None and plateaus else objective.level
    top = None if level is None else 1.5 * level
    for axes in (linear, logarithmic):
        for run in runs:
            metrics = run.metrics
            axes.plot(metrics["step"], smooth(metrics[falling]), linewidth=0.9, label=f"seed {run.config.seed}")
        if level is not None:
            axes.axhline(level, color=REFERENCE, dashes=(4, 3), linewidth=0.8)
            axes.axhline(FALLEN * level, color=REFERENCE, dashes=(1, 2), linewidth=0.8)
        axes.set(xlim=(0, len(runs[0].metrics["step"])), xlabel="training step")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    linear.set(ylim=(0, top), ylabel=name)
    logarithmic.set(yscale="log", ylim=(None, top))
    figure.legend(*linear.get_legend_handles_labels(), loc="outside upper center", ncols=len(runs))
    return figure


def main(out: Path, runs: list[Run]) -> None:
    """Write everything to `out`."""
    if (out / "metrics.jsonl").exists():
        raise RunError(f"{out} is a run")
    seeds = [run.config.seed for run in runs]
    if len({*seeds}) < len(seeds):
        raise RunError(f"the runs have the seeds {', '.join(map(str, seeds))}")
    losses = [metric.name for metric in runs[0].objective.curves]
    data = {f"seed{run.config.seed}.{name}": run.metrics[name].astype(np.float32) for run in runs for name in losses}
    command = shlex.join(["python", "-m", "scripts.seeds", *sys.argv[1:]])
    save_figure(draw(runs), out, "seeds", data, command, runs[0].config.seed)
    if all(each := [read_verdicts(run.folder) for run in runs]):
        verdicts = together(each)
        write_verdicts(out / "claims.json", verdicts)
        save_table(claims(runs, verdicts), out, "seeds_claims", command, runs[0].config.seed)
    write_atomically(out / "config.toml", runs[0].config.to_toml())
    write_atomically(out / "seeds_table.json", json.dumps([row(run) for run in runs], indent=1) + "\n")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), [Run(folder) for folder in sys.argv[2:]])
    except (AbruptlabError, OSError, IndexError) as error:
        sys.exit(f"expected OUT RUN ...: {error}")
