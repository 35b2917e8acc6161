"""Losses over the steps as a small SVG, for a notebook: drawn in a millisecond, once a second beside a training."""

import math
from collections.abc import Mapping, Sequence

WIDTH, HEIGHT, LEFT, FOOT = 640, 200, 50, 20  # pixels
COLOURS = ("currentColor", "#0072B2", "#D55E00", "#009E73", "#CC79A7")  # Okabe and Ito's; black, or white on black
MOST_POINTS = 400


def curve(steps: Sequence[int], losses: Mapping[str, Sequence[float]], last: int) -> str:
    """Each loss by its name, on a logarithmic axis, over the steps from 0 to `last`; of many points, means of some."""
    kept = [math.log10(value) for values in losses.values() for value in values if value > 0]
    low, high = (math.floor(min(kept)), math.ceil(max(kept))) if kept else (-1, 0)
    high = max(high, low + 1)

    def across(step: float) -> float:
        return LEFT + (WIDTH - LEFT) * step / max(1, last)

    def down(value: float) -> float:
        return (HEIGHT - FOOT) * (high - math.log10(value)) / (high - low) + 5

    parts = [
        f'<line x1="{LEFT}" x2="{WIDTH}" y1="{down(10.0**decade):.0f}" y2="{down(10.0**decade):.0f}" stroke="#8884"/>'
        f'<text x="{LEFT - 5}" y="{down(10.0**decade) + 4:.0f}" text-anchor="end">{10.0**decade:g}</text>'
        for decade in range(low, high + 1)
    ]
    for index, ((name, values), colour) in enumerate(zip(losses.items(), COLOURS, strict=False)):
        points = _thinned([(step, value) for step, value in zip(steps, values, strict=True) if value > 0])
        path = " ".join(f"{across(step):.1f},{down(value):.1f}" for step, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{LEFT + 10 + 90 * index}" y="{HEIGHT + 8}" fill="{colour}">{name}</text>')
    parts.append(f'<text x="{WIDTH}" y="{HEIGHT + 8}" text-anchor="end">step {last:,}</text>')
    style = "font: 11px sans-serif; max-width: 100%"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT + 14}" viewBox="0 0 {WIDTH} {HEIGHT + 14}" fill="currentColor" '
        f'style="{style}">{"".join(parts)}</svg>'
    )


def _thinned(points: list[tuple[int, float]]) -> list[tuple[float, float]]:
    size = math.ceil(len(points) / MOST_POINTS) or 1
    groups = [points[first : first + size] for first in range(0, len(points), size)]
    return [tuple(sum(column) / len(group) for column in zip(*group, strict=True)) for group in groups]  # type: ignore
