"""The detector against curves whose plateau, onset, end and final level are known.

Noise is a gamma factor per step: a batch's mean square is positive and skewed. Its relative size is 0.03 for the
paper's 256 matrices and 0.13 for 32 of order 5.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from jaxtyping import TypeCheckError

from abruptlab.errors import ConfigError
from abruptlab.run.drop import LEAST, SHORT_POINTS, Drop, find_drop

PLATEAU, FINAL = 0.11, 0.008


def noisy(curve: np.ndarray, size: float, seed: int) -> np.ndarray:
    """The curve times gamma noise of mean 1 and this standard deviation."""
    return curve * np.random.default_rng(seed).gamma(size**-2, size**2, len(curve))


def half_cosine(steps: np.ndarray, start: int, width: int) -> np.ndarray:
    """How much of a fall is left, when it ends after exactly `width` steps."""
    return (1 + np.cos(np.pi * np.clip((steps - start) / width, 0, 1))) / 2


def exponential(steps: np.ndarray, start: int, width: int) -> np.ndarray:
    """How much of a fall is left, when it begins at once and 90 % are over after `width` steps."""
    return 0.1 ** (np.clip(steps - start, 0, None) / width)


def copying(steps: np.ndarray, height: float, length: float) -> np.ndarray:
    """What the loss lies above (or below) the plateau at first."""
    return height * PLATEAU * np.exp(-steps / length)


def make_run(start: int = 4000, width: int = 400, noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    steps = np.arange(start + 6 * width)
    curve = FINAL + (PLATEAU - FINAL) * half_cosine(steps, start, width) + copying(steps, 0.5, 100)
    return steps, noisy(curve, noise, seed)


def found(steps: np.ndarray, losses: np.ndarray) -> Drop:
    drop = find_drop(steps, losses)
    assert drop is not None
    return drop


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("transient", [-0.3, 2.0])
@pytest.mark.parametrize("noise", [0.03, 0.13])
@pytest.mark.parametrize("relative_width", [0.02, 0.1, 0.4])
@pytest.mark.parametrize("start", [600, 4000, 14300])
@pytest.mark.parametrize("shape", [half_cosine, exponential])
def test_known_drop(shape: Callable, start: int, relative_width: float, noise: float, transient: float, seed: int):
    width = int(relative_width * start)
    steps = np.arange(start + 4 * width + start // 2)
    curve = FINAL + (PLATEAU - FINAL) * shape(steps, start, width)
    onset = np.flatnonzero(curve >= 0.9 * PLATEAU)[-1]
    end = np.flatnonzero(PLATEAU - curve >= 0.9 * (PLATEAU - FINAL))[0]

    drop = found(steps, noisy(curve + copying(steps, transient, start / 30), noise, seed))

    assert drop.onset == pytest.approx(onset, abs=15 + 0.07 * width)
    assert drop.end == pytest.approx(end, abs=15 + 0.07 * width)
    assert drop.plateau == pytest.approx(PLATEAU, rel=0.04)
    assert drop.final == pytest.approx(FINAL, rel=0.15)
    assert drop.end is not None
    assert drop.width == drop.end - drop.onset
    assert drop.depth == drop.plateau / drop.final


def test_paper_shape_with_slow_tail():
    """The fall goes on slowly for long; the drop ends with its fast part, however long the run."""
    steps = np.arange(50_000)
    corners = [0, 300, 14_300, 15_000, 16_000, 17_000, 20_000, 50_000]
    curve = np.interp(steps, corners, [0.3, 0.222, 0.222, 0.18, 0.07, 0.04, 0.02, 0.007])
    losses = noisy(curve, 0.05, 0)
    drop = found(steps, losses)
    assert drop.plateau == pytest.approx(0.222, rel=0.01)
    assert drop.onset == pytest.approx(14_300 + 700 * 0.0222 / 0.042, abs=100)
    assert drop.end == pytest.approx(17_000, abs=300)
    assert 0.01 < drop.final < 0.02
    assert found(steps[:30_000], losses[:30_000]) == drop


@pytest.mark.parametrize("seed", range(10))
def test_shoulder_belongs_to_the_fall(seed: int):
    """A run of 8 heads: 0.11, a shoulder at half of it for some 1,000 steps, then 0.03 and slowly on."""
    steps = np.arange(14_000)
    corners = [0, 200, 4250, 4750, 5250, 6000, 6500, 7250, 14_000]
    curve = np.interp(steps, corners, [0.13, 0.111, 0.111, 0.067, 0.057, 0.0545, 0.038, 0.0294, 0.025])
    drop = found(steps, noisy(curve, 0.08, seed))
    assert drop.onset == pytest.approx(4250 + 500 * 0.0111 / 0.044, abs=50)
    assert drop.end is not None
    assert 6300 < drop.end < 7000
    assert drop.final == pytest.approx(0.027, rel=0.05)


def test_first_of_two_drops():
    steps = np.arange(20_000)
    first = 0.08 * half_cosine(steps, 3000, 200)
    losses = noisy(first + 0.03 * half_cosine(steps, 12_000, 200) + 0.001, 0.1, 0)
    drop = found(steps, losses)
    assert drop.onset == pytest.approx(3070, abs=50)
    assert drop.final == pytest.approx(0.031, rel=0.03)


def test_later_instability_changes_nothing():
    steps, losses = make_run()
    risen = np.where(steps > 6000, PLATEAU, losses)
    assert find_drop(steps, risen) == find_drop(steps, losses)


def test_relapse_delays_the_end():
    steps, losses = make_run(width=1000)
    relapsed = np.where((steps > 5500) & (steps < 7000), PLATEAU, losses)
    drop = found(steps, relapsed)
    assert drop.onset == found(steps, losses).onset
    assert drop.end == pytest.approx(7000, abs=20)
    assert drop.final == pytest.approx(FINAL, rel=0.1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [half_cosine, exponential])
def test_online(shape: Callable, seed: int):
    """None, then an onset that never changes, then an end that never changes; each in time."""
    start, width = 4000, 600
    steps = np.arange(start + 6 * width)
    curve = FINAL + (PLATEAU - FINAL) * shape(steps, start, width)
    losses = noisy(curve + copying(steps, 0.5, 100), 0.1, seed)
    half = int(np.flatnonzero(curve < PLATEAU / 2)[0])
    answers = {known: find_drop(steps[:known], losses[:known]) for known in range(100, len(steps), 100)}

    last = answers[max(answers)]
    assert last is not None
    assert last.end is not None
    for known, drop in answers.items():
        if known < half:
            assert drop is None
        elif drop is None:
            assert known < half * 1.07  # three bins and a part of one
        elif drop.end is None:
            assert known < last.onset + 3 * (last.end - last.onset) * 1.1 + 0.05 * last.end
            assert (drop.plateau, drop.onset, drop.width) == (last.plateau, last.onset, None)
        else:
            assert drop == last
            assert known >= last.onset + 2.9 * (last.end - last.onset)
    assert any(drop is not None and drop.end is None for drop in answers.values())


def test_level_under_way_is_the_latest():
    steps, losses = make_run(width=2000)
    drop = found(steps[:5700], losses[:5700])
    assert drop.end is None
    assert drop.final == pytest.approx(losses[5600:5700].mean(), rel=0.2)


@pytest.mark.parametrize("keep", ["every 5", "every 25", "a random tenth", "dense, then every 20"])
@pytest.mark.parametrize("seed", range(5))
def test_thinned_metrics(keep: str, seed: int):
    steps, losses = make_run(start=8000, width=1200, seed=seed)
    kept = {
        "every 5": steps % 5 == 0,
        "every 25": steps % 25 == 0,
        "a random tenth": np.random.default_rng(seed).random(len(steps)) < 0.1,
        "dense, then every 20": (steps < 2000) | (steps % 20 == 0),
    }[keep]
    full, thin = found(steps, losses), found(steps[kept], losses[kept])
    assert thin.onset == pytest.approx(full.onset, abs=0.2 * 1200)
    assert thin.end == pytest.approx(full.end, abs=0.1 * 1200)
    assert thin.plateau == pytest.approx(full.plateau, rel=0.04)
    assert thin.final == pytest.approx(full.final, rel=0.1)


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_missing_losses_are_left_out(missing: float):
    steps, losses = make_run()
    gone = np.random.default_rng(1).random(len(steps)) < 0.3
    drop = find_drop(steps, np.where(gone, missing, losses))
    assert drop is not None
    assert drop == find_drop(steps[~gone], losses[~gone])


@given(loss_power=st.integers(-30, 30), stretch=st.integers(1, 1000), seed=st.integers(0, 20))
def test_scales(loss_power: int, stretch: int, seed: int):
    steps, losses = make_run(start=1500, width=200, seed=seed)
    drop = found(steps, losses)
    assert drop.end is not None
    scale = 2.0**loss_power  # exact in floating point, so the answers must be equal
    assert find_drop(stretch * steps, scale * losses) == Drop(
        scale * drop.plateau, scale * drop.final, stretch * drop.onset, stretch * drop.end
    )


STEPS = np.arange(4000)
WIDE = 10 ** np.linspace(1, 4, 200)  # a time scale for each seed


def spiked(seed: int) -> np.ndarray:
    """A flat curve with lone spikes up and down, some of three steps, one of them to zero."""
    losses = noisy(np.full(len(STEPS), PLATEAU), 0.1, seed)
    places = np.random.default_rng(seed).choice(len(STEPS) // 30, 12, replace=False) * 30
    for place, factor in zip(places, [0, 1e-3, 0.1, 0.1, 0.2, 0.3, 5, 10, 10, 100, 1e3, 1e6], strict=True):
        losses[place : place + 1 + seed % 3] *= factor
    return losses


def wandering(seed: int) -> np.ndarray:
    """Noise of 0.15 that forgets itself in 100 steps."""
    draws = np.random.default_rng(seed).normal(size=len(STEPS))
    memory = np.exp(-np.arange(1000) / 100)
    return PLATEAU * np.exp(0.15 * np.convolve(draws, memory)[: len(STEPS)] / np.linalg.norm(memory))


NO_DROPS: dict[str, Callable[[int], np.ndarray]] = {
    "flat": lambda seed: noisy(np.full(len(STEPS), PLATEAU), 0.02 + seed / 400, seed),
    "heavy-tailed noise": lambda seed: np.exp(np.random.default_rng(seed).normal(size=len(STEPS))),
    "exponential": lambda seed: noisy(np.exp(-STEPS / WIDE[seed]) + 1e-6, 0.1, seed),
    "exponential to a floor": lambda seed: noisy(5 * np.exp(-STEPS / WIDE[seed]) + PLATEAU, 0.1, seed),
    "power law": lambda seed: noisy((1 + STEPS / WIDE[seed]) ** -(0.3 + seed % 10 / 4), 0.1, seed),
    "straight line": lambda seed: noisy(1 - STEPS / len(STEPS), 0.1, seed),
    "parabola": lambda seed: noisy(1 - (STEPS / len(STEPS)) ** 2, 0.1, seed),
    "increase": lambda seed: noisy(1 + STEPS / WIDE[seed], 0.1, seed),
    "step up": lambda seed: noisy(np.where(19 * seed > STEPS, 0.05, 1.0), 0.1, seed),
    "shallow drop": lambda seed: noisy(np.where(3500 - 9 * seed > STEPS, 1.0, 0.6), 0.1, seed),
    "passing dip": lambda seed: noisy(np.where(abs(STEPS - 3500 + 9 * seed) < 30, 0.1, 1.0), 0.1, seed),
    "spikes": spiked,
    "wandering": wandering,
    "drop too early": lambda seed: noisy(np.where(STEPS < 55, 1.0, 0.1), 0.1, seed),
}


@pytest.mark.parametrize("kind", NO_DROPS)
def test_no_drop(kind: str):
    """None of 200 curves of each kind."""
    assert [seed for seed in range(200) if find_drop(STEPS, NO_DROPS[kind](seed))] == []


@pytest.mark.parametrize("seed", range(10))
def test_plateau_must_outlast_what_comes_before_it(seed: int):
    def after_decay(held: int) -> Drop | None:
        steps = np.arange(4000 + held + 1000)
        curve = np.interp(steps, [0, 4000, 4000 + held, 4100 + held], [1.0, 0.3, 0.3, 0.02])
        return find_drop(steps, noisy(curve, 0.1, seed))

    assert after_decay(1500) is None
    drop = after_decay(6000)
    assert drop is not None
    assert drop.plateau == pytest.approx(0.3, rel=0.03)
    assert drop.onset == pytest.approx(10_010, abs=20)


@pytest.mark.parametrize("length", [0, 1, 2, 8, 9, 50, 90])
@pytest.mark.parametrize("first", [0, 100_000])
def test_too_short(length: int, first: int):
    assert find_drop(first + np.arange(length), np.linspace(1, 0.01, length)) is None


def test_the_least_that_can_be_seen():
    losses = np.where(np.arange(LEAST) < LEAST - 3 * SHORT_POINTS - 1, PLATEAU, FINAL)
    assert found(np.arange(LEAST), losses).plateau == PLATEAU
    assert find_drop(np.arange(LEAST - 1), losses[1:]) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("before", "falling"), [(30, 1), (40, 5), (45, 3), (20, 1)])
def test_a_clear_drop_in_sixty_points(before: int, falling: int, seed: int):
    ramp = np.linspace(1, 0.1, falling + 1)[1:]
    curve = np.concatenate([np.ones(before), ramp, np.full(60 - before - falling, 0.1)])
    drop = find_drop(list(range(60)), list(noisy(curve, 0.02, seed)))
    assert drop is not None
    assert drop.plateau == pytest.approx(1, rel=0.03)
    assert drop.onset == pytest.approx(before, abs=2)


@pytest.mark.parametrize("length", [30, 60, 88])
def test_no_false_drop_in_a_short_series(length: int):
    at = np.arange(length)
    curves = [np.ones(length), np.exp(-at / (length / 3)), 1 - 0.9 * at / length, 1 / (1 + at)]
    false = [find_drop(at, noisy(curve, 0.1, seed)) for curve in curves for seed in range(100)]
    assert false == [None] * 400


@pytest.mark.parametrize("kind", [list, pd.Series])
def test_whatever_is_like_an_array_will_do(kind: Callable):
    steps, losses = make_run()
    assert find_drop(kind(steps.tolist()), kind(losses.tolist())) == found(steps, losses)
    assert find_drop([], []) is None
    with pytest.raises(ConfigError, match="steps: expected integers, got float64"):
        find_drop([0.5, 1.5], [1.0, 2.0])


def test_only_missing_losses():
    assert find_drop(STEPS, np.full(len(STEPS), np.nan)) is None


def test_zero_final_level():
    losses = np.where(STEPS < 2000, PLATEAU, 0.0)
    drop = found(STEPS, losses)
    assert (drop.onset, drop.end, drop.width, drop.depth) == (1999, 1999, 0, np.inf)


def test_rejects_misshapen_input():
    with pytest.raises((ConfigError, TypeCheckError)):  # the hook of the tests comes first
        find_drop(np.arange(5), np.ones(4))
    for steps in ([0, 1, 1], [2, 1, 0]):
        with pytest.raises(ConfigError, match="increasing"):
            find_drop(np.array(steps), np.ones(3))


def test_fast_enough_for_every_flush():
    """Loose enough for a busy machine; anything quadratic in the number of steps takes seconds."""
    steps = np.arange(50_000)
    losses = noisy(np.full(50_000, PLATEAU), 0.1, 0)
    started = time.process_time()
    for _ in range(5):
        find_drop(steps, losses)
    assert (time.process_time() - started) / 5 < 0.1


@pytest.mark.parametrize(
    ("steps", "losses"),
    [([1, 2], ["a", "b"]), ([[1], [2, 3]], [1, 2]), ([1, 2], [1j, 2]), ([1, 2], [[1], [2]])],
)
def test_what_is_no_array_of_numbers_is_one_line(steps: Any, losses: Any) -> None:
    with pytest.raises(ConfigError, match="expected"):
        find_drop(steps, losses)
