import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abruptlab.errors import RunError
from abruptlab.paper import CLAIMS as ALL_CLAIMS
from abruptlab.paper import Bound, Findings, Verdict, judge, write_claims
from abruptlab.paper.training import CLAIMS
from abruptlab.run.run import Run
from tests.synthetic import LEVEL, STEPS, make_metrics, make_run

Metrics = dict[str, np.ndarray]


def verdicts(folder: Path, metrics: Metrics) -> dict[str, Verdict]:
    return judged(make_run(folder, metrics, checkpoints=()))


def judged(run: Run) -> dict[str, Verdict]:
    """The verdicts on the claims about training."""
    return {verdict.id: verdict for verdict in judge(Findings(run), CLAIMS)}


def changed(name: str, change: Any) -> Metrics:
    metrics = make_metrics()
    return metrics | {name: change(metrics[name], metrics["step"])}


def test_every_claim_holds_on_the_paper_s_curve(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, make_metrics())
    assert list(judged) == list(CLAIMS)
    assert all(verdict.holds for verdict in judged.values()), judged
    assert judged["zero-level"].measured == pytest.approx(1, abs=0.01)
    assert judged["completion"].measured == pytest.approx(0.05, abs=0.005)
    assert judged["zero-predictions"].measured == 0.02
    assert judged["predictions-appear"].measured == 0.72
    assert judged["same-training"].measured == 1


@pytest.mark.parametrize(
    ("claim", "metrics"),
    [
        ("drop", make_metrics(onset=800, end=2200, steps=7000)),
        ("same-training", changed("learning_rate", lambda rate, step: np.where(step > 1600, rate / 2, rate))),
        ("copying", changed("loss_observed", lambda loss, step: loss + 0.02 * LEVEL)),
        ("zero-level", changed("loss_masked", lambda loss, step: 1.1 * loss)),
        ("zero-predictions", changed("mean_abs_masked", lambda size, step: size + 0.15 * LEVEL**0.5)),
        ("plateau-loss", changed("loss", lambda loss, step: 0.9 * loss)),
        ("observed-first", make_metrics(copied=1000)),
        ("observed-first", make_metrics(copied=9999)),
        ("masked-waits", changed("loss_masked", lambda loss, step: np.where(abs(step - 760) < 50, 0.8 * loss, loss))),
        ("completion", make_metrics(final=0.3)),
        ("predictions-appear", changed("mean_abs_masked", lambda size, step: np.minimum(size, 0.3 * LEVEL**0.5))),
    ],
)
def test_a_curve_that_breaks_a_claim_fails_it(tmp_path: Path, claim: str, metrics: Metrics) -> None:
    verdict = verdicts(tmp_path, metrics)[claim]
    assert verdict.holds is False
    assert verdict.measured is not None
    assert verdict.measured not in CLAIMS[claim].bound


def test_without_a_drop_the_drop_fails_and_nothing_else_is_judged(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, make_metrics(onset=9000, end=9500))
    assert judged.pop("drop").holds is False
    assert {verdict.holds for verdict in judged.values()} == {None}


def test_a_drop_under_way_leaves_open_what_comes_after_it(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, make_metrics(steps=1900))
    assert [name for name, verdict in judged.items() if verdict.holds is None] == [
        "drop",
        "completion",
        "predictions-appear",
    ]


def test_a_finished_run_that_still_falls_is_judged_by_where_it_got(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(onset=2500, end=4050), checkpoints=(STEPS,))
    assert run.drop is not None
    assert run.drop.end is None
    judgement = judged(run)
    assert judgement["drop"].holds is None
    assert judgement["completion"].holds is True
    assert judgement["completion"].measured == pytest.approx(0.142, abs=0.02)  # halfway through the last 200 steps


def test_steps_without_hidden_entries_do_not_count(tmp_path: Path) -> None:
    metrics = changed("loss_masked", lambda loss, step: np.where(step % 10 == 0, np.nan, loss))
    assert all(verdict.holds for verdict in verdicts(tmp_path, metrics).values())


def test_bounds_say_what_they_are() -> None:
    bounds = (Bound(high=0.5), Bound(low=0.9), Bound(0.95, 1.05), Bound(1.0, 1.0))
    assert [str(bound) for bound in bounds] == ["at most 0.5", "at least 0.9", "0.95 to 1.05", "exactly 1"]
    assert 1.0 in Bound(1.0, 1.0)
    assert float("nan") not in Bound()


def test_verdicts_are_written_as_json(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(), checkpoints=())
    path, verdicts = write_claims(Findings(run))
    written = json.loads(path.read_text())
    assert [Verdict(**verdict) for verdict in written] == verdicts == judge(Findings(run))
    assert [verdict["id"] for verdict in written] == [name for name, claim in ALL_CLAIMS.items() if not claim.sweep]
    (tmp_path / "claims.json").unlink()
    (tmp_path / "claims.json").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*claims\.json"):
        write_claims(Findings(run))
