"""Seeds side by side, with and without a drop."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abruptlab.errors import RunError
from abruptlab.paper import Findings, read_verdicts, together
from abruptlab.paper.judge import write_claims
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


def test_verdicts_on_all_seeds_are_put_together(tmp_path: Path) -> None:
    runs = []
    for seed in (0, 1):
        (folder := tmp_path / f"seed{seed}").mkdir()
        runs.append(make_run(folder, make_gpt_metrics(onset=1000, end=1200), (), replace(CONFIG, seed=seed)))
        write_claims(Findings(runs[-1]))
    main(tmp_path / "out", runs)
    verdicts = read_verdicts(tmp_path / "out")
    assert verdicts == together([read_verdicts(run.folder) for run in runs])
    assert any(verdict.seeds == (0, 1) and verdict.judged for verdict in verdicts)


def test_a_run_is_not_taken_for_the_folder_to_write_to_nor_one_seed_for_two(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_gpt_metrics(onset=1000, end=1200), (), CONFIG)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RunError, match="is a run"):
        main(tmp_path, [run])
    with pytest.raises(RunError, match="the runs have the seeds 0, 0"):
        main(tmp_path / "out", [run, run])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
