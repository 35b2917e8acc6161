"""When the losses of variants fall: made-up ones, for which that is known."""

import numpy as np
import pytest

from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.falls import measure_falls
from abruptlab.figures.plateau import draw_falls
from abruptlab.sweep.file import Sweep
from tests.falls import STEPS, make_sweep


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    return make_sweep(tmp_path_factory.mktemp("s"), "s", {"f": {"base": 800, "soon": 200, "never": 5000, "none": None}})


def test_half_of_the_loss_is_gone(sweep: Sweep) -> None:
    falls = measure_falls(sweep, "f")
    assert falls.labels.tolist() == ["base", "soon", "never", "none"]
    assert falls.by_seed("halved", "base") == pytest.approx({1: 860, 2: 870}, abs=1)
    assert falls.by_seed("halved", "soon") == pytest.approx({1: 260, 2: 270}, abs=1)
    assert falls.by_seed("halved", "never") == {1: STEPS - 1, 2: STEPS - 1}  # the last step
    assert falls.by_seed("halved", "none") == {}
    assert falls.planned.tolist() == [2, 2, 2, 2]
    assert np.nanmax(falls.ratio) == pytest.approx(1)
    assert np.isinf(falls.halved[2]).all()
    with pytest.raises(ConfigError, match="no family 'g'"):
        measure_falls(sweep, "g")
    with pytest.raises(RunError, match="the sweep has no runs 'other'"):
        falls.by_seed("halved", "other")


def test_it_is_drawn(sweep: Sweep) -> None:
    curves, firsts = draw_falls(measure_falls(sweep, "f")).axes
    assert [label.get_text() for label in firsts.get_yticklabels()] == ["base", "soon", "never", "none\n0 of 2 seeds"]
    dots = [line for line in firsts.lines if line.get_marker() == "o"]
    at = sorted(float(np.asarray(line.get_xdata())[0]) for line in dots)
    assert at == pytest.approx([260, 270, 860, 870, STEPS - 1, STEPS - 1], abs=1)
    assert "trivial" in curves.get_ylabel()
