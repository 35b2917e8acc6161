"""What a parameter may be; without PyTorch, so that the command line can ask before the work."""

from typing import Any

import numpy as np

from abruptlab.errors import ConfigError

DECIMALS = 300  # to which numbers may be rounded, before or behind the point


def whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Raise `ConfigError` if `value` is no whole number from `least` to `most`."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ConfigError(f"{name}: expected a whole number {bounds}, got {value!r}")
