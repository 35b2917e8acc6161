"""Curves and heads as coloured text: what fits, and that what is drawn is what was measured."""

import numpy as np
import pytest

from abruptlab.experiments.glance import Glance
from abruptlab.figures.terminal import draw_glance, draw_losses
from tests.synthetic import CONFIG, LEVEL, make_metrics

CURVES = CONFIG.objective.curves


@pytest.mark.parametrize(("width", "height"), [(80, 8), (80, 20), (200, 50)])
def test_the_curve_fits_and_falls(width: int, height: int) -> None:
    rows = draw_losses(CURVES, make_metrics(), width, height).plain.splitlines()
    assert len(rows) == height
    assert max(map(len, rows)) <= width
    assert "1,000" in rows[-1] or "2,000" in rows[-1]
    braille = [[0x2800 < ord(letter) <= 0x28FF for letter in row] for row in rows]
    highest = [next(at for at, row in enumerate(braille) if row[column]) for column in (width // 4, width - 3)]
    assert highest[0] < highest[1]  # L_mask on the plateau, L_mask after the drop


def test_the_axis_names_levels_that_are_there() -> None:
    rows = draw_losses(CURVES, make_metrics(), 80, 20).plain.splitlines()
    ticks = [float(row.partition("┤")[0]) for row in rows if "┤" in row]
    assert ticks == sorted(ticks, reverse=True)
    assert 0.1 in ticks
    assert ticks[-1] < 0.01 * LEVEL


def test_nothing_but_nan_or_zero_is_an_empty_picture() -> None:
    metrics = make_metrics(steps=3) | {name: np.array([np.nan, 0.0, np.nan]) for name in CONFIG.objective.names}
    assert len(draw_losses(CURVES, metrics, 60, 10).plain.splitlines()) == 10


def glance(layers: int, heads: int, side: int = 9) -> Glance:
    score = np.linspace(0, 1, layers * heads).reshape(layers, heads)
    label = np.full((layers, heads), "row and column", object)
    return Glance(5, "encoder", np.zeros((layers, heads, side, side)), label, score, 0.7, 1.2)


def test_all_heads_are_shown_if_they_fit() -> None:
    text = draw_glance(glance(2, 8), 80, 15).plain
    assert "16 heads" not in text
    assert [text.count(f"{layer}.{head} ") for layer in (1, 2) for head in range(1, 9)] == [1] * 16
    assert text.count("row, col.") == 16
    assert len(text.splitlines()) == 15
    assert max(map(len, text.splitlines())) <= 80


def test_the_clearest_heads_are_shown_if_not_all_fit() -> None:
    text = draw_glance(glance(4, 16), 80, 9).plain
    assert "8 of 64 heads" in text
    assert len(text.splitlines()) <= 9
    assert [f"4.{head} " in text for head in range(9, 17)] == [True] * 8


def test_the_colour_of_a_block_is_its_share() -> None:
    """Two places a letter, one above the other: dark purple is no attention, yellow all of it."""
    shown = glance(1, 1, side=3)
    shown.pictures[0, 0, 1, 2] = 1.0
    text = draw_glance(shown, 80, 20)
    blocks = [span.style for span in text.spans if text.plain[span.start : span.end] == "▀"]
    assert [(str(style.color.name), style.bgcolor and style.bgcolor.name) for style in blocks] == [  # type: ignore
        ("#440154", "#440154"), ("#440154", "#440154"), ("#440154", "#fde725"),
        ("#440154", None), ("#440154", None), ("#440154", None),
    ]  # fmt: skip
