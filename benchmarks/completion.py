"""How many matrices a second each method completes, side by side, on the same matrices.

    python -m benchmarks.completion --out results/benchmarks

All take turns, round by round, so that a shared machine's noise hits all alike. The methods that solve one matrix after
another get fewer matrices. "cvxpy, rebuilt" is nuclear-norm minimisation as the paper's code does it: a new problem
for each matrix, with cvxpy's default solver.
"""

import json
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import cvxpy
import numpy as np
import torch
import tyro
from tabulate import tabulate

from abruptlab import pretrained_run
from abruptlab.baselines.nuclear import NuclearNorm
from abruptlab.baselines.oracle import NuclearNormOracle
from abruptlab.experiments.forward import predict
from abruptlab.experiments.held_out import estimated, incomplete
from abruptlab.system.files import write_atomically
from abruptlab.system.provenance import device_name, versions
from abruptlab.task.matrices import Batch, sample
from abruptlab.task.matrix import MatrixTask
from benchmarks.clock import seconds
from benchmarks.measurement import Spread

OURS, REBUILT, COMPILED, FACTORISATION, BERT = (
    "nuclear norm, ours", "cvxpy, rebuilt", "cvxpy, compiled once", "factorisation, ours", "BERT, laptop",
)  # fmt: skip
SHARE = {OURS: 1.0, REBUILT: 1 / 64, COMPILED: 1 / 64, FACTORISATION: 1 / 8, BERT: 1.0}  # of the matrices
SPEEDUP = 20.0  # aimed at: ours against cvxpy, rebuilt
ACCURACY = 1e-4  # relative difference of their nuclear norms at which they count as equally accurate
FACTORISATION_S = 0.010  # aimed at: at most so long a matrix
CPU = torch.device("cpu")

NOTES = """\
Medians over the rounds, with the range in brackets; ratios are within a round. All ran on the CPU, one after another.
*L* is the mean squared error over all entries of the first matrices, those that every method completed. *Norm* is the
largest relative difference of a matrix's nuclear norm from that of "cvxpy, rebuilt", for the methods that minimise it.
"""

Method = Callable[[Batch], np.ndarray]  # a batch → completed matrices [batch, m, n]


@dataclass(frozen=True)
class Entry:
    """One method's numbers on one task."""

    matrices: int
    loss: float
    norm_difference: float | None
    """None for methods that do not minimise the nuclear norm."""
    matrix_s: list[float] = field(default_factory=list)
    """Seconds a matrix, by round."""


def main(out: Path, matrices: int = 4096, rounds: int = 5, seed: int = 0) -> None:
    """Measure completion and write completion.json and completion.md.

    Args:
        out: Folder for the results.
        matrices: For the fastest methods; the others get a share of them.
        rounds: Turns of each method.
        seed: Decides the matrices.
    """
    run = pretrained_run("laptop")
    model = run.load_encoder("final")
    five, seven = run.config.matrices, MatrixTask()
    bert: Method = lambda batch: predict(model, batch.tokens).double().numpy().reshape(-1, *batch.size)  # noqa: E731
    measured = {
        "5×5 rank 1": _measure({**classical(rank=1), BERT: bert}, sample(five, matrices, seed), rounds),
        "7×7 rank 2": _measure(classical(rank=2), sample(seven, matrices, seed), rounds),
    }
    made_with = {
        "command": shlex.join(["python", "-m", "benchmarks.completion", *sys.argv[1:]]),
        "seed": seed,
        "device": device_name(CPU),
        "threads": torch.get_num_threads(),
        **versions(),
        "cvxpy": version("cvxpy"),
    }
    write_report(measured, made_with, out)
    print((out / "completion.md").read_text(encoding="utf-8"))


def classical(rank: int) -> dict[str, Method]:
    """The methods that know nothing but the matrix (and factorisation its rank)."""
    from abruptlab.baselines.factorisation import Factorisation

    methods = {OURS: NuclearNorm(), COMPILED: NuclearNormOracle(), FACTORISATION: Factorisation(rank)}
    named: dict[str, Method] = {
        name: lambda batch, method=method: estimated(method, batch).numpy() for name, method in methods.items()
    }
    return {**named, REBUILT: lambda batch: np.stack([rebuilt(matrix) for matrix in incomplete(batch)])}


def rebuilt(matrix: np.ndarray) -> np.ndarray:
    """Nuclear-norm minimisation with a problem built for this matrix alone."""
    observed = ~np.isnan(matrix)
    completed = cvxpy.Variable(matrix.shape)
    equal = cvxpy.multiply(observed.astype(float), completed) == np.nan_to_num(matrix)
    cvxpy.Problem(cvxpy.Minimize(cvxpy.normNuc(completed)), [equal]).solve()
    return np.asarray(completed.value)


def _measure(methods: dict[str, Method], batch: Batch, rounds: int) -> dict[str, Entry]:
    parts = {name: batch[: max(1, round(len(batch.values) * SHARE[name]))] for name in methods}
    common = min(len(part.values) for part in parts.values())
    completed = {name: method(parts[name])[:common] for name, method in methods.items()}  # warms up, too
    values = batch.values[:common].double().reshape(-1, *batch.size).numpy()
    entries = {
        name: Entry(
            matrices=len(parts[name].values),
            loss=float(((completed[name] - values) ** 2).mean()),
            norm_difference=_norm_difference(completed[name], completed[REBUILT]) if _minimises(name) else None,
        )
        for name in methods
    }
    for done in range(rounds):
        for name, method in methods.items():
            taken = seconds(lambda method=method, part=parts[name]: method(part), CPU)
            entries[name].matrix_s.append(taken / entries[name].matrices)
        print(f"{batch.size[0]}×{batch.size[1]}: round {done + 1} of {rounds}", flush=True)
    return entries


def _minimises(name: str) -> bool:
    return name in (OURS, COMPILED, REBUILT)


def _norm_difference(completed: np.ndarray, reference: np.ndarray) -> float:
    ours, theirs = (np.linalg.norm(each, "nuc", axis=(1, 2)) for each in (completed, reference))
    return float(np.abs(ours / theirs - 1).max())


def speedup(entries: dict[str, Entry], name: str) -> Spread:
    """How many times faster than cvxpy with the problem rebuilt, within each round."""
    pairs = zip(entries[REBUILT].matrix_s, entries[name].matrix_s, strict=True)
    return Spread.of([theirs / its for theirs, its in pairs])


def goals(measured: dict[str, dict[str, Entry]]) -> list[list[str]]:
    """Each goal, what was aimed at, what was measured, and whether it is met."""
    rows = []
    for task, entries in measured.items():
        times, ours = speedup(entries, OURS).median, entries[OURS]
        equal = ours.norm_difference is not None and ours.norm_difference <= ACCURACY
        said = f"{times:.1f}×, norms within {ours.norm_difference:.1e}"
        aim = f"≥ {SPEEDUP:.0f}×, norms within {ACCURACY:.0e}"
        rows.append([f"{task}: {OURS} against {REBUILT}", aim, said, _verdict(times >= SPEEDUP and equal)])
        matrix_s = Spread.of(entries[FACTORISATION].matrix_s).median
        rows.append(
            [
                f"{task}: {FACTORISATION}",
                f"≤ {1e3 * FACTORISATION_S:.0f} ms a matrix",
                f"{1e3 * matrix_s:.3g} ms",
                _verdict(matrix_s <= FACTORISATION_S),
            ]
        )
    return rows


def _verdict(met: bool) -> str:
    return "yes" if met else "**no**"


def write_report(measured: dict[str, dict[str, Entry]], made_with: dict[str, object], folder: Path) -> None:
    """Write completion.json and completion.md to `folder`, each atomically."""
    judged = goals(measured)
    tasks = {
        task: {name: {**asdict(entry), "speedup": asdict(speedup(entries, name))} for name, entry in entries.items()}
        for task, entries in measured.items()
    }
    parts = ["# The speed of completing matrices\n", _table(["goal", "aimed at", "measured", "met"], judged)]
    for task, entries in measured.items():
        head = ["", "matrices a second", "time of one", "against cvxpy, rebuilt", "matrices", "L", "norm"]
        parts += [f"\n## {task}\n", _table(head, [_row(entries, name) for name in entries])]
    parts += ["", NOTES, "".join(f"- {name}: {value}\n" for name, value in made_with.items())]
    data = {"made_with": made_with, "tasks": tasks, "goals": judged}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "completion.json", json.dumps(data, indent=1) + "\n")
    write_atomically(folder / "completion.md", "\n".join(parts))


def _row(entries: dict[str, Entry], name: str) -> list[str]:
    entry, time, times = entries[name], Spread.of(entries[name].matrix_s), speedup(entries, name)
    return [
        name,
        f"{1 / time.median:,.0f}",
        f"{1e3 * time.median:.3g} ms ({1e3 * time.low:.3g} – {1e3 * time.high:.3g})",
        f"{times.median:.1f}× ({times.low:.1f} – {times.high:.1f})",
        str(entry.matrices),
        f"{entry.loss:.5f}",
        "" if entry.norm_difference is None else f"{entry.norm_difference:.1e}",
    ]


def _table(head: list[str], rows: list[list[str]]) -> str:
    return tabulate(rows, head, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    tyro.cli(main)
