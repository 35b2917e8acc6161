"""A divergence is told from noise, from spikes and from the drop, on the curves of all runs that there are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.errors import DivergedError
from abruptlab.presets import preset
from abruptlab.run.divergence import BLOCK, HELD, find_divergence
from abruptlab.run.pretrained import pretrained_run, shipped_runs
from abruptlab.training.recorder import Recorder
from abruptlab.training.state import initial_state
from tests.synthetic import make_metrics

RESULTS = Path(__file__).parents[2] / "results"
MEASURED = {
    f"{path.parent.name} {name}": values
    for path in sorted(RESULTS.glob("*/seeds.npz"))
    for name, values in np.load(path).items()
    if name.endswith("loss_observed")
} | {name: pretrained_run(name).metrics["loss_observed"] for name in shipped_runs()}


def learnt(steps: int = 6000) -> np.ndarray:
    """Copying by step 100, then noise around 1/500 of what it began with."""
    return make_metrics(steps)["loss_observed"]


@pytest.mark.parametrize("name", MEASURED)
def test_no_run_that_was_measured_has_diverged(name: str) -> None:
    assert find_divergence(MEASURED[name]) is None


@pytest.mark.parametrize("name", MEASURED)
def test_every_one_of_them_that_forgets_has(name: str) -> None:
    """The curve until then, and from then on what it began with: found 500 steps later, and not before."""
    begun = 2 * len(MEASURED[name]) // 3 if "gpt" not in name else 1150
    forgotten = np.concatenate([MEASURED[name][:begun], np.resize(MEASURED[name][:25], 2000)])
    if begun == 1150:
        forgotten[:1150] /= 3  # as it would be some hundreds of steps later
    known = [count for count in range(begun, len(forgotten), BLOCK) if find_divergence(forgotten[:count]) is not None]
    assert begun + 450 < known[0] <= begun + BLOCK * (HELD + 2)
    since = find_divergence(forgotten)
    assert since is not None
    assert abs(since - begun) <= BLOCK


def test_the_divergence_that_was_known_beforehand() -> None:
    step = np.arange(10_130)
    curve = np.where(step < 500, 0.2, 5e-5) * np.random.default_rng(0).gamma(10, 0.1, len(step))
    curve[9430:] = np.where(step[9430:] < 9480, np.geomspace(5e-5, 0.1, len(step))[9430:], 0.1)
    assert find_divergence(curve) == pytest.approx(9430, abs=BLOCK)


@pytest.mark.parametrize("length", [3, 30, 300, 450])
@pytest.mark.parametrize("factor", [1e2, 1e4, 1e6])
def test_what_passes_is_no_divergence(length: int, factor: float) -> None:
    curve = learnt()
    for begin in (1000, 2000, 3000):
        curve[begin : begin + length] *= factor
    assert find_divergence(curve) is None


def test_what_stays_is_one_whatever_its_noise() -> None:
    curve = learnt()
    curve[3000:] *= 300 * np.random.default_rng(1).gamma(2, 0.5, 3000)
    assert find_divergence(curve) == 3000


@pytest.mark.parametrize("rise", [3.0, 30.0, 80.0])
def test_a_lesser_rise_is_none(rise: float) -> None:
    curve = learnt()
    curve[3000:] *= rise
    assert find_divergence(curve) is None


def test_before_copying_is_learnt_there_is_nothing_to_forget() -> None:
    noise = np.random.default_rng(2).gamma(4, 0.25, 5000)
    assert find_divergence(0.1 * noise) is None
    assert find_divergence(np.where(np.arange(5000) < 2500, 0.1, 8.0) * noise) is None  # not: it never had learnt
    assert find_divergence(np.full(5000, np.nan)) is None
    assert find_divergence(np.empty(0)) is None


def addition() -> np.ndarray:
    """A recorded run of addition, with spikes of up to 200 steps at hundreds of times its lowest level."""
    text = (RESULTS / "loss-plateau/tasks/dcd9dc9b3b81/metrics.jsonl").read_text()
    return np.array([json.loads(row)["loss_answer"] for row in text.splitlines()])


@pytest.mark.parametrize("begin", [3250, 4000, 4750, 5250, 5500])
def test_what_starts_from_trained_weights_is_judged_by_what_has_learnt_nothing(begin: int) -> None:
    curve, level = addition(), preset("addition").objective.untrained
    assert find_divergence(curve) is None
    assert find_divergence(curve[begin:], level) is None
    assert find_divergence(curve[begin:]) is not None  # taken for a run from fresh weights
    forgotten = np.concatenate([curve[begin:], np.full(1000, level)])
    assert find_divergence(forgotten, level) == pytest.approx(len(curve) - begin, abs=BLOCK)


@pytest.mark.parametrize("begin", [2, 60, 700])
def test_a_run_that_explodes_has_diverged_whatever_it_has_learnt(begin: int) -> None:
    curve = 0.1 * np.random.default_rng(2).gamma(4, 0.25, 1000)
    curve[begin:] *= 1e16
    since = find_divergence(curve)
    assert since == pytest.approx(begin, abs=BLOCK)
    assert find_divergence(np.concatenate([[np.nan], curve])) == since  # a first step without an observed entry
    known = [count for count in range(1000) if find_divergence(curve[:count]) is not None]
    assert known[0] <= begin + 3 * BLOCK


def test_steps_without_observed_entries_are_no_harm() -> None:
    curve = learnt()
    curve[3000:] *= 300
    curve[::3] = np.nan
    assert find_divergence(curve) == 3000


def train_on(curve: np.ndarray, folder: Path, made: list[int], *, resume: bool) -> None:
    """A run with that L_obs, saved every 100 steps; the steps that it came to are in `made`."""
    config = preset("smoke")
    state = initial_state(config)
    with Recorder(config, folder, resume=resume, made_with={}) as recorder:
        recorder.restore(state, print)
        for step in range(state.step, len(curve)):
            made.append(step)
            state.step = step
            if step % 100 == 0:
                recorder.save(state)
            recorder.keep(step, torch.tensor([curve[step], curve[step], 0.1, 0.1]), 1e-3)


def test_a_run_ends_with_an_error_that_names_the_last_good_checkpoint(tmp_path: Path) -> None:
    curve = learnt(3000)
    curve[1530:] *= 300
    said = (
        r"^L_obs has risen more than 100-fold, from 0.0001\d* to 0.06\d*, at about step 1550, and stayed there; "
        "the last good checkpoint is that of step 1500$"
    )
    for resume, first in ((False, 0), (True, 2000)):  # taken up again, it does not go on and on
        made: list[int] = []
        with pytest.raises(DivergedError, match=said):
            train_on(curve, tmp_path / "run", made, resume=resume)
        assert made == list(range(first, 2101))
