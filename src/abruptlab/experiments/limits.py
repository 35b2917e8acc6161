"""Numbers of runs that ended too early: of a step that had not come, all that is known is that it is later."""

import math
from collections.abc import Callable, Iterable


class AtLeast(float):
    """A number that is known to be this or more."""


class AtMost(float):
    """A number that is known to be this or less."""


def quotient(over: float, under: float) -> float:
    """One number over the other; NaN where neither is known."""
    limits = isinstance(over, AtLeast), isinstance(under, AtLeast)
    kind = {(False, False): float, (True, False): AtLeast, (False, True): AtMost}.get(limits)
    return kind(over / under) if kind else math.nan


def most(values: Iterable[float], of_all: Callable[[Iterable[float]], float]) -> float:
    """The largest (`of_all` is max) or smallest of some numbers; NaN where one of them is, or where they are limits on
    both sides."""
    every = [*values]
    if any(map(math.isnan, every)):
        return math.nan
    number = of_all(every)
    outer, inner = (AtLeast, AtMost) if of_all is max else (AtMost, AtLeast)
    if any(isinstance(value, outer) for value in every):
        return math.nan if isinstance(number, inner) else outer(number)
    return number


def median(values: Iterable[float]) -> float:
    """The median of those that are known, NaN of none; a limit where limits leave it open on one side, NaN where on
    both."""
    where = {AtMost: -1, AtLeast: 1}  # among equals
    known = sorted(filter(math.isfinite, values), key=lambda value: (value, where.get(type(value), 0)))
    if not known:
        return math.nan
    upper, lower = len(known) // 2, (len(known) - 1) // 2  # the same, or the two in the middle
    rises = any(isinstance(value, AtLeast) for value in known[: upper + 1])
    falls = any(isinstance(value, AtMost) for value in known[lower:])
    kind = {(False, False): float, (True, False): AtLeast, (False, True): AtMost}.get((rises, falls))
    return kind((known[lower] + known[upper]) / 2) if kind else math.nan
