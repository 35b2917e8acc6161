"""A mixture of sizes whose curves are made up, size by size."""

from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.mixture import measure_mixture, order_of, steps_of_sizes
from abruptlab.figures.variants import draw_mixture
from abruptlab.paper import Findings, judge, make_figure
from abruptlab.paper.variant_claims import CLAIMS
from abruptlab.run.run import Run
from abruptlab.sweep.file import Point
from abruptlab.task.matrices import BLOCK, size_choices, stream
from tests.synthetic import STEPS, make_metrics, make_sweep

TEXT = """
name = "variants"
base = "base.toml"
seeds = [0, 1, 2]
[[variants]]
family = "mixture"
label = "all"
task.sizes = [[2, 2], [3, 3], [4, 4]]
"""
ONSETS = (2500, 1000, 1700)


def choices(point: Point) -> np.ndarray:
    blocks = [size_choices(point.config.matrices, point.config.seed, block) for block in range(STEPS // BLOCK + 1)]
    return torch.cat(blocks).numpy()[:STEPS]


def mixed(onsets: tuple[int, ...], point: Point) -> dict[str, np.ndarray]:
    """Each step has the losses of its size, which drops at its own onset."""
    parts = [make_metrics(onset=onset, end=onset + 500, final=0.1 * (at + 1)) for at, onset in enumerate(onsets)]
    return {name: np.choose(choices(point), [part[name] for part in parts]) for name in parts[0]}


def test_the_steps_of_a_size_are_those_whose_matrices_have_it(tmp_path: Path) -> None:
    [(point, run)] = _runs(tmp_path, (1000, 1000, 1000))[:1]
    sizes = point.config.matrices.sizes
    drawn = [
        next_size.size
        for next_size, _ in zip(stream(point.config.matrices, 1, point.config.seed), range(200), strict=False)
    ]
    of_sizes = steps_of_sizes(run)
    for size, of_size in zip(sizes, of_sizes, strict=True):
        assert [step for step in of_size.step if step < 200] == [at for at, each in enumerate(drawn) if each == size]
    assert sum(len(of_size.step) for of_size in of_sizes) == STEPS


def _runs(folder: Path, onsets: tuple[int, ...]) -> list[tuple[Point, Run]]:
    sweep = make_sweep(folder, TEXT, lambda point: mixed(onsets, point))
    return list(zip(sweep.points, sweep.runs("mixture")["all"], strict=True))


def test_every_size_has_its_own_drop(tmp_path: Path) -> None:
    found = measure_mixture(make_sweep(tmp_path, TEXT, lambda point: mixed(ONSETS, point)))
    sizes = found.sizes
    assert sizes.labels.tolist() == ["2×2", "3×3", "4×4"]
    assert sizes.finished.tolist() == sizes.planned.tolist() == [3, 3, 3]
    np.testing.assert_allclose(sizes.onset.median, [onset + 60 for onset in ONSETS], atol=30)
    np.testing.assert_allclose(sizes.final_over_level.median, [0.1, 0.2, 0.3], rtol=0.05)
    assert found.order.tolist() == [[1, 2, 0]] * 3
    assert len(draw_mixture(found).axes) == 4


def test_a_size_without_a_drop_has_no_place_in_the_order() -> None:
    onset = np.array([[3000.0, np.inf], [1000.0, 500.0], [2000.0, np.inf]])
    np.testing.assert_array_equal(order_of(onset), [[1, 2, 0], [1, np.nan, np.nan]])


@pytest.mark.parametrize(
    ("onsets", "drops", "order"),
    [
        ([ONSETS] * 3, (1, 1, 1), {0: 1, 1: 1, 2: 1}),
        ([ONSETS, ONSETS, ONSETS[::-1]], (1, 1, 1), {0: 1, 1: 1, 2: 0}),
        ([ONSETS[::-1], ONSETS, ONSETS], (1, 1, 1), {0: 0, 1: 1, 2: 1}),
        # the only whole order has none to be compared with
        ([ONSETS, (2500, 1000, 9 * STEPS), (2500, 1000, 9 * STEPS)], (1, 0, 0), {1: 0, 2: 0}),
    ],
)
def test_the_claims(
    tmp_path: Path, onsets: list[tuple[int, ...]], drops: tuple[int, ...], order: dict[int, int]
) -> None:
    sweep = make_sweep(tmp_path, TEXT, lambda point: mixed(onsets[point.config.seed], point))
    ours = {name: claim for name, claim in CLAIMS.items() if name.startswith("mixture")}
    every, same = judge(Findings(sweep), ours)
    assert every.within == tuple(map(bool, drops))
    assert (same.seeds, same.within) == ((*order,), tuple(map(bool, order.values())))


def test_the_order_is_among_the_data(tmp_path: Path) -> None:
    found = Findings(make_sweep(tmp_path, TEXT, lambda point: mixed(ONSETS, point) if point.config.seed else None))
    with np.load(make_figure("16", found, "x")[2]) as saved:
        assert saved["order"].tolist() == [[1, 2, 0]] * 2
        assert saved["sizes.planned"].tolist() == [3] * 3


def test_what_is_no_mixture(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run of the family 'mixture' is finished"):
        measure_mixture(make_sweep(tmp_path, TEXT, lambda point: None))
    two = TEXT + '[[variants]]\nfamily = "mixture"\nlabel = "two"\ntask.sizes = [[2, 2], [3, 3]]\n'
    with pytest.raises(ConfigError, match="expected one variant in the family 'mixture', got all, two"):
        measure_mixture(make_sweep(tmp_path, two, lambda point: None))
