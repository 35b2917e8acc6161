import pytest

from abruptlab.config import TrainingConfig
from abruptlab.run.drop import Drop
from abruptlab.training.schedules import ROLLING, Schedule

SCHEDULE = Schedule(TrainingConfig(steps=10_000, checkpoint_every=1000, rolling_every=100))


def test_constant_rate_is_constant() -> None:
    assert {SCHEDULE.learning_rate(step) for step in range(0, 10_000, 7)} == {1e-4}


def test_warm_up_rises_linearly_and_cosine_falls_to_zero() -> None:
    config = TrainingConfig(steps=110, warmup_steps=10, schedule="cosine", learning_rate=1.0)
    rates = [Schedule(config).learning_rate(step) for step in range(111)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert rates[110] == pytest.approx(0.0, abs=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_landmarks() -> None:
    landmarks = [step for step in range(10_001) if SCHEDULE.is_landmark(step)]
    powers = [2**k for k in range(14)]
    assert landmarks == sorted({0, *powers, *range(0, 10_001, 1000)})
    assert Schedule(TrainingConfig(steps=77, checkpoint_every=50)).is_landmark(77)


def simulate(drop_at: dict[int, Drop | None], steps: int = 10_000) -> list[int]:
    """The checkpoints left after a run whose detector says `drop_at[step]` from each of those steps on."""
    saved: list[int] = []
    drop = None
    for step in range(steps + 1):
        drop = drop_at.get(step, drop)
        if SCHEDULE.is_checkpoint(step):
            saved.append(step)
            gone = SCHEDULE.outdated(saved, drop)
            saved = [kept for kept in saved if kept not in gone]
    return saved


def test_without_a_drop_the_landmarks_and_the_rolling_window_stay() -> None:
    saved = simulate({})
    others = [step for step in saved if not SCHEDULE.is_landmark(step)]
    assert saved[-1] == 10_000
    assert len(saved[-ROLLING:]) == ROLLING
    assert all(step >= saved[-ROLLING] for step in others)


def test_around_the_drop_the_checkpoints_are_dense() -> None:
    """The detector speaks 1,000 steps after the onset, and the fall ends 500 later."""
    saved = simulate({5000: Drop(0.1, 0.05, 4000, None), 5600: Drop(0.1, 0.01, 4000, 5500)})
    assert set(range(4000, 5501, 100)) <= set(saved)
    assert [step for step in saved if 5700 < step < 6800] == [6000]


@pytest.mark.parametrize(("factor", "since", "changed"), [(2.0, 600, 600), (2.0, 0, 0), (1.0, 600, 0), (2.0, 1000, 0)])
def test_when_useful_attention_changes(factor: float, since: int, changed: int) -> None:
    schedule = Schedule(TrainingConfig(useful_attention=factor, useful_from=since))
    assert schedule.changed_at(1000) == changed
