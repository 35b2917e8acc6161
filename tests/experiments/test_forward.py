"""Held-out matrices, predictions in parts, and means with error bars."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.errors import ConfigError
from abruptlab.experiments import forward
from abruptlab.experiments.estimate import losses, pooled
from abruptlab.experiments.forward import predict, recorded
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.result import stack, unstack
from tests.handmade import CONFIG, copier, handmade_run
from tests.synthetic import make_metrics, make_run


def test_a_mean_over_places_and_its_error_over_matrices() -> None:
    random = np.random.default_rng(0)
    shift = torch.from_numpy(random.normal(size=(2000, 400, 1)))  # shared by the places of a matrix
    values = shift + torch.from_numpy(random.normal(size=(2000, 400, 6)))
    chosen = torch.from_numpy(random.random((400, 6)) < 0.5)
    estimate = pooled(values, chosen)
    expected = (values * chosen).sum((-2, -1)) / chosen.sum()
    np.testing.assert_allclose(estimate.mean, expected)
    assert estimate.error.mean() == pytest.approx(estimate.mean.std(), rel=0.1)


def test_nothing_chosen_is_no_number() -> None:
    assert np.isnan(pooled(torch.ones(3, 2), torch.zeros(3, 2, dtype=torch.bool)).mean)
    assert np.isnan(pooled(torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool)).error)


def test_parts_do_not_change_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = handmade_run(tmp_path, {0: copier()})
    batch = held_out(run, 50)
    whole = predict(copier(), batch.tokens)
    monkeypatch.setattr(forward, "PART", 7)
    assert predict(copier(), batch.tokens).shape == (50, 12)
    np.testing.assert_allclose(predict(copier(), batch.tokens), whole, atol=1e-5)
    assert predict(copier(), batch.tokens[:0]).shape == (0, 12)
    recordings = list(recorded(copier(), batch.tokens, ["embed"]))
    assert [where.start for where, _ in recordings] == list(range(0, 50, 7))
    assert sum(len(activations["embed"]) for _, activations in recordings) == 50


def test_held_out_matrices_depend_on_the_seed_alone(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {0: copier()})
    assert torch.equal(held_out(run, 8).values, held_out(run, 8).values)
    assert not torch.equal(held_out(run, 8).values, held_out(run, 8, seed=1).values)
    fixed = held_out(run, 8, mask="fixed", hidden_rows=(1,))
    assert fixed.observed.unflatten(-1, (3, 4)).all(0).all(-1).tolist() == [True, False, True]


def test_of_several_sizes_the_largest_is_held_out(tmp_path: Path) -> None:
    config = replace(CONFIG, task=replace(CONFIG.matrices, sizes=((2, 2), (3, 4), (3, 3))))
    run = make_run(tmp_path, make_metrics(), (), config)
    assert held_out(run, 2).size == (3, 4)
    assert held_out(run, 2, rank=3, limit=9.0).size == (3, 4)  # which the smallest could not have


def test_a_size_that_is_asked_for_is_the_one_given(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {0: copier()})
    batch = held_out(run, 5, sizes=((2, 6),))
    assert batch.size == (2, 6)
    assert batch.tokens.shape == batch.values.shape == batch.observed.shape == (5, 12)
    assert held_out(run, 5, sizes=((2, 2), (5, 2))).size == (5, 2)
    with pytest.raises(ConfigError, match="sizes: expected one or more pairs of positive numbers"):
        held_out(run, 5, sizes=())


def test_losses_of_a_copier(tmp_path: Path) -> None:
    batch = held_out(handmade_run(tmp_path, {0: copier()}), 4000)
    measured = losses(predict(copier(), batch.tokens), batch)
    level = CONFIG.matrices.copying_level
    assert abs(measured["loss_masked"].mean - level) < 4 * measured["loss_masked"].error < 0.1 * level
    assert measured["loss_observed"].mean < 1e-6
    both = stack([measured, measured])
    np.testing.assert_array_equal(both["loss"].mean, [measured["loss"].mean] * 2)
    assert unstack(both)[1] == measured
