"""Which attention is fastest on a CPU, forward and backward: what `abruptlab.model.kernels` chooses by.

    python -m benchmarks.attention --out results/benchmarks

All kernels take turns, round by round. The times are those of one thread on its CPU, so that a shared machine's other
work matters little. Where the library's choice is slower than the fastest by more than `SLACK`, a test fails.
"""

import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import get_args

import torch
import tyro
from tabulate import tabulate
from torch import Tensor

from abruptlab.model.kernels import Kernel, attention, kernel
from abruptlab.system.files import write_atomically
from abruptlab.system.provenance import device_name, versions

AUTOGRAD = "autograd"  # softmax(QKᵀ)V as PyTorch differentiates it: not one of the library's
SLACK = 1.15  # the library's choice may take so many times as long as its fastest kernel
CPU = torch.device("cpu")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
SIZES = (  # whose, width, heads, places, causal, matrices
    ("pocket", 32, 8, 16, False, 128),
    ("laptop", 64, 16, 25, False, 128),
    ("7×7", 128, 16, 49, False, 64),
    ("7×7", 256, 32, 49, False, 32),
    ("base", 256, 16, 49, False, 64),
    ("7×7", 256, 8, 49, False, 64),
    ("paper", 768, 8, 49, False, 32),
    ("gpt-laptop", 64, 2, 51, True, 64),
    ("gpt", 256, 2, 99, True, 32),
    ("long", 256, 16, 256, False, 4),
    ("long", 256, 8, 256, True, 4),
    ("longer", 256, 8, 512, True, 2),
    ("longest", 256, 8, 1024, False, 1),
)

NOTES = f"""\
Milliseconds of one thread's CPU time for the forward and the backward pass of one attention, the least of the rounds;
bold is what `abruptlab.model.kernels.kernel` chooses. *fused* is PyTorch's `scaled_dot_product_attention`, *narrow* and
*wide* are plain products with a gradient written out, with the positions or the coordinates as the fast axis, and
*{AUTOGRAD}* is softmax(QKᵀ)V as PyTorch differentiates it, which the library does not use.
"""


@dataclass(frozen=True)
class Row:
    """One size, and the milliseconds of each kernel: the least of the rounds, as disturbance only adds."""

    of: str
    dtype: str
    width: int
    heads: int
    places: int
    causal: bool
    matrices: int
    ms: dict[str, float]

    @property
    def chosen(self) -> Kernel:
        return kernel(CPU, DTYPES[self.dtype], self.places, self.width // self.heads)

    @property
    def cost(self) -> float:
        """The time of the library's choice over that of the fastest of its kernels."""
        return self.ms[self.chosen] / min(self.ms[name] for name in get_args(Kernel))


def main(out: Path, rounds: int = 9) -> None:
    """Measure the kernels and write attention.json and attention.md.

    Args:
        out: Folder for the results.
        rounds: Turns of each kernel.
    """
    torch.set_num_threads(1)
    rows = [measure(dtype, *size, rounds=rounds) for dtype in DTYPES for size in SIZES]
    made_with = {
        "command": shlex.join(["python", "-m", "benchmarks.attention", *sys.argv[1:]]),
        "device": device_name(CPU),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        **versions(),
    }
    out.mkdir(parents=True, exist_ok=True)
    data = {"made_with": made_with, "rows": [asdict(row) for row in rows]}
    write_atomically(out / "attention.json", json.dumps(data, indent=1) + "\n")
    write_atomically(out / "attention.md", markdown(rows, made_with))
    print((out / "attention.md").read_text(encoding="utf-8"))


def measure(dtype: str, of: str, width: int, heads: int, places: int, causal: bool, matrices: int, rounds: int) -> Row:
    """The time of each kernel at one size."""
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        name: partial(attention, heads=heads, causal=causal, by=name) for name in get_args(Kernel)
    }
    ways[AUTOGRAD] = partial(autograd, heads=heads, causal=causal)
    qkv = torch.randn(matrices, places, 3 * width, dtype=DTYPES[dtype], requires_grad=True)
    back = torch.randn(matrices, places, heads, width // heads, dtype=DTYPES[dtype])
    ms: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            start = time.process_time()
            torch.autograd.grad(way(qkv), qkv, back)
            ms[name].append(1e3 * (time.process_time() - start))
    least = {name: min(each[1:]) for name, each in ms.items()}  # the first one warms up
    print(f"{of}, {dtype}: {least}", flush=True)
    return Row(of, dtype, width, heads, places, causal, matrices, least)


def autograd(qkv: Tensor, heads: int, causal: bool) -> Tensor:
    """softmax(QKᵀ)V, differentiated by PyTorch."""
    q, k, v = qkv.unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
    scores = q * q.shape[-1] ** -0.5 @ k.mT
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores[0, 0], dtype=torch.bool).triu(1), -math.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2)


def read(folder: Path) -> list[Row]:
    """The rows of an attention.json."""
    data = json.loads((folder / "attention.json").read_text(encoding="utf-8"))
    return [Row(**row) for row in data["rows"]]


def markdown(rows: list[Row], made_with: Mapping[str, object]) -> str:
    """The table of all rows."""
    names = [*get_args(Kernel), AUTOGRAD]
    head = ["", "dtype", "width", "heads", "of width", "places", "causal", *names, "chosen / fastest"]
    lines = [
        [
            *(row.of, row.dtype, row.width, row.heads, row.width // row.heads, row.places),
            "yes" if row.causal else "",
            *(f"**{row.ms[name]:.1f}**" if name == row.chosen else f"{row.ms[name]:.1f}" for name in names),
            f"{row.cost:.2f}",
        ]
        for row in rows
    ]
    table = tabulate(lines, head, tablefmt="github", disable_numparse=True)
    versions = "".join(f"- {name}: {value}\n" for name, value in made_with.items())
    return f"# The time of one attention on a CPU\n\n{table}\n\n{NOTES}\n{versions}"


if __name__ == "__main__":
    tyro.cli(main)
