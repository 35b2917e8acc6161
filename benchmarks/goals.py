"""What was aimed at, and whether it is met. The goals of speed are for a CPU."""

from dataclasses import dataclass

from benchmarks.contestants import NARROW, REFERENCE, Precision
from benchmarks.measurement import Measurement

SPEEDUP: dict[tuple[str, Precision], float] = {
    ("laptop", "fp32"): 2.2,
    (NARROW, "bf16"): 3.5,
    ("base", "bf16"): 5.0,
    ("paper", "fp32"): 1.7,
    ("paper", "bf16"): 4.2,
}
SHARE: dict[tuple[str, Precision], float] = {
    ("base", "bf16"): 0.65,
    ("paper", "fp32"): 0.85,
    ("paper", "bf16"): 0.85,
}
OVERHEAD = {"laptop": 0.05}


@dataclass(frozen=True)
class Goal:
    """One goal and what was measured (the median)."""

    text: str
    expected: str
    measured: str
    met: bool


def judge(measurement: Measurement) -> list[Goal]:
    """The goals that are set for this model."""
    preset, goals = measurement.preset, []
    for precision in ("fp32", "bf16") if measurement.device_type == "cpu" else ():
        name = measurement.ours(precision)
        if least := SPEEDUP.get((preset, precision)):
            times = measurement.speedup(name).median
            goals.append(
                Goal(f"{preset}: {name} against the reference", f"≥ {least:.1f}×", f"{times:.2f}×", times >= least)
            )
        if least := SHARE.get((preset, precision)):
            share = measurement.share(name).median
            goals.append(
                Goal(f"{preset}: {name}, share of the limit", f"≥ {least:.0%}", f"{share:.1%}", share >= least)
            )
    if most := OVERHEAD.get(preset):
        share = measurement.overhead().median
        goals.append(Goal(f"{preset}: data, metrics and logging", f"< {most:.0%}", f"{share:.1%}", share < most))
    if preset == "paper":
        theirs = measurement.entries[REFERENCE].first.peak_memory_bytes
        for precision in ("fp32", "bf16"):
            name = measurement.ours(precision)
            memory = measurement.entries[name].first.peak_memory_bytes
            text = f"{preset}: peak memory of {name}"
            goals.append(Goal(text, f"< {gibibytes(theirs)}", gibibytes(memory), memory < theirs))
    return goals


def gibibytes(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
