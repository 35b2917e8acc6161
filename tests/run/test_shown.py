"""How a run is shown, and the curve of its losses."""

import math
import re
from pathlib import Path

from abruptlab.run.curve import HEIGHT, LEFT, MOST_POINTS, WIDTH, curve
from abruptlab.run.pretrained import pretrained_run
from abruptlab.run.run import Run
from tests.synthetic import CONFIG, make_metrics, make_run


def points(svg: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())]
        for line in re.findall(r'points="(.*?)"', svg)
    ]


def test_a_run_says_where_it_is_and_how_far() -> None:
    run = pretrained_run("laptop")
    assert repr(run) == f"Run('{run.folder}': laptop, seed 1, 10000 of 10000 steps, drop 4048 to 4996)"
    html = run._repr_html_()
    assert "5×5 matrices of rank 1" in html
    assert "onset 4000" in html
    assert [len(line) for line in points(html)] == [400, 400, 400]


def test_a_run_that_is_damaged_is_shown_all_the_same(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(steps=9), (0,), CONFIG)
    (tmp_path / "metrics.jsonl").write_text("nonsense\n")
    assert "metrics.jsonl is damaged" in repr(Run(run.folder))
    assert "metrics.jsonl is damaged" in Run(run.folder)._repr_html_()


def test_the_curve_is_logarithmic_and_leaves_out_what_has_no_logarithm() -> None:
    svg = curve([0, 50, 60, 100], {"L": [1.0, math.nan, 0.0, 0.01]}, 100)
    [[first, last]] = points(svg)
    assert first == (LEFT, 5.0)
    assert last == (WIDTH, HEIGHT - 20 + 5.0)
    assert re.findall(r">([^<]+)</text>", svg) == ["0.01", "0.1", "1", "L", "step 100"]
    [many] = points(curve(list(range(10_000)), {"L": [0.1] * 10_000}, 10_000))
    assert len(many) == MOST_POINTS
    assert points(curve([], {"L": []}, 10)) == [[]]
