"""What may be said of a method on the command line; without PyTorch, so that a mistake is told before the work."""

import math
from typing import Any

from abruptlab.arguments import require_count
from abruptlab.baselines.checks import check_bounds
from abruptlab.errors import ConfigError

OPTIONS = {  # of each method, besides bounds and rounding; a rank must be given
    "nuclear": ("scale",),
    "regularised": ("penalty", "scale"),
    "factorisation": ("rank", "scale"),
    "means": ("scale",),
    "posterior-mean": ("rank",),
    "bert": ("run",),
}


def check_options(
    method: str, *, least: float | None, largest: float | None, decimals: int | None, **options: Any
) -> tuple[float, float]:
    """The bounds of what is filled in. None is an option that is not given.

    Raises `ConfigError`, with the name of the option, for one that the method lacks or that makes no sense.
    """
    given = {option: value for option, value in options.items() if value is not None}
    for option in sorted(given.keys() - set(OPTIONS[method])):
        has = " and ".join(other for other, its in OPTIONS.items() if option in its)
        raise ConfigError(f"--{option}: method {method} has no such option, which is one of {has}")
    if "rank" in OPTIONS[method]:
        if "rank" not in given:
            raise ConfigError(f"--rank: method {method} needs one, got none; nuclear needs none")
        require_count(given["rank"], "--rank")
    if not 0 <= given.get("penalty", 0) < math.inf:
        raise ConfigError(f"--penalty: expected a number of 0 or more, got {given['penalty']:g}")
    bounds = -math.inf if least is None else least, math.inf if largest is None else largest
    check_bounds(*bounds, decimals, ("--min", "--max", "--round"))
    return bounds
