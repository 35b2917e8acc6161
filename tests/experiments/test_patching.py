"""Patching of activations whose work is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from abruptlab.errors import SiteError
from abruptlab.experiments import forward
from abruptlab.experiments.estimate import Estimate, pooled
from abruptlab.experiments.forward import predict
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.patching import (
    LayerPatching,
    Patch,
    effect,
    measure_entry_patching,
    measure_layer_patching,
    measure_patching,
    measure_patching_maps,
    predict_patched,
    turn,
)
from abruptlab.figures.patching import draw_patching
from abruptlab.model.encoder import Encoder
from abruptlab.model.sites import record
from abruptlab.paper import CLAIMS, Findings
from abruptlab.run.run import Run
from abruptlab.task.counter import generator
from abruptlab.task.matrices import Batch, negated
from abruptlab.task.vocabulary import Vocabulary
from tests.handmade import CONFIG, FREE, VALUE, attend, carry, channel, copier, handmade_run, read_out
from tests.known import Known, holds
from tests.synthetic import STEPS


def averaging(where: str, layer: int = 1, head: int = 2) -> Encoder:
    """A model whose output is the mean value, MASK as 0, at the places that one head attends to."""
    model = copier()
    if where != "everywhere":
        attend(model, layer, head, where)
    carry(model, layer, head, VALUE, FREE[0])
    read_out(model, FREE[0])
    return model


def run_of(folder: Path, model: Encoder) -> Run:
    return handmade_run(folder, {STEPS: model})


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return held_out(run_of(tmp_path, copier()), 30)


def row_means(batch: Batch) -> Tensor:
    seen = torch.where(batch.observed, batch.values, 0.0)
    return seen.unflatten(1, (3, 4)).mean(-1).repeat_interleave(4, dim=1)


def patch(model: Encoder, batch: Batch, *patches: Patch) -> Tensor:
    ids = Vocabulary.of(CONFIG.matrices).encode(-batch.values)
    return predict_patched(model, batch.tokens, torch.where(batch.observed, ids, 0), [patches])[0]


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=0)


def test_the_opposite_matrices_have_the_same_mask(tmp_path: Path) -> None:
    run = run_of(tmp_path, copier())
    batch = held_out(run, 30)
    opposite = negated(batch, run.config.matrices)
    read = Vocabulary.of(CONFIG.matrices).decode(opposite.tokens)
    assert torch.equal(read[batch.observed], -batch.values[batch.observed])
    assert read[~batch.observed].isnan().all()
    assert torch.equal(opposite.values, -batch.values)


def test_a_head_flips_the_sign_at_the_patched_positions_alone(batch: Batch) -> None:
    model, means = averaging("row"), row_means(batch)
    close(patch(model, batch), -means)
    sign = -torch.ones(12)
    sign[[1, 6]] = 1
    close(patch(model, batch, Patch("blocks.1.attn.z", heads=[2], positions=[1, 6])), sign * means)
    close(patch(model, batch, Patch("blocks.1.attn.z", positions=[1, 6])), sign * means)
    close(patch(model, batch, Patch("blocks.1.attn.z", heads=[2])), means)
    for silent in (
        Patch("blocks.1.attn.z", heads=[0, 1]),
        Patch("blocks.0.attn.z"),
        Patch("blocks.1.attn.pattern"),
    ):
        close(patch(model, batch, silent), -means)


def test_patches_are_made_together(batch: Batch) -> None:
    two = Patch("blocks.1.attn.z", [2], [1]), Patch("blocks.1.attn.z", [2], [6])
    model = averaging("row")
    close(patch(model, batch, *two), patch(model, batch, Patch("blocks.1.attn.z", [2], [1, 6])))
    everything = Patch("blocks.1.attn.z", positions=range(4)), Patch("blocks.1.resid_post", positions=range(4, 12))
    close(patch(model, batch, *everything), row_means(batch))


def test_a_pattern_is_patched_by_head_and_query(batch: Batch) -> None:
    """Clean and corrupted differ in their masks here, and so in where the head looks."""
    model = averaging("seen")
    observed, shifted = batch.observed, batch.observed.roll(1, 0)
    tokens = torch.where(shifted, Vocabulary.of(CONFIG.matrices).encode(batch.values), 0)
    seen = torch.where(shifted, batch.values, 0.0)
    own, others = (((looks / looks.sum(1, keepdim=True)) * seen).sum(1, keepdim=True) for looks in (shifted, observed))
    patched = predict_patched(model, batch.tokens, tokens, [[Patch("blocks.1.attn.pattern", [2], [5])]])[0]
    close(patched, torch.where(torch.arange(12) == 5, others, own))


@pytest.mark.parametrize("kind", ["q", "k", "v", "scores", "pattern", "z", "result"])
def test_every_site_of_heads_is_patched_along_its_own_axes(batch: Batch, kind: str) -> None:
    model = Encoder(CONFIG.model, Vocabulary.of(CONFIG.matrices).size, batch.tokens.shape[1])
    model.initialise(generator(3, 1))
    site, head, place = f"blocks.1.attn.{kind}", 1, 5
    other = torch.where(batch.observed, Vocabulary.of(CONFIG.matrices).encode(-batch.values), 0)
    with torch.no_grad(), record(model, site) as clean:
        model(batch.tokens)
    at = (slice(None), head, place) if kind in ("scores", "pattern") else (slice(None), place, head)

    def by_hand(activation: Tensor) -> Tensor:
        activation[at] = clean[site][at]
        return activation

    expected = predict(model, other, {site: by_hand})
    close(patch(model, batch, Patch(site, heads=[head], positions=[place])), expected)
    assert (expected - predict(model, other)).abs().max() > 1e-6


def test_a_place_moves_those_that_read_it(batch: Batch) -> None:
    means, place = row_means(batch), 6  # row 1, column 2
    gained = torch.zeros(30, 12)
    gained[:, 4:8] = torch.where(batch.observed[:, [place]], batch.values[:, [place]], 0.0) / 2
    for site in ("embed", "blocks.0.resid_post"):
        close(patch(averaging("row"), batch, Patch(site, positions=[place])), gained - means)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Patch("blocks.2.attn.z"), r"no site 'blocks\.2\.attn\.z'; this model has: embed"),
        (Patch("blocks.1.attn.z", heads=[3]), r"no head 3; there are 0 to 2"),
        (Patch("blocks.1.attn.z", positions=[-1]), r"no position -1; there are 0 to 11"),
        (Patch("embed", heads=[0]), r"site embed has no heads: it is .batch, pos, width."),
    ],
)
def test_what_does_not_exist_is_named_with_what_does(tmp_path: Path, wrong: Patch, message: str) -> None:
    with pytest.raises(SiteError, match=message):
        measure_patching(run_of(tmp_path, copier()), [wrong], matrices=2)


def test_the_error_of_an_effect_is_that_of_a_mean() -> None:
    patched = torch.randn(3, 50, 6, generator=generator(0))
    chosen = torch.rand(50, 6, generator=generator(1)) < 0.5
    share, mean = effect(patched, torch.zeros(50, 6), torch.ones(50, 6), chosen), pooled(patched, chosen)
    np.testing.assert_allclose(share.mean, mean.mean)
    np.testing.assert_allclose(share.error, mean.error)
    assert np.isnan(effect(patched, patched[0], patched[0], chosen).mean).all()


def test_the_errors_to_both_matrices(tmp_path: Path) -> None:
    run = run_of(tmp_path, averaging("row"))
    batch = held_out(run, 64, seed=1)
    found = measure_patching(run, [Patch("blocks.1.attn.z", heads=[2])], matrices=64, seed=1)
    for name, places in (("loss_masked", ~batch.observed), ("loss_observed", batch.observed)):
        right, wrong = (((row_means(batch) - x)[places] ** 2).mean().item() for x in (batch.values, -batch.values))
        np.testing.assert_allclose(found.to_clean[name].mean, [wrong, right, right], rtol=1e-3)
        np.testing.assert_allclose(found.to_corrupted[name].mean, [right, wrong, wrong], rtol=1e-3)
    assert found.effect["loss_masked"].mean == pytest.approx(1, abs=1e-3)
    assert found.effect["loss_observed"].mean == pytest.approx(1, abs=1e-3)


def test_the_maps_show_the_right_layer_and_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = averaging("row", 0, 1)
    attend(model, 1, 2, "column")
    carry(model, 1, 2, VALUE, FREE[1], 3.0)
    with torch.no_grad():
        model.readout.weight[0] += channel(FREE[1]) / 2
    run = run_of(tmp_path, model)
    maps = measure_patching_maps(run, matrices=64)
    batch = held_out(run, 64)
    seen = torch.where(batch.observed, batch.values, 0.0).unflatten(1, (3, 4))
    rows, columns = row_means(batch), 3 * seen.mean(1).repeat(1, 3)
    for estimates, places in ((maps.head_masked, ~batch.observed), (maps.head_observed, batch.observed)):
        share = ((rows * (rows + columns))[places].sum() / (rows + columns)[places].square().sum()).item()
        np.testing.assert_allclose(estimates.mean, [[0, share, 0], [0, 0, 1 - share]], atol=1e-3)
    np.testing.assert_allclose(maps.layer_masked.mean, maps.head_masked.mean.sum(1), atol=1e-3)
    np.testing.assert_allclose(maps.layer_observed.mean, maps.head_observed.mean.sum(1), atol=1e-3)
    monkeypatch.setattr(forward, "PART", 25)
    again = measure_patching_maps(run, matrices=64)
    np.testing.assert_allclose(again.between.mean, maps.between.mean, atol=1e-4)
    other = measure_patching_maps(run, matrices=64, seed=1)
    assert not np.allclose(other.between.mean, maps.between.mean, atol=1e-4)


@pytest.mark.parametrize("where", ["row", "column"])
def test_the_maps_show_from_where_and_until_when(tmp_path: Path, where: str) -> None:
    maps = measure_patching_maps(run_of(tmp_path, averaging(where, layer=0)), matrices=64)
    i, j = np.divmod(np.arange(12), 4)
    line = i if where == "row" else j
    read = (line[:, None] == line) & ~np.eye(12, dtype=bool)  # a hidden entry knows nothing of itself
    np.testing.assert_array_equal(np.abs(maps.between.mean[0]) > 1e-3, read)
    np.testing.assert_allclose(maps.between.mean[0][~read], 0, atol=1e-3)
    np.testing.assert_allclose(maps.between.mean[1], np.eye(12), atol=1e-3)  # by then a place has read all it will
    assert (maps.elsewhere.mean[0] > 1e-3).all()
    np.testing.assert_allclose(maps.elsewhere.mean[1], 0, atol=1e-3)


def knower() -> Encoder:
    """Predicts a hidden entry as the mean of what is seen of its row: of matrices with equal columns, the truth."""
    model = averaging("row")
    with torch.no_grad():
        model.readout.weight[0] *= 4 / 3
        model.readout.weight[0] += 5 * channel(VALUE)  # the observed entries hardly depend on the head
    return model


def test_a_turn_is_measured_in_units_of_the_truth() -> None:
    """However large a change is: one that has nothing to do with X turns nothing."""
    random = torch.Generator().manual_seed(0)
    values = torch.randn(4000, 2, generator=random)
    batch = Batch(torch.zeros(4000, 2, dtype=torch.long), values, torch.tensor([True, False]).expand(4000, 2), (1, 2))
    away = 0.9 * -values
    for patched, expected in ((0.9 * values, 0.9), (away, 0.0), (away + 0.9 * values, 0.45)):
        assert turn(patched, away, batch, ~batch.observed).mean == pytest.approx(expected, abs=1e-6)
    noise = away + 5 * torch.randn(4000, 2, generator=random)
    assert turn(noise, away, batch, ~batch.observed).mean == pytest.approx(0, abs=0.15)


def test_a_layer_that_carries_the_prediction_turns_it_and_spares_the_observed(tmp_path: Path) -> None:
    run = run_of(tmp_path, knower())
    layers = measure_layer_patching(run, matrices=96)
    assert layers.masked.mean[0] == pytest.approx(0, abs=1e-4)
    batch, opposite = held_out(run, 96), negated(held_out(run, 96), run.config.matrices)
    predicted, reverse = predict(knower(), batch.tokens), predict(knower(), opposite.tokens)
    hidden = ~batch.observed
    expected = ((predicted - reverse) * batch.values)[hidden].sum() / (2 * batch.values[hidden].square().sum())
    assert layers.masked.mean[1] == pytest.approx(expected.item(), rel=1e-3)


def test_the_claims_are_about_the_layer_that_turns_most(tmp_path: Path) -> None:
    run = run_of(tmp_path, copier())
    stream = [0.8, 0.9]
    for masked, observed, outcome in (
        ([0.1, 0.6], [0.9, 0.03], [True, True]),
        ([0.1, 0.4], [0.0, 0.2], [False, False]),
        ([0.05, 0.01], [0.0, 0.0], [False, None]),  # what turns nothing spares nothing
    ):
        made = LayerPatching(STEPS, *(Estimate(np.array(each), np.array(each)) for each in (masked, observed, stream)))
        found = Known(run, {measure_layer_patching: made})
        assert [holds("patching-completes", found), holds("patching-spares-observed", found)] == outcome
        claim = CLAIMS["patching-spares-observed"]
        [through] = [null for null in claim.nulls if null.name == "all that leaves the layer"]
        expected = None if outcome[1] is None else pytest.approx(0.9 / max(masked))
        assert through.measure(claim, found) == expected


def test_all_that_leaves_a_layer_turns_the_observed_ones_too(tmp_path: Path) -> None:
    found = Findings(run_of(tmp_path, knower()), matrices=96)
    layers = found.of(measure_layer_patching)
    batch, opposite = held_out(found.run, 96), negated(held_out(found.run, 96), found.run.config.matrices)
    gone = predict(knower(), batch.tokens) - predict(knower(), opposite.tokens)  # all of the way from −X to X
    seen = batch.observed
    expected = (gone * batch.values)[seen].sum() / (2 * batch.values[seen].square().sum())
    np.testing.assert_allclose(layers.stream_observed.mean, expected.item(), rtol=1e-3)


def test_entries_matter_along_their_lines_or_everywhere(tmp_path: Path) -> None:
    for where, expected in (("row", True), ("everywhere", False)):
        (folder := tmp_path / where).mkdir()
        found = Findings(run_of(folder, averaging(where)), matrices=96)
        assert holds("patching-row-column", found) is expected
    one = measure_entry_patching(run_of(tmp_path, averaging("row")), matrices=32)
    maps = measure_patching_maps(run_of(tmp_path, averaging("row")), matrices=32)
    np.testing.assert_allclose(one.between.mean, maps.between.mean[0], atol=1e-6)


def test_the_figure_draws_what_was_measured(tmp_path: Path) -> None:
    maps = measure_patching_maps(run_of(tmp_path, averaging("row")), matrices=64)
    upper, lower = draw_patching(maps).subfigs
    heads, layers = upper.axes
    np.testing.assert_array_equal(heads.images[0].get_array(), maps.head_masked.mean)
    assert [text.get_text() for text in heads.texts] == ["0.00"] * 5 + ["1.00"]
    widths = [bar.get_width() for bar in layers.patches]  # pyright: ignore
    np.testing.assert_array_equal(widths, [*maps.layer_masked.mean, *maps.layer_observed.mean])
    drawn = [axes.images[0].get_array() for axes in lower.axes if axes.images and axes.images[0].get_array().ndim == 2]  # pyright: ignore
    own = maps.between.mean.diagonal(axis1=1, axis2=2)
    middle = maps.between.mean[:, :, 6]  # row 1, column 2
    expected = [*own, *maps.elsewhere.mean, *middle]
    for values, effects in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(values, effects.reshape(3, 4))  # pyright: ignore
    assert [axes.get_title() for axes in lower.axes if axes.get_title()] == ["Layer 1", "Layer 2"]
