"""The script for the paper's scale, exercised on the CPU with a small plan."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "paper_scale.sh"


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
    said = paper_scale(tmp_path, "# Plan\n- [x] old: paper\n- [ ] small: smoke --seed 3\n- [ ] wrong: nonsense\n")
    assert "== small is done" in said
    assert "== wrong FAILED with status 1; going on" in said
    assert "== the plan is done" in said
    with tarfile.open(tmp_path / "out" / "small.tar.gz") as archive:
        names = archive.getnames()
    assert {"small/config.toml", "small/metrics.jsonl", "small/claims.json", "small/report.html"} <= set(names)
    assert not any("checkpoints" in name for name in names)
    assert not (tmp_path / "out" / "old.tar.gz").exists()
