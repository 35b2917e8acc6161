from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.errors import CheckpointError, RunError
from abruptlab.experiments.examples import PERCENTILES, before_and_after, measure_examples, measure_gallery
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.level import hidden_level, loss_of_zero
from abruptlab.experiments.losses import measure_curves, measure_loss_curves, smooth
from abruptlab.experiments.overview import measure_overview
from abruptlab.task.matrices import stream
from abruptlab.task.vocabulary import MASK, Vocabulary
from tests.handmade import averager, copier, handmade_run
from tests.synthetic import CONFIG, LEVEL, ONSET, STEPS, make_metrics, make_run


def test_loss_curves_are_the_run_s_metrics(tmp_path: Path) -> None:
    metrics = make_metrics()
    curves = measure_loss_curves(make_run(tmp_path, metrics, checkpoints=()))
    np.testing.assert_array_equal(curves.loss_masked, metrics["loss_masked"])
    np.testing.assert_array_equal(curves.smooth_observed, smooth(metrics["loss_observed"]))
    assert curves.copying_level == LEVEL
    assert curves.loss_of_zero == 0.3 * LEVEL
    assert curves.drop is not None
    assert curves.drop.onset == pytest.approx(ONSET, rel=0.1)


def test_fixed_masks_have_no_probability(tmp_path: Path) -> None:
    task = replace(CONFIG.matrices, mask="fixed", hidden_rows=(1,))
    assert loss_of_zero(make_run(tmp_path, make_metrics(), (), replace(CONFIG, task=task))) is None


@pytest.mark.parametrize("changes", [{"mask": "coherence", "coherence_fraction": 1.0}, {"decimals": 0}])
def test_predicting_zero_is_as_wrong_as_the_hidden_entries_are_large(changes: dict, tmp_path: Path) -> None:
    """Where no formula has it, in every figure that draws it and every measure that asks for half of it."""
    run = make_run(tmp_path, make_metrics(), (), replace(CONFIG, task=replace(CONFIG.matrices, **changes)))
    batch = held_out(run, 4096, seed=7)
    level = float(batch.values[~batch.observed].square().mean())
    assert abs(level / LEVEL - 1) > 0.2
    curves = measure_loss_curves(run)
    assert curves.copying_level == pytest.approx(level, rel=0.05)
    assert curves.loss_of_zero == pytest.approx(0.3 * level, rel=0.05)
    assert measure_curves(run).level == pytest.approx(level, rel=0.05)
    assert hidden_level(run) == pytest.approx(level, rel=0.05)


def test_a_run_without_steps_or_checkpoints_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, {name: values[:0] for name, values in make_metrics().items()}, checkpoints=())
    with pytest.raises(RunError, match="has no metrics yet"):
        measure_loss_curves(run)
    with pytest.raises(CheckpointError, match="has no checkpoint yet"):
        measure_examples(run)


def test_smoothing_is_a_running_mean_that_keeps_the_first_steps_apart() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=2000)
    smoothed = smooth(values)
    assert smoothed[0] == values[0]
    assert smoothed[1000] == pytest.approx(values[995:1006].mean())
    assert smoothed[8] == pytest.approx(values[6:11].mean())
    assert smoothed[-1] == pytest.approx(values[-6:].mean())


def test_smoothing_leaves_out_what_is_not_there() -> None:
    values = np.ones(2000)
    values[500] = np.nan
    values[1000:1100] = np.nan
    smoothed = smooth(values)
    assert smoothed[500] == 1
    assert np.isnan(smoothed[1050])


def test_the_example_is_held_out_and_the_typical_one(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics())
    example = measure_examples(run)
    assert example.steps.tolist() == [1000, STEPS]
    np.testing.assert_array_equal(example.tokens == MASK, ~example.observed)
    known = Vocabulary.of(CONFIG.matrices).decode(torch.from_numpy(example.tokens))[torch.from_numpy(example.observed)]
    np.testing.assert_array_equal(known, example.truth[example.observed])
    with torch.no_grad():
        again = run.load(STEPS)(torch.from_numpy(example.tokens).reshape(1, -1))
    np.testing.assert_allclose(again.reshape(4, 4), example.predictions[-1], rtol=1e-5, atol=1e-6)
    for batch in islice(stream(CONFIG.matrices, 256, CONFIG.seed), 64):
        assert not (batch.values == torch.from_numpy(example.truth).flatten()).all(-1).any()


def test_the_example_is_the_same_every_time(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics())
    first, second = measure_examples(run), measure_examples(run)
    np.testing.assert_array_equal(first.predictions, second.predictions)


def test_before_and_after_without_a_drop_are_the_first_and_the_last(tmp_path: Path) -> None:
    assert before_and_after(make_run(tmp_path, make_metrics(onset=9000, end=9500))) == [0, STEPS]


def test_a_step_without_a_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there are: 0, 1000, 4000"):
        measure_examples(make_run(tmp_path, make_metrics()), [17])


def test_the_overview_shows_the_last_checkpoint(tmp_path: Path) -> None:
    overview = measure_overview(make_run(tmp_path, make_metrics()))
    assert overview.example.steps.tolist() == [STEPS]
    assert len(overview.curves.step) == STEPS


def test_a_gallery_goes_from_easy_to_hard_matrices(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {0: copier(), STEPS: averager("row")})
    gallery = measure_gallery(run)
    assert gallery.step.tolist() == [0, STEPS]
    own, shared = gallery.observed
    assert (shared == own[PERCENTILES.index(50)]).all()
    assert not (own == shared).all()
    squared = ((gallery.predictions[-1, 0] - gallery.truth) ** 2 * ~own).sum((-2, -1)) / (~own).sum((-2, -1))
    assert (np.diff(squared) > 0).all()
    copied = gallery.predictions[0]
    np.testing.assert_allclose(copied, np.where(gallery.observed, gallery.truth, 0), atol=1e-3)
    mean = np.where(shared, gallery.truth, 0).mean(-1, keepdims=True)
    np.testing.assert_allclose(gallery.predictions[1, 1], np.broadcast_to(mean, gallery.truth.shape), atol=1e-3)
