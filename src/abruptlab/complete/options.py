"""What may be said of a method on the command line; without PyTorch, so that a mistake is told before the work."""

import math
from typing import Any

from abruptlab.baselines.checks import DECIMALS, whole
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
) -> None:
    """Raise `ConfigError`, with the name of the option, for one that the method lacks or that makes no sense.

    None is an option that is not given.
    """
    given = {option: value for option, value in options.items() if value is not None}
    for option in sorted(given.keys() - set(OPTIONS[method])):
        has = " and ".join(other for other, its in OPTIONS.items() if option in its)
        raise ConfigError(f"--{option}: method {method} has no such option, which is one of {has}")
    if "rank" in OPTIONS[method]:
        if "rank" not in given:
            raise ConfigError(f"--rank: method {method} needs one, got none; nuclear needs none")
        whole("--rank", given["rank"], 1)
    if not 0 <= given.get("penalty", 0) < math.inf:
        raise ConfigError(f"--penalty: expected a number of 0 or more, got {given['penalty']:g}")
    for flag, bound in (("--min", least), ("--max", largest)):
        if bound is not None and not math.isfinite(bound):
            raise ConfigError(f"{flag}: expected a finite number, got {bound:g}")
    if least is not None and largest is not None and least > largest:
        raise ConfigError(f"--min: expected at most --max ({largest:g}), got {least:g}")
    if decimals is not None:
        whole("--round", decimals, -DECIMALS, DECIMALS)
