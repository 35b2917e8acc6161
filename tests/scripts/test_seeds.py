"""Seeds side by side, with and without a drop."""

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.seeds import main
from tests.handmade_gpt import CONFIG, make_gpt_metrics
from tests.synthetic import make_run


@pytest.mark.parametrize(("onset", "dropped"), [(None, False), (1000, True)])
def test_seeds_are_drawn_whether_they_drop_or_not(tmp_path: Path, onset: int | None, dropped: bool) -> None:
    metrics = make_gpt_metrics(onset=onset or 9000, end=(onset or 9000) + 200)
    (tmp_path / "run").mkdir()
    main(tmp_path / "out", [make_run(tmp_path / "run", metrics, (), CONFIG)])
    [row] = json.loads((tmp_path / "out" / "seeds_table.json").read_text())
    assert (row["onset"] is not None) is dropped
    assert (tmp_path / "out" / "seeds.png").stat().st_size > 10_000
    with np.load(tmp_path / "out" / "seeds.npz") as data:
        np.testing.assert_array_equal(data["seed0.loss_observed"], metrics["loss_observed"].astype(np.float32))
