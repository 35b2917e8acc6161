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


def packed_shares(shares: Float[np.ndarray, "*shape"]) -> dict[str, Any]:
    """Numbers from 0 to 1 as one byte each, compressed and in base64.

    A byte b stands for (b / 255)²: the small shares, which are most, keep a resolution of about a twentieth of
    themselves.
    """
    levels = np.sqrt(shares.clip(0, 1)) * 255
    content = zlib.compress(levels.round().astype(np.uint8).tobytes(), 9)
    return {"shape": list(shares.shape), "bytes": in_base64(content)}


def in_base64(content: bytes) -> str:
    """Bytes as text."""
    return base64.b64encode(content).decode()
