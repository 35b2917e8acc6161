"""What the claims on a sweep are made of, seed by seed: one variant's number over another's, the largest of several,
and by how much two seeds of one variant differ."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

from abruptlab.experiments.family import Family
from abruptlab.experiments.limits import AtMost, median, quotient
from abruptlab.paper.claim import Claim, Null, Number, OverSeeds
from abruptlab.paper.findings import Findings

Measured = Callable[[Findings], OverSeeds]
OfAll = Callable[[Iterable[float]], float]


def variant(measure: Callable[..., Family], quantity: str, label: str, since: int = 0) -> Measured:
    """A quantity of one variant of a family; of steps, those after `since`."""

    def measured(findings: Findings) -> OverSeeds:
        family = findings.of(measure)
        numbers = family.by_seed(quantity, label)
        after = {seed: type(number)(number - since) for seed, number in numbers.items()}  # a limit stays one
        return OverSeeds(after, int(family.planned.max()))

    return measured


def ratio(over: Measured, under: Measured) -> Measured:
    """One number over another, of the seeds that have both, the other one above 0: a run that has learnt before the
    step from which on it is counted cannot be made faster from there on."""

    def measured(findings: Findings) -> OverSeeds:
        above, below = over(findings), under(findings)
        shared = [seed for seed in above.numbers if below.numbers.get(seed, 0) > 0]
        ratios = {seed: quotient(above.numbers[seed], below.numbers[seed]) for seed in shared}
        return OverSeeds(ratios, max(above.planned, below.planned))

    return measured


def most_of(of_all: OfAll, each: Sequence[Measured]) -> Measured:
    """The largest (`of_all` is max) or smallest of several numbers, of the seeds that have all of them."""

    def measured(findings: Findings) -> OverSeeds:
        found = [one(findings) for one in each]
        return OverSeeds.of([one.numbers for one in found], of_all, max(one.planned for one in found))

    return measured


def most_over(
    of_all: OfAll, measure: Callable[..., Family], quantity: str, over: Sequence[str], under: str, since: int = 0
) -> Measured:
    """Of the ratios of a quantity of some variants to that of another one, the largest or smallest."""
    other = variant(measure, quantity, under, since)
    return most_of(of_all, [ratio(variant(measure, quantity, label, since), other) for label in over])


def most_named(of_all: OfAll, labels: Sequence[str]) -> str:
    """What `most_of` takes, in words."""
    which = " and ".join(labels)
    return f"the {'larger' if of_all is max else 'smaller'} of {which}" if len(labels) > 1 else which


def typical(measured: Measured) -> Callable[[Findings], Number]:
    """The median over seeds of what else would be a claim's number: a null."""
    return lambda findings: median(measured(findings).numbers.values())


def another_seed(*variants: Measured) -> Null:
    """The factor by which two seeds of one variant typically differ (the median over all pairs of some variants), the
    way round that is more like the claim's bound; none where no variant has two seeds that can be compared."""

    def factor(claim: Claim, findings: Findings) -> Number:
        pairs = [pair for each in variants for pair in itertools.combinations(each(findings).numbers.values(), 2)]
        factors = [_factor(*pair) for pair in pairs if min(pair) > 0]
        middle = median(type(number)(math.log(number)) for number in factors if not isinstance(number, AtMost))
        number = type(middle)(math.exp(middle))
        return number if claim.bound.high == math.inf else quotient(1.0, number)

    return Null("another seed", factor)


def _factor(one: float, other: float) -> float:
    """The larger number over the smaller one; `AtMost` where it is open which that is."""
    return max(quotient(one, other), quotient(other, one), key=lambda number: (number, not isinstance(number, AtMost)))
