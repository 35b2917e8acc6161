"""The numbers of one model, and what follows from them. All lists go by round."""

from dataclasses import dataclass, field

import numpy as np

from benchmarks.apart import FirstSteps
from benchmarks.contestants import REFERENCE, Precision


@dataclass(frozen=True)
class Spread:
    """The median over the rounds, and the range."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: list[float]) -> "Spread":
        return Spread(float(np.median(values)), min(values), max(values))


@dataclass(frozen=True)
class Entry:
    """A contestant's numbers."""

    precision: Precision
    flops: int
    """A step's, evaluation passes included."""
    first: FirstSteps
    steps_a_round: int
    step_s: list[float] = field(default_factory=list)
    """Seconds a step."""


@dataclass(frozen=True)
class Measurement:
    """One model on one device."""

    preset: str
    device_type: str
    batch: int
    positions: int
    entries: dict[str, Entry]
    overhead_s: list[float] = field(default_factory=list)
    """Seconds a step that go into data, loss, metrics and logging."""
    rates: dict[Precision, list[float]] = field(default_factory=lambda: {"fp32": [], "bf16": []})
    """FLOP/s of the largest matrix product, by precision."""

    def ours(self, precision: Precision) -> str:
        """The name of our contestant with the preset's own settings."""
        return next(name for name, entry in self.entries.items() if name != REFERENCE and entry.precision == precision)

    def step(self, name: str) -> Spread:
        return Spread.of(self.entries[name].step_s)

    def speedup(self, name: str) -> Spread:
        """How many times faster than the reference, within each round."""
        pairs = zip(self.entries[REFERENCE].step_s, self.entries[name].step_s, strict=True)
        return Spread.of([reference / ours for reference, ours in pairs])

    def share(self, name: str) -> Spread:
        """The time that the matrix products would take at the machine's rate, as a share of the step's."""
        entry = self.entries[name]
        pairs = zip(entry.step_s, self.rates[entry.precision], strict=True)
        return Spread.of([entry.flops / step / rate for step, rate in pairs])

    def overhead(self) -> Spread:
        """The share of our fp32 step that goes into data, loss, metrics and logging."""
        pairs = zip(self.overhead_s, self.entries[self.ours("fp32")].step_s, strict=True)
        return Spread.of([overhead / step for overhead, step in pairs])

    def compilation_s(self, name: str) -> float:
        """What the first step took beyond the second."""
        first = self.entries[name].first
        return first.first_step_s - first.second_step_s
