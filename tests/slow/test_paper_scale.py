"""A run of the plan that is longer than one call of the script."""

from pathlib import Path

from abruptlab.run.run import Run
from tests.scripts.test_paper_scale import paper_scale


def test_a_run_stopped_by_the_limit_goes_on_in_the_next_call(tmp_path: Path) -> None:
    plan = "- [ ] long: reproduce smoke --steps 1000000 --rolling-every 500 --checkpoint-every 100000\n"
    plan += "- [ ] next: reproduce smoke\n"
    made = []
    for _ in range(2):
        said = paper_scale(tmp_path, plan, LIMIT="40", RESERVE="15")
        assert "== long was stopped by the limit" in said
        made.append(len(Run(tmp_path / "runs" / "long").metrics["step"]))
        assert (tmp_path / "out" / "long.tar.gz").exists()
    assert 0 < made[0] < made[1]
