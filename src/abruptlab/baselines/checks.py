"""What the bounds and the rounding of a completion may be; without PyTorch, so that the command line can ask first."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

import numpy as np

from abruptlab.arguments import require, require_count

DECIMALS = 300  # to which numbers may be rounded, before or behind the point
PARAMETERS = ("min_value", "max_value", "rounding")


def check_bounds(
    least: Any, largest: Any, decimals: Any, names: tuple[str, str, str] = PARAMETERS
) -> tuple[float, float]:
    """The least and the largest value that may be filled in: the bounds, or, if it is rounded to so many `decimals`,
    the rounded numbers next to them that lie within. Raises `ConfigError`, with the `names`, where there is none."""
    low, high, rounding = names
    for name, bound in ((low, least), (high, largest)):
        is_number = isinstance(bound, int | float | np.number) and not isinstance(bound, bool) and not math.isnan(bound)
        require(is_number, name, "one number, for all columns", repr(bound))
    require(least <= largest, low, f"at most {high} ({largest:g})", f"{least:g}")
    if decimals is None:
        return float(least), float(largest)
    require_count(decimals, rounding, -DECIMALS, DECIMALS)
    inner = _rounded(least, decimals, ROUND_CEILING), _rounded(largest, decimals, ROUND_FLOOR)
    require(inner[0] <= inner[1], rounding, f"decimals for a number from {least:g} to {largest:g}", decimals)
    return inner


def _rounded(bound: float, decimals: int, way: str) -> float:
    """By the digits that are written, as 0.07 · 100 is more than 7."""
    if math.isinf(bound):
        return bound
    with localcontext(prec=1000):
        return float(Decimal(str(bound)).quantize(Decimal(1).scaleb(-decimals), rounding=way))
