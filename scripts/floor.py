"""All methods on three tasks, against the floor: python -m scripts.floor --out results/classical

Writes a table for each task and `references`, which holds the numbers against values measured elsewhere; each as CSV,
Markdown and LaTeX, with how it was made (JSON). Every finished part of a measurement is kept in `runs/floor`: stopped
at any time and called again, it goes on.
"""

import math
import shlex
import sys
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.progress import track
from torch import Tensor

from abruptlab.errors import AbruptlabError
from abruptlab.experiments.floor import POSTERIOR, Floor, competitors, summarise
from abruptlab.experiments.held_out import held_out_of
from abruptlab.figures.save import packed, save_table
from abruptlab.figures.table import Table
from abruptlab.paper.floor import tabulate_floor
from abruptlab.run.pretrained import pretrained_run, shipped_runs
from abruptlab.system.files import write_atomically
from abruptlab.task.matrices import Batch
from abruptlab.task.matrix import MatrixTask

TASKS = {
    "5x5-rank-1": MatrixTask(sizes=((5, 5),), rank=1, limit=2.0),
    "7x7-rank-2": MatrixTask(),
    "7x7-rank-1": MatrixTask(sizes=((7, 7),), rank=1),
}
# so many matrices for the posterior mean as about ten minutes of a core suffice for
POSTERIOR_MATRICES = {"5x5-rank-1": 6144, "7x7-rank-2": 2112, "7x7-rank-1": 3072}
PART, POSTERIOR_PART = 640, 192  # matrices whose errors are kept together
# L measured elsewhere, by other code on other matrices, and its standard error
REFERENCES = {
    "7x7-rank-2": {
        "predict zero": (0.0667, 0.0),
        "nuclear norm": (1.18e-2, 0.08e-2),
        "factorisation": (1.15e-3, 0.05e-3),
        POSTERIOR: (1.06e-3, 0.07e-3),
    },
    # given without errors, which are taken to be as large as those above, relatively
    "5x5-rank-1": {"factorisation": (9.0e-4, 0.4e-4), POSTERIOR: (7.3e-4, 0.5e-4)},
    "7x7-rank-1": {"factorisation": (5.3e-5, 0.2e-5), POSTERIOR: (5.2e-5, 0.3e-5)},
}
AGREE = 2.0  # standard errors of the difference within which a reference is met


def compare(floors: dict[str, Floor]) -> Table:
    """Each reference, our number, the difference in standard errors, and whether it is met."""
    rows = []
    for task, floor in floors.items():
        for method, (value, error) in REFERENCES[task].items():
            at = floor.names.index(method)
            ours, ours_error = float(floor.loss.mean[at]), float(floor.loss.error[at])
            apart = (ours - value) / math.hypot(error, ours_error)
            met = "met" if abs(apart) <= AGREE else "NOT met"
            numbers = (value, error, ours, ours_error, apart)
            rows.append((task, method, *(float(f"{number:.3g}") for number in numbers), met))
    return Table(
        ("task", "method", "reference L", "±", "measured L", "±", "standard errors apart", "verdict"), tuple(rows)
    )


def measure(name: str, batch: Batch, posterior: int, parts: Path) -> Floor:
    """All methods on one task, a part of the matrices at a time; parts that are there already are read."""
    task = TASKS[name]
    runs = [run for run in map(pretrained_run, shipped_runs()) if run.config.task == task]
    errors: dict[str, Tensor] = {}
    for method, squared_errors in competitors(task, runs[0].load_encoder("final") if runs else None).items():
        matrices, size = (posterior, POSTERIOR_PART) if method == POSTERIOR else (len(batch.values), PART)
        pieces = []
        for start in track(range(0, matrices, size), description=f"{name}: {method}"):
            path = parts / name / f"{method} {start}.npz"
            if not path.exists():
                found = squared_errors(batch[start : min(start + size, matrices)])
                _save(path, {key: value.numpy() for key, value in found.items()})
            with np.load(path) as stored:
                pieces.append({key: torch.from_numpy(stored[key]) for key in stored.files})
        errors |= {key: torch.cat([piece[key] for piece in pieces]) for key in pieces[0]}
    return summarise(errors, batch)


def _save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, packed(arrays))


def main(out: Path, matrices: int = 20480, seed: int = 0) -> None:
    """Measure all methods on the three tasks and write the tables.

    Args:
        out: Folder for the tables.
        matrices: Held-out matrices of each task.
        seed: Decides the matrices.
    """
    torch.set_num_threads(1)
    command = shlex.join(["python", "-m", "scripts.floor", *sys.argv[1:]])
    parts = Path("runs/floor") / f"{matrices} matrices, seed {seed}"
    floors = {}
    for name, task in TASKS.items():
        posterior = min(matrices, POSTERIOR_MATRICES[name])
        floors[name] = measure(name, held_out_of(task, matrices, seed), posterior, parts)
        save_table(tabulate_floor(floors[name]), out, f"methods-{name}", command, seed)
    save_table(compare(floors), out, "references", command, seed)
    print((out / "references.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    try:
        tyro.cli(main)
    except (AbruptlabError, OSError) as error:
        sys.exit(f"scripts.floor: {error}")
