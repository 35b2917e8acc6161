"""How long a training step takes: the reference's, ours in fp32 and in bf16 (on CUDA also as a graph), and the limit.

    python -m benchmarks.train_step --out results/benchmarks

All take turns, round by round, so that a shared machine's noise hits all alike.
"""

import math
import os
import shlex
import sys
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
import tyro

from abruptlab.config import RunConfig
from abruptlab.system.provenance import device_name, versions
from abruptlab.task.matrices import BLOCK
from benchmarks.apart import Apart
from benchmarks.contestants import NARROW, REFERENCE, Precision, contestants, size
from benchmarks.limit import LargestProduct, forward_flops
from benchmarks.measurement import Entry, Measurement
from benchmarks.ours import Overhead
from benchmarks.reference import FRESH
from benchmarks.report import write_report

STRETCH_S = 1.0  # a contestant's turn: as many steps as take about this long, at least one, at most a block
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}


def main(
    out: Path,
    # The small one first: a child starts at its parent's peak of memory.
    models: tuple[str, ...] = ("laptop", NARROW, "base", "paper"),
    device: Literal["cpu", "cuda"] = "cpu",
    rounds: int = 3,
    seconds: float = 60.0,
    variants: bool = False,
) -> None:
    """Measure a training step and write train_step.json, .md, .png and .pdf.

    Args:
        out: Folder for the results.
        models: Presets to measure, or `contestants.NARROW`.
        device: Where to train.
        rounds: At least so many rounds a model.
        seconds: At least about so long a model.
        variants: Also compare ours compiled and not.
    """
    where = torch.device(device)
    configs = [size(name) for name in models]
    with TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{scratch}/compiler"  # empty: the first compilation is a real one
        measurements = [_measure(config, where, variants, rounds, seconds, Path(scratch)) for config in configs]
    write_report(measurements, _made_with(where, configs), out)
    print((out / "train_step.md").read_text(encoding="utf-8"))


def _measure(
    config: RunConfig,
    device: torch.device,
    variants: bool,
    rounds: int,
    at_least_s: float,
    scratch: Path,
) -> Measurement:
    configs = contestants(config, device, variants)
    runners, firsts = {}, {}
    for name, its_config in configs.items():
        print(f"{config.name}: the first steps of {name}", flush=True)
        runners[name] = Apart(name, its_config, device, scratch)
        firsts[name] = runners[name].first_steps()
    overhead = Overhead(config, device, scratch / config.name / "overhead")
    products: dict[Precision, LargestProduct] = {
        precision: LargestProduct(config, dtype, device) for precision, dtype in DTYPES.items()
    }
    result = Measurement(
        preset=config.name,
        device_type=device.type,
        batch=config.training.batch,
        positions=config.matrices.positions,
        entries={
            name: Entry(
                precision=its_config.training.precision,
                flops=_step_flops(name, config),
                first=firsts[name],
                steps_a_round=min(BLOCK, max(1, round(STRETCH_S / firsts[name].second_step_s))),
            )
            for name, its_config in configs.items()
        },
    )
    a_round_s = sum(entry.steps_a_round * entry.first.second_step_s for entry in result.entries.values())
    rounds = max(rounds, math.ceil(at_least_s / a_round_s))
    overhead_steps = result.entries[result.ours("fp32")].steps_a_round
    print(f"{config.name}: {rounds} rounds of about {a_round_s:.0f} s", flush=True)
    overhead(1)
    start = time.perf_counter()
    for done in range(1, rounds + 1):
        for name, runner in runners.items():
            entry = result.entries[name]
            entry.step_s.append(runner(entry.steps_a_round))
        result.overhead_s.append(overhead(overhead_steps))
        for precision, product in products.items():
            result.rates[precision].append(product())
        left = (time.perf_counter() - start) / done * (rounds - done)
        print(f"{config.name}: round {done} of {rounds}, about {left:.0f} s left for this model", flush=True)
    for runner in runners.values():
        runner.close()
    return result


def _step_flops(name: str, config: RunConfig) -> int:
    forward = forward_flops(config, config.training.batch)
    if name == REFERENCE:
        return 4 * forward + forward_flops(config, FRESH)
    return 3 * forward


def _made_with(device: torch.device, configs: list[RunConfig]) -> dict[str, object]:
    return {
        "command": shlex.join(["python", "-m", "benchmarks.train_step", *sys.argv[1:]]),
        "seed": ", ".join(f"{config.seed} ({config.name})" for config in configs),
        "device": device_name(device),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        **versions(),
        "transformers": version("transformers"),
    }


if __name__ == "__main__":
    tyro.cli(main)
