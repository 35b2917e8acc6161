"""The script for the paper's scale, exercised on the CPU with a small plan."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

from abruptlab.run.run import Run

SCRIPT = Path(__file__).parents[2] / "scripts" / "paper_scale.sh"


def paper_scale(folder: Path, plan: str, **variables: str) -> str:
    (folder / "PLAN.md").write_text(plan)
    settings = {
        "OUT": str(folder / "out"),
        "RUNS": str(folder / "runs"),
        "PLAN": str(folder / "PLAN.md"),
        "DEVICE": "cpu",
        "PYTHON": sys.executable,
        "SKIP": "tests benchmark",
    }
    done = subprocess.run(
        ["bash", str(SCRIPT)], env=os.environ | settings | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_plan_is_run_and_packed(tmp_path: Path) -> None:
    todo = "- [ ] small: train smoke --seed 3 (1 min)\n- [ ] wrong: train nonsense\n"
    plan = f"# Plan\n- [x] old: train paper\n{todo}"
    said = paper_scale(tmp_path, plan)
    assert "== small is done" in said
    assert "== wrong FAILED with status 1; going on" in said
    assert "== the plan is done" in said
    with tarfile.open(tmp_path / "out" / "small.tar.gz") as archive:
        names = archive.getnames()
    assert {"small/config.toml", "small/metrics.jsonl", "small/claims.json", "small/report.html"} <= set(names)
    assert not any("safetensors" in name for name in names)
    assert not (tmp_path / "out" / "old.tar.gz").exists()
    (tmp_path / "unpacked").mkdir()
    with tarfile.open(tmp_path / "out" / "small.tar.gz") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert Run(tmp_path / "unpacked" / "small").finished  # without its weights
    assert not list((tmp_path / "out").glob("small-weights*"))  # smoke has no drop


def test_a_sweep_that_cannot_be_judged_is_drawn_and_packed_all_the_same(tmp_path: Path) -> None:
    said = paper_scale(tmp_path, "- [ ] depth: sweep smoke --only depth\n")
    assert "== depth FAILED with status 1; going on" in said  # nothing is claimed of the sweep smoke
    with tarfile.open(tmp_path / "out" / "smoke.tar.gz") as archive:
        names = archive.getnames()
    assert {"smoke/sweep.toml", "smoke/figures/figure_sweep.png"} <= set(names)
    assert sum(name.endswith("metrics.jsonl") for name in names) == 4
    assert not any("safetensors" in name for name in names)


def test_a_run_stopped_by_the_limit_goes_on_in_the_next_call(tmp_path: Path) -> None:
    plan = "- [ ] long: train smoke --steps 1000000 --rolling-every 500 --checkpoint-every 100000\n"
    plan += "- [ ] next: train smoke\n"
    made = []
    for _ in range(2):
        said = paper_scale(tmp_path, plan, LIMIT="40", RESERVE="15")
        assert "== long was stopped by the limit" in said
        made.append(len(Run(tmp_path / "runs" / "long").metrics["step"]))
        assert (tmp_path / "out" / "long.tar.gz").exists()
    assert 0 < made[0] < made[1]
