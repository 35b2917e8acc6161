"""What a claim is: a number with a bound, and the nulls that must not pass it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from abruptlab.experiments.limits import AtLeast, AtMost, most
from abruptlab.paper.findings import Findings

# Where a claim is from: a figure's caption or the text of the paper, its public code, the follow-up paper, or nobody
# but us.
Source = Literal["caption", "text", "code", "follow-up", "ours"]

Number = float | None  # None where there is nothing to say (yet)


@dataclass(frozen=True)
class Bound:
    """The values with which a claim holds, its ends included."""

    low: float = -math.inf
    high: float = math.inf

    def __contains__(self, value: float) -> bool:
        return bool(self.low <= value <= self.high)  # of NumPy's numbers too

    def allows(self, value: float) -> bool | None:
        """Whether a number is among them; None where it is a limit that leaves that open."""
        if isinstance(value, AtLeast):
            return False if value > self.high else True if self.high == math.inf and value >= self.low else None
        if isinstance(value, AtMost):
            return False if value < self.low else True if self.low == -math.inf and value <= self.high else None
        return value in self

    def __str__(self) -> str:
        if self.low == -math.inf:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high == math.inf else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Null:
    """Where the claimed thing is known not to be: there the claim's number has to lie outside its bound, or there is
    none."""

    name: str
    measure: "Callable[[Claim, Findings], Number]"


@dataclass(frozen=True)
class OverSeeds:
    """A number of each seed of a sweep that has it."""

    numbers: dict[int, float]  # by seed; one may be a limit (`AtLeast`, `AtMost`)
    planned: int  # seeds that the sweep has

    @staticmethod
    def of(
        each: Sequence[Mapping[int, float]], of_all: Callable[[Iterable[float]], float], planned: int
    ) -> "OverSeeds":
        """One number of several (the largest, or the smallest), of each seed that has all of them."""
        seeds = sorted(set.intersection(*map(set, each)))
        return OverSeeds({seed: most((one[seed] for one in each), of_all) for seed in seeds}, planned)


@dataclass(frozen=True)
class Claim:
    """A claim as one number of a run, or of each seed of a sweep, and the bound within which it holds.

    The bound is fixed before any run is judged and is the same for every run; a claim that fails is reported with its
    number, and one whose null passes is reported as none.
    """

    text: str
    source: Source
    quantity: str  # what the number is
    bound: Bound
    measure: Callable[[Findings], Number] | Callable[[Findings], OverSeeds]
    nulls: tuple[Null, ...]
    figures: tuple[str, ...] = ()  # ids of those that show it
    tables: tuple[str, ...] = ()
    kind: str = "encoder"  # of the model that it is about
    sweep: str = ""  # the sweep of that name; if empty, a run
    curve: bool = False  # whether it needs the losses of the training
    final: bool = False  # whether it is of the trained model, so that a run stopped while it falls has none
    fails_without_drop: bool = False  # else a run without a drop is not judged


def on(standin: str) -> Null:
    """The same number where a stand-in (`standins.STANDINS`) is in the run's place."""

    def measure(claim: Claim, findings: Findings) -> Number:
        number = claim.measure(findings.on(standin))
        assert not isinstance(number, OverSeeds)
        return number

    return Null(standin, measure)


def null(name: str, measure: Callable[[Findings], Number]) -> Null:
    """A null with a measure of its own."""
    return Null(name, lambda claim, findings: measure(findings))


UNTRAINED, PLATEAU, TRAINED = on("untrained"), on("plateau"), on("trained")
SMOOTH, STOPPED = on("smooth curve"), on("stopped")
INSIDE: tuple[Null, ...] = (UNTRAINED, PLATEAU)  # of what is claimed of a trained model's inside


def inside(
    text: str,
    source: Source,
    quantity: str,
    bound: Bound,
    measure: Callable[[Findings], Number],
    *nulls: Null,
    figures: tuple[str, ...],
    kind: str = "encoder",
) -> Claim:
    """A claim of what is inside a trained model, with `INSIDE` and perhaps more nulls; a run that was stopped while it
    falls has none."""
    return Claim(text, source, quantity, bound, measure, (*INSIDE, *nulls), figures, kind=kind, final=True)
