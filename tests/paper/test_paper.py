import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.limits import AtLeast, AtMost
from abruptlab.paper import (
    CLAIMS as ALL_CLAIMS,
    FIGURES,
    TABLES,
    Bound,
    Findings,
    Verdict,
    counted,
    judge,
    read_verdicts,
    write_claims,
)
from abruptlab.paper.claim import null
from abruptlab.paper.judge import require_alike
from abruptlab.paper.standins import smooth_curve
from abruptlab.paper.training import CLAIMS
from abruptlab.paper.verdict import together
from abruptlab.run.run import Run
from tests.synthetic import CONFIG, LEVEL, STEPS, make_metrics, make_run

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
    assert {verdict.said for verdict in judged.values()} == {"holds (1 seed)"}, judged
    assert judged["zero-level"].numbers[0] == pytest.approx(1, abs=0.01)
    assert judged["completion"].numbers[0] == pytest.approx(0.05, abs=0.005)
    assert judged["zero-predictions"].numbers == (0.02,)


@pytest.mark.parametrize(
    ("claim", "metrics"),
    [
        ("drop", make_metrics(onset=800, end=2200, steps=7000)),
        ("copying", changed("loss_observed", lambda loss, step: loss + 0.02 * LEVEL)),
        ("zero-level", changed("loss_masked", lambda loss, step: 1.1 * loss)),
        ("zero-predictions", changed("mean_abs_masked", lambda size, step: size + 0.15 * LEVEL**0.5)),
        ("plateau-loss", changed("loss", lambda loss, step: 0.9 * loss)),
        ("observed-first", make_metrics(copied=1000)),
        ("observed-first", make_metrics(copied=9999)),
        ("masked-waits", changed("loss_masked", lambda loss, step: np.where(step > 80, 0.8 * loss, loss))),
        ("completion", make_metrics(final=0.3)),
    ],
)
def test_a_curve_that_breaks_a_claim_fails_it(tmp_path: Path, claim: str, metrics: Metrics) -> None:
    verdict = verdicts(tmp_path, metrics)[claim]
    assert verdict.within == (False,)
    assert verdict.numbers[0] is not None
    assert verdict.numbers[0] not in CLAIMS[claim].bound


def test_without_a_drop_the_drop_fails_and_nothing_else_is_judged(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, make_metrics(onset=9000, end=9500))
    assert judged.pop("drop").outcome == "fails"
    assert {verdict.outcome for verdict in judged.values()} == {"not judged"}


def test_a_run_that_was_stopped_before_a_drop_is_not_judged(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, make_metrics(steps=1000))
    assert {(verdict.outcome, verdict.notes) for verdict in judged.values()} == {
        ("not judged", ("the run has been stopped before a drop",))
    }


@pytest.mark.parametrize("number", [None, math.nan])
def test_a_claim_without_a_number_says_what_there_is_none_of(tmp_path: Path, number: float | None) -> None:
    claim = replace(CLAIMS["completion"], measure=lambda found: number)
    [verdict] = judge(Findings(make_run(tmp_path, make_metrics())), {"completion": claim})
    assert verdict.notes == (f"the run has no such number: {claim.quantity}",)


def test_a_drop_under_way_leaves_open_what_comes_after_it(tmp_path: Path) -> None:
    judged = verdicts(tmp_path, make_metrics(steps=1900))
    assert [name for name, verdict in judged.items() if not verdict.judged] == ["drop", "completion"]


def test_a_finished_run_that_still_falls_is_judged_by_where_it_got(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(onset=2500, end=4050), checkpoints=(STEPS,))
    assert run.drop is not None
    assert run.drop.end is None
    judgement = judged(run)
    assert judgement["drop"].outcome == "not judged"
    assert judgement["completion"].outcome == "holds"
    assert judgement["completion"].numbers[0] == pytest.approx(0.142, abs=0.02)  # halfway through the last 200 steps


def test_steps_without_hidden_entries_do_not_count(tmp_path: Path) -> None:
    metrics = changed("loss_masked", lambda loss, step: np.where(step % 10 == 0, np.nan, loss))
    assert {verdict.outcome for verdict in verdicts(tmp_path, metrics).values()} == {"holds"}


def test_bounds_say_what_they_are() -> None:
    bounds = (Bound(high=0.5), Bound(low=0.9), Bound(0.95, 1.05))
    assert [str(bound) for bound in bounds] == ["at most 0.5", "at least 0.9", "0.95 to 1.05"]
    assert 0.95 in Bound(0.95, 1.05)
    assert float("nan") not in Bound()


def test_verdicts_are_written_as_json(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(), checkpoints=())
    _, verdicts = write_claims(Findings(run))
    assert read_verdicts(tmp_path) == verdicts == judge(Findings(run))
    assert [verdict.id for verdict in verdicts] == [name for name, claim in ALL_CLAIMS.items() if not claim.sweep]
    (tmp_path / "claims.json").unlink()
    (tmp_path / "claims.json").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*claims\.json"):
        write_claims(Findings(run))


def seeds(folder: Path, *curves: Metrics) -> list[Findings]:
    founds = []
    for seed, curve in enumerate(curves):
        (at := folder / str(seed)).mkdir()
        founds.append(Findings(make_run(at, curve, checkpoints=(), config=replace(CONFIG, seed=seed))))
    return founds


def test_several_seeds_are_one_verdict(tmp_path: Path) -> None:
    good, bad = make_metrics(), make_metrics(final=0.3)
    judged = {
        verdict.id: verdict for verdict in together([judge(each, CLAIMS) for each in seeds(tmp_path, good, bad, good)])
    }
    assert judged["completion"].said == "undecided (2 of 3 seeds hold)"
    assert judged["completion"].seeds == (0, 1, 2)
    assert judged["copying"].said == "holds (3 seeds)"
    assert len(judged["completion"].nulls["stopped"]) == 3
    assert judged["completion"].number == "0.0501 (0.0501 to 0.3)" or judged["completion"].number.endswith(" to 0.3)")
    (other := tmp_path / "other").mkdir()
    agreed = {verdict.id: verdict for verdict in together([judge(each, CLAIMS) for each in seeds(other, bad, bad)])}
    assert agreed["completion"].said == "fails (2 seeds)"


def test_runs_that_differ_in_more_than_the_seed_are_not_judged_together(tmp_path: Path) -> None:
    [first] = seeds(tmp_path, make_metrics())
    (other := tmp_path / "other").mkdir()
    wider = make_run(other, make_metrics(), (), replace(CONFIG, model=replace(CONFIG.model, width=32)))
    with pytest.raises(ConfigError, match=r"expected runs of one configuration but for the seed: .*other and"):
        require_alike([first, Findings(wider)])


def test_a_seed_counts_once(tmp_path: Path) -> None:
    runs = seeds(tmp_path, make_metrics(), make_metrics())
    require_alike(runs)
    with pytest.raises(ConfigError, match=r"expected runs of different seeds: .* and .* are both of seed 1"):
        require_alike([*runs, runs[1]])


def test_a_claim_whose_null_passes_is_reported_as_none(tmp_path: Path) -> None:
    found = Findings(make_run(tmp_path, make_metrics(), checkpoints=()))
    trivial = replace(CLAIMS["completion"], bound=Bound(high=2.0))
    [verdict] = judge(found, {"completion": trivial})
    assert (verdict.held, verdict.passing) == (1, ("stopped",))
    assert verdict.said == "null passes (1 seed)"
    assert counted([verdict]) == "of 1 claims judged 0 hold, 0 fail, 1 pass on their null too"
    unknown = replace(trivial, nulls=(null("nothing", lambda found: None),))
    [verdict] = judge(found, {"completion": unknown})
    assert (verdict.outcome, verdict.said) == ("holds", "holds (1 seed), no null known")  # no number, none passes
    [verdict] = judge(found, {"completion": replace(unknown, bound=Bound(low=2.0))})
    assert verdict.said == "fails (1 seed)"


@pytest.mark.parametrize(("figure", "other"), [("24", "5"), ("25", "5-columns"), ("26", "4"), ("27", "23")])
def test_full_pages_of_maps_are_those_of_a_run_of_the_paper_s_size(figure: str, other: str) -> None:
    page, of_one = FIGURES[figure], FIGURES[other]
    assert (page.measure, page.draw, page.place) == (of_one.measure, of_one.draw, f"figure {figure}")
    assert page.caption == f"As {of_one.place}, of a run of another size or depth. {of_one.caption}"


def test_a_smooth_curve_may_end_at_nothing(tmp_path: Path) -> None:
    """Losses change by one factor a step, which leads nowhere from 0 or to it; what is no loss stays."""
    losses = np.where(np.arange(STEPS) < 100, 1.0, 0.0)
    losses[50] = 0.25
    metrics = make_metrics() | {"loss_observed": losses, "loss_masked": np.zeros(STEPS)}
    run = make_run(tmp_path, metrics)
    smooth = smooth_curve(run).metrics
    np.testing.assert_allclose(smooth["loss_observed"], np.geomspace(1, 0.25, STEPS))
    np.testing.assert_array_equal(smooth["loss_masked"], 0)
    np.testing.assert_array_equal(smooth["elapsed_s"], run.metrics["elapsed_s"])


def test_a_null_that_is_a_limit_passes_where_it_must_lie_within_the_bound(tmp_path: Path) -> None:
    found = Findings(make_run(tmp_path, make_metrics(), checkpoints=()))
    outcomes = []
    for limit in (AtMost(0.1), AtMost(0.3), AtLeast(0.1), AtLeast(0.3)):
        claim = replace(CLAIMS["completion"], nulls=(null("a limit", lambda found, limit=limit: limit),))
        [verdict] = judge(found, {"completion": claim})
        outcomes.append((verdict.outcome, verdict.nulls["a limit"]))
    open_ = ("holds", (None,))
    assert outcomes == [("null passes", (0.1,)), open_, open_, ("holds", (0.3,))]


def test_every_claim_says_where_it_is_from_and_has_a_null() -> None:
    for name, claim in ALL_CLAIMS.items():
        assert claim.nulls, name
        assert claim.figures or claim.tables, name
        assert set(claim.figures) <= set(FIGURES), name
        assert set(claim.tables) <= set(TABLES), name
        assert all(FIGURES[figure].sweep == claim.sweep for figure in claim.figures), name


def test_curves_without_phases_pass_no_claim_about_phases(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(), checkpoints=())
    for verdict in judge(Findings(run), CLAIMS):
        for name, numbers in verdict.nulls.items():
            assert numbers[0] is None or numbers[0] not in CLAIMS[verdict.id].bound, (verdict.id, name)
