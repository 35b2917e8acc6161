"""Arrays as what a page can hold: rounded numbers for JSON, or bytes packed into text."""

import base64
import math
import zlib
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

DIGITS = 4  # significant ones: a picture shows no more


def rounded(values: Shaped[np.ndarray, "*shape"]) -> Any:
    """Numbers as nested lists, to DIGITS digits; what is not finite is None."""
    return _rounded(values.tolist())


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(part) for part in value]
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def packed_maps(maps: Float[np.ndarray, "*shape"], signed: bool = False) -> dict[str, Any]:
    """Attention as one byte each, compressed and in base64: shares from 0 to 1, or linear attention, of either sign.

    A byte b stands for scale · s·|s| with s = (b − zero) / (255 − zero), where shares have zero 0 and scale 1: the
    small ones, which are most, keep a resolution of about a twentieth of themselves.
    """
    zero, scale = (128, float(np.abs(maps).max()) or 1.0) if signed else (0, 1.0)
    parts = (maps / scale).clip(-1 if signed else 0, 1)
    levels = zero + (255 - zero) * np.sign(parts) * np.sqrt(np.abs(parts))
    content = zlib.compress(levels.round().astype(np.uint8).tobytes(), 9)
    return {"shape": list(maps.shape), "bytes": in_base64(content), "zero": zero, "scale": scale}


def in_base64(content: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(content).decode()
