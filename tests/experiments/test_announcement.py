"""Rules that announce a drop, on made-up measures for which it is known when they must speak, and on runs."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abruptlab.errors import RunError
from abruptlab.experiments.announcement import (
    STEP,
    WINDOW,
    Announcement,
    Series,
    fixed_rule,
    lead_of,
    measure_announcement,
    series_of,
)
from abruptlab.figures.announcement import draw_announcement
from abruptlab.paper import CLAIMS, Findings, judge
from abruptlab.run.run import Run
from abruptlab.sweep.file import Sweep
from tests.known import Known
from tests.plateaus import SMALL, make_folder
from tests.synthetic import make_metrics, make_run


def series(onset: int, warning: int, noise: int = 0) -> Series:
    """A measure that rises from 1 to 2 some steps before the onset, one that falls, and noise that knows nothing."""
    step = np.arange(10.0, onset + 10, 10)
    rising = 1 + (step >= onset - warning)
    random = np.random.default_rng(noise).normal(size=len(step))
    return Series(onset, {STEP: step, "rising": rising, "falling": -rising, "noise": random})


SOME = [series(onset, onset // 5, onset) for onset in (300, 500, 700, 900, 1100)]


@pytest.mark.parametrize(("name", "rises"), [("rising", True), ("falling", False)])
def test_the_rule_is_the_one_that_announces(name: str, rises: bool) -> None:
    rule = fixed_rule(SOME, name, 30.0)
    assert rule[0] is rises
    leads = [lead_of(each, name, *rule, 30.0) for each in SOME]
    assert leads == pytest.approx([0.2 - 10 / each.onset for each in SOME], abs=0.015)  # the second of two in a row


def test_a_rule_that_speaks_too_early_is_no_announcement() -> None:
    assert lead_of(series(1000, 900), "rising", True, 1.5, 30.0) > WINDOW


def test_a_rule_that_speaks_too_late_or_never_has_no_lead() -> None:
    assert math.isnan(lead_of(series(1000, 10), "rising", True, 1.5, 30.0))
    assert math.isnan(lead_of(series(1000, 200), "rising", True, 2.5, 30.0))


def test_it_is_blind_at_first() -> None:
    assert math.isnan(lead_of(series(100, 90), "rising", True, 1.5, 200.0))


def test_it_waits_for_two_in_a_row() -> None:
    values = np.array([0.0, 1, 0, 0, 1, 1, 0])
    each = Series(70, {STEP: np.arange(10.0, 80, 10), "x": values})
    assert lead_of(each, "x", True, 1.0, 0.0) == pytest.approx(1 - 60 / 70)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Six runs of window-sums whose checkpoints are all alike and whose onsets lie far apart."""
    folder = tmp_path_factory.mktemp("announce")
    (folder / "base.toml").write_text(replace(SMALL, name="announce-sums").to_toml())
    (folder / "sweep.toml").write_text('name = "announce-sums"\nbase = "base.toml"\nseeds = [1, 2, 3, 4, 5, 6]\n')
    sweep = Sweep(folder)
    for point in sweep.points:
        run = make_folder(folder / point.key, point.config, 150 + 100 * point.config.seed)
        for step in range(50, 1000, 50):
            _copy(run, step)
    return sweep


def _copy(run: Run, step: int) -> None:
    """The last checkpoint once more, as that of another step."""
    from abruptlab.run.checkpoints import load_checkpoint, save_checkpoint

    save_checkpoint(run.checkpoints, step, load_checkpoint(run.checkpoints, run.config.training.steps), {}, {})


def test_a_sweep(sweep: Sweep) -> None:
    findings = Findings(sweep, matrices=8)
    found = findings.of(measure_announcement)
    assert found.seed.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.fixing.tolist() == [True, False] * 3
    assert found.onset == pytest.approx([260, 360, 460, 560, 660, 760], abs=10)
    assert found.planned == 6
    assert found.without == 0
    frozen = list(found.measures).index("collapse")
    assert not (
        found.in_time[frozen] & (found.onset > 400)
    ).any()  # the same at every step: it speaks at once, or never
    assert found.measures[found.best] != STEP
    assert len(draw_announcement(found).axes[0].get_yticklabels()) == len(found.measures)
    [verdict] = judge(findings, {"announce-sums": CLAIMS["announce-sums"]})
    assert verdict.numbers == (pytest.approx(found.over_calendar(found.lead), abs=1e-3),)


def announcement(lead: list | np.ndarray, onset: int | np.ndarray = 100) -> Announcement:
    """Of a measure that rises and of the step, with these leads; every other run is one that the rules are fixed on."""
    lead = np.array(lead, dtype=float)
    runs = lead.shape[1]
    return Announcement(
        measures=np.array(["rising", STEP]),
        rises=np.array([True, True]),
        threshold=np.array([1.0, 60.0]),
        seed=np.arange(runs),
        fixing=np.array([True, False] * (runs // 2)),
        onset=np.broadcast_to(onset, runs),
        lead=lead,
        planned=runs,
        without=0,
    )


def test_a_rule_is_held_against_a_calendar_and_another_run_s_word() -> None:
    onset, calendar = np.array([100, 200, 100, 300, 100, 400]), [0.1, 0.9, 0.1, 0.4, 0.1, math.nan]
    found = announcement([[0.2] * 6, calendar], onset)  # it speaks at steps 160, 240 and 320
    assert found.over_calendar(found.lead) == pytest.approx(1 - 1 / 3)
    others = found.of_others[0, ~found.fixing]
    assert others[1] < 0 or math.isnan(others[1])
    np.testing.assert_allclose(others, [math.nan, math.nan, 0.6], atol=1e-9)
    assert found.over_calendar(found.of_others) == pytest.approx(-1 / 3)
    with pytest.raises(RunError, match="the sweep has no measure 'attention'; there are: "):
        found.over_calendar(found.lead, "attention")
    assert found.by_calendar == pytest.approx(1 / 3)


@pytest.mark.parametrize("calendar", range(9))
def test_two_of_ten_more_are_two_of_ten_more(calendar: int) -> None:
    """Whichever two, and whatever the last bit of a difference of shares is."""
    lead = np.full((2, 20), math.nan)
    lead[0, : 2 * (calendar + 2)] = lead[1, : 2 * calendar] = 0.2
    found = announcement(lead)
    assert found.over_calendar(found.lead) == 0.2


def test_where_a_calendar_is_in_time_no_rule_can_be_more_so(tmp_path: Path) -> None:
    alike = announcement(np.full((2, 4), 0.4))
    found = Known(make_run(tmp_path, make_metrics(), ()), {measure_announcement: alike})
    with pytest.raises(RunError, match="a calendar announces 100% of these drops in time"):
        CLAIMS["announce-rates"].measure(found)


def test_a_gradient_s_norm_is_that_of_the_steps_before(sweep: Sweep) -> None:
    run = Run(sweep.folder / sweep.points[0].key)
    steps = np.arange(0, 1000, 10)
    run.__dict__["norms"] = {"step": steps, "grad_norm/mlp": steps * 1.0, "weight_norm/mlp": steps * 1.0}
    found = series_of(run, 8).values
    assert "weight, mlp" not in found
    last = np.searchsorted(steps, found[STEP]) - 1
    np.testing.assert_allclose(found["gradient, mlp"], [steps[max(0, at - 4) : at + 1].mean() for at in last])


def test_each_variant_has_runs_in_both_halves(tmp_path: Path) -> None:
    """Of two, by turns, all runs of one would fix the rules and all of the other try them."""
    (tmp_path / "base.toml").write_text(replace(SMALL, name="two").to_toml())
    rates = '[[variants]]\nlabel = "slow"\ntraining.learning_rate = 7e-5\n[[variants]]\nlabel = "fast"\n'
    (tmp_path / "sweep.toml").write_text(f'name = "two"\nbase = "base.toml"\nseeds = [1, 2, 3, 4]\n{rates}')
    two = Sweep(tmp_path)
    for point in two.points:
        run = make_folder(tmp_path / point.key, point.config, 150 + 100 * point.config.seed)
        for step in (50, 100):
            _copy(run, step)
    found = measure_announcement(two, 8)
    assert found.seed.tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert found.fixing.tolist() == [True, True, False, False] * 2


def test_what_it_needs(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text(replace(SMALL, name="x").to_toml())
    (tmp_path / "sweep.toml").write_text('name = "x"\nbase = "base.toml"\nseeds = [1, 2]\n')
    with pytest.raises(RunError, match="two of each half of a variant's seeds, found 0 and 0"):
        measure_announcement(Sweep(tmp_path))
    flat = make_folder(tmp_path / "flat", onset=5000)
    with pytest.raises(RunError, match="no drop"):
        series_of(flat)
