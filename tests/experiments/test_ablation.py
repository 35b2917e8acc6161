"""Ablation of heads whose work is known."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.container import ErrorbarContainer
from torch import Tensor

from abruptlab.errors import ConfigError, SiteError
from abruptlab.experiments import ablation, forward
from abruptlab.experiments.ablation import (
    REPLACEMENTS,
    GreedyAblation,
    all_heads,
    constant_maps,
    measure_ablation,
    measure_greedy_ablation,
    measure_other_damage,
    measure_single_ablations,
)
from abruptlab.experiments.ablation_groups import measure_group_ablation
from abruptlab.experiments.estimate import losses
from abruptlab.experiments.forward import predict
from abruptlab.experiments.held_out import held_out
from abruptlab.figures.ablation import draw_greedy_ablation, draw_group_ablation, draw_single_ablations
from abruptlab.model.encoder import Encoder
from abruptlab.paper import CLAIMS, Findings, judge
from abruptlab.run.run import Run
from abruptlab.task.matrices import Batch
from tests.handmade import FREE, ROW, SEEN, VALUE, attend, carry, channel, copier, handmade_run, prefer, read_out
from tests.known import held, holds, number
from tests.synthetic import LEVEL, STEPS, make_metrics

CLAIMED = (
    "ablation-raises",
    "ablation-raises-by-mean",
    "ablation-by-position",
    "ablation-spares-copying",
    "ablation-restores",
    "ablation-before",
)


def averaging(where: str) -> Encoder:
    """A model whose output is the mean value at the places that head (1, 2) attends to."""
    model = copier()
    attend(model, 1, 2, where)
    carry(model, 1, 2, VALUE, FREE[0])
    read_out(model, FREE[0])
    return model


@torch.no_grad()
def guarded(first: float = 0.2, second: float = 0.3) -> Encoder:
    """A copier from which `first` and `second` are taken, and given back by the heads (0, 2) and (1, 0)."""
    model = copier()
    carry(model, 0, 2, ROW[0], FREE[0], 3 * first)  # a third of the places are in row 0
    carry(model, 1, 0, ROW[0], FREE[0], 3 * second)
    model.readout.weight[0] += channel(FREE[0]) / 2
    model.readout.bias[0] = -first - second
    return model


@torch.no_grad()
def gated() -> Encoder:
    """A copier as long as head (1, 0) attends to the query's place."""
    model = copier()
    attend(model, 1, 0, "place")
    carry(model, 1, 0, SEEN, FREE[0])
    model.readout.weight[0] += (channel(FREE[0]) - channel(SEEN)) / 2
    return model


def scaled(plateau: float) -> dict[str, np.ndarray]:
    metrics = make_metrics()
    return metrics | {"loss_masked": metrics["loss_masked"] * plateau / LEVEL}


def test_other_damage_is_what_it_says(tmp_path: Path) -> None:
    """The next head, the first of the layer, attends to all places alike; the MLP adds a half to every prediction."""
    model = averaging("row")
    with torch.no_grad():
        model.get_parameter("blocks.1.mlp.output.bias").copy_(0.5 * channel(FREE[0]))
    run = handmade_run(tmp_path, {750: model, STEPS: model})
    damage = measure_other_damage(run, (1, 2), matrices=64)
    uniform = measure_ablation(run, [(1, 2)], "uniform", matrices=64)
    for name in ("loss_masked", "loss_observed"):
        assert damage["intact"][name].mean == pytest.approx(uniform.intact[name].mean)
        assert damage["next map"][name].mean == pytest.approx(uniform.ablated[name].mean, rel=1e-4)
    without = handmade_run(tmp_path, dict.fromkeys((750, STEPS), averaging("row")))
    expected = measure_other_damage(without, (1, 2), matrices=64)["intact"]
    assert damage["no MLP"]["loss_observed"].mean == pytest.approx(expected["loss_observed"].mean, rel=1e-3)
    assert damage["intact"]["loss_observed"].mean > expected["loss_observed"].mean + 0.1
    with pytest.raises(SiteError, match=r"no head \(2, 0\)"):
        measure_other_damage(run, (2, 0))


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "SEARCHED", 32)


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return held_out(handmade_run(tmp_path, {STEPS: copier()}), 40)


def seen_values(batch: Batch) -> Tensor:
    return torch.where(batch.observed, batch.values, 0.0)


def test_each_replacement_does_what_its_name_says(batch: Batch) -> None:
    model = averaging("row")
    rows = seen_values(batch).unflatten(1, (3, 4)).mean(-1).repeat_interleave(4, dim=1)
    everywhere = seen_values(batch).mean(1, keepdim=True).expand(-1, 12)
    for replacement, expected in zip(REPLACEMENTS, (everywhere, rows, torch.zeros_like(rows)), strict=True):
        ablated = predict(model, batch.tokens, constant_maps(model, [(1, 2)], replacement))
        torch.testing.assert_close(ablated, expected, atol=1e-4, rtol=0)
        others = predict(model, batch.tokens, constant_maps(model, [(0, 2), (1, 0), (1, 1)], replacement))
        torch.testing.assert_close(others, rows, atol=1e-4, rtol=0)


def test_the_mean_map_is_over_the_matrices_of_a_pass(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    model = averaging("seen")
    attention = batch.observed / batch.observed.sum(1, keepdim=True)  # of any query
    for part in (forward.PART, 10):
        monkeypatch.setattr(forward, "PART", part)
        maps = torch.cat([each.mean(0).expand(len(each), -1) for each in attention.split(part)])
        expected = (seen_values(batch) * maps).sum(1, keepdim=True).expand(-1, 12)
        ablated = predict(model, batch.tokens, constant_maps(model, [(1, 2)], "mean"))
        torch.testing.assert_close(ablated, expected, atol=1e-4, rtol=0)
    assert not torch.allclose(predict(model, batch.tokens), expected, atol=0.01)


def test_the_mean_map_is_taken_inside_the_ablated_pass(batch: Batch) -> None:
    """A head of layer 2 looks for what one of layer 1 has written, which it writes otherwise by its mean map."""
    model = copier()
    attend(model, 0, 0, "row")
    prefer(model, 0, 0, SEEN)
    carry(model, 0, 0, SEEN, FREE[1])
    attend(model, 1, 2, "column")
    prefer(model, 1, 2, FREE[1])
    carry(model, 1, 2, VALUE, FREE[0])
    read_out(model, FREE[0])
    lower, site = constant_maps(model, [(0, 0)], "mean"), "blocks.1.attn.pattern"
    maps: dict[str, Tensor] = {}

    def note(name: str, pattern: Tensor) -> Tensor:
        maps[name] = pattern[:, 2].mean(0)
        return pattern

    predict(model, batch.tokens, {site: partial(note, "intact")})
    predict(model, batch.tokens, lower | {site: partial(note, "ablated")})
    assert (maps["intact"] - maps["ablated"]).abs().max() > 0.05

    def put(name: str, pattern: Tensor) -> Tensor:
        pattern = pattern.clone()
        pattern[:, 2] = maps[name]
        return pattern

    both = predict(model, batch.tokens, constant_maps(model, [(0, 0), (1, 2)], "mean"))
    torch.testing.assert_close(both, predict(model, batch.tokens, lower | {site: partial(put, "ablated")}))
    assert not torch.allclose(both, predict(model, batch.tokens, lower | {site: partial(put, "intact")}), atol=0.01)


def test_without_its_only_head_a_model_predicts_zero(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: averaging("row")})
    found, batch = measure_ablation(run, [(1, 2)], "zero", matrices=64, seed=1), held_out(run, 64, seed=1)
    zero = losses(torch.zeros_like(batch.values), batch)
    np.testing.assert_allclose(found.ablated["loss_masked"].mean, zero["loss_masked"].mean, rtol=1e-4)
    np.testing.assert_allclose(found.ablated["loss"].mean, zero["loss"].mean, rtol=1e-4)
    np.testing.assert_allclose(
        found.difference["loss"].mean, found.ablated["loss"].mean - found.intact["loss"].mean, atol=1e-9
    )
    assert found.heads.tolist() == [[1, 2]]
    assert (found.step, found.replacement) == (STEPS, "zero")
    every = measure_ablation(run, None, "zero", matrices=64, seed=1)
    assert every.heads.tolist() == [list(head) for head in all_heads(copier())]
    np.testing.assert_array_equal(every.ablated["loss"].mean, found.ablated["loss"].mean)


def test_pairs_make_the_error_of_a_difference_small(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: guarded(0.02, 0.0)})
    found = measure_ablation(run, [(0, 2)], "zero", matrices=200)
    assert found.difference["loss_observed"].mean == pytest.approx(0.02**2, rel=0.01)
    assert found.difference["loss_observed"].error < 1e-6 < found.intact["loss_masked"].error


def test_the_head_that_matters_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = handmade_run(tmp_path, {STEPS: averaging("row")})
    single = measure_single_ablations(run, matrices=50)
    assert single.plateau == pytest.approx(LEVEL, rel=0.05)
    assert single.ablated["loss_masked"].mean.shape == (3, 2, 3)
    changed = np.argwhere(np.abs(single.difference["loss_observed"].mean) > 1e-4)
    assert changed.tolist() == [[0, 1, 2], [2, 1, 2]]  # the mean of a constant map is that map
    for at, replacement in enumerate(REPLACEMENTS):
        one = measure_ablation(run, [(1, 2)], replacement, matrices=50)
        np.testing.assert_allclose(one.ablated["loss"].mean, single.ablated["loss"].mean[at, 1, 2], rtol=1e-5)
    monkeypatch.setattr(forward, "PART", 7)
    again = measure_single_ablations(run, matrices=50)
    np.testing.assert_allclose(again.ablated["loss"].mean, single.ablated["loss"].mean, rtol=1e-4)


def greedy(folder: Path, plateau: float) -> GreedyAblation:
    run = handmade_run(folder, {STEPS: guarded()}, scaled(plateau))
    return measure_greedy_ablation(run, "zero", matrices=64)


def test_the_two_heads_that_are_needed_are_found(tmp_path: Path) -> None:
    found = greedy(tmp_path, LEVEL + 0.4**2)
    assert found.harmful.heads.tolist() == [[1, 0], [0, 2]]
    assert found.fewest == 2
    observed = found.harmful.difference["loss_observed"].mean
    np.testing.assert_allclose(observed, [0, 0.3**2, 0.5**2], atol=1e-3)
    assert found.harmless.heads[-1].tolist() == [0, 2]
    assert sorted(found.harmless.heads[:-1].tolist()) == [[0, 0], [0, 1], [1, 1], [1, 2]]
    assert found.most == 4
    np.testing.assert_allclose(found.harmless.difference["loss_observed"].mean, [0, 0, 0, 0, 0, 0.2**2], atol=1e-3)


def test_greedy_sets_depend_on_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = handmade_run(tmp_path, {STEPS: guarded()}, scaled(LEVEL + 0.4**2))
    curves = []
    for part, seed in ((256, 0), (50, 0), (256, 1)):
        monkeypatch.setattr(forward, "PART", part)
        curves.append(measure_greedy_ablation(run, "zero", matrices=64, seed=seed).harmful.ablated["loss"].mean)
    np.testing.assert_allclose(curves[1], curves[0], rtol=1e-4)
    assert not np.allclose(curves[2], curves[0], rtol=1e-4)


def test_a_level_at_hand_takes_no_head_and_one_out_of_reach_has_no_set(tmp_path: Path) -> None:
    found = greedy(tmp_path, 10 * LEVEL)
    assert len(found.harmful.heads) == 6
    assert found.fewest is None
    without_drop = make_metrics(onset=9000, end=9500)
    (tmp_path / "none").mkdir()
    run = handmade_run(tmp_path / "none", {STEPS: copier()}, without_drop)
    found = measure_greedy_ablation(run, matrices=512)
    assert found.plateau == LEVEL
    assert found.harmful.heads.shape == (0, 2)
    assert (found.fewest, found.most) == (0, 6)


def test_what_does_not_exist_is_named_with_what_does(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    with pytest.raises(SiteError, match=r"no head \(2, 0\): .* layers 0 to 1 with heads 0 to 2"):
        measure_ablation(run, [(0, 0), (2, 0)], matrices=2)
    with pytest.raises(SiteError, match=r"no head \(0, 3\)"):
        measure_ablation(run, [(0, 3)], matrices=2)
    with pytest.raises(ConfigError, match="no replacement 'median'; there are: uniform, mean, zero"):
        measure_ablation(run, None, "median", matrices=2)


def judged(run: Run) -> dict[str, bool | None]:
    return held(CLAIMED, Findings(run, matrices=128))


def test_groups_of_heads_are_ablated_together_and_compared_with_others(tmp_path: Path) -> None:
    """Two heads look along the row and carry half of the answer each; one that looks at all places does nothing."""
    model = copier()
    for layer in (0, 1):
        attend(model, layer, 0, "row")
        carry(model, layer, 0, SEEN, FREE[0], 0.5)
        attend(model, layer, 1, "column")
    model.readout.weight[0].data += channel(FREE[0]) / 2
    run = handmade_run(tmp_path, {750: copier(), STEPS: model})
    found = measure_group_ablation(run, matrices=64)
    assert found.groups == ("row heads", "column heads", "row and column heads")
    assert found.heads.sum((1, 2)).tolist() == [2, 2, 4]
    rows, columns = (
        predict(model, held_out(run, 64).tokens, constant_maps(model, heads, "uniform"))
        for heads in ([(0, 0), (1, 0)], [(0, 1), (1, 1)])
    )
    batch = held_out(run, 64)
    for at, predictions in enumerate((rows, columns)):
        np.testing.assert_allclose(
            found.ablated["loss_masked"].mean[0, at], losses(predictions, batch)["loss_masked"].mean, rtol=1e-5
        )
    np.testing.assert_allclose(
        found.ablated["loss"].mean[:, 1], found.intact["loss"].mean, rtol=1e-5
    )  # they carry nothing
    assert found.random_masked.shape == (2, 3, 16)
    assert np.isfinite(found.random_masked[:, :2]).all()
    assert np.isnan(found.random_masked[:, 2]).all()  # four of six: there are not as many others
    [of_both] = judge(Findings(run), {"both": CLAIMS["ablation-of-row-and-column-heads-mean"]})
    assert of_both.notes == ("expected row and column heads, and more heads beside them, got 4 and 2",)
    before = measure_group_ablation(run, "before-drop", matrices=64)
    assert not before.heads.any()
    assert np.isnan(before.random_masked).all()
    [alone] = judge(Findings(run).on("plateau"), {"row": CLAIMS["ablation-of-row-heads-uniform"]})
    assert alone.numbers == (None,)
    labels = [text.get_text() for text in draw_group_ablation(found).axes[0].get_xticklabels()]
    assert labels == ["row heads\n(2)", "column heads\n(2)", "row and\ncolumn heads\n(4)"]


def test_the_claims_hold_and_fail(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    gains = handmade_run(tmp_path / "a", {750: copier(), STEPS: gated()})
    loses = handmade_run(tmp_path / "b", {750: gated(), STEPS: copier()}, scaled(2 * LEVEL))
    # `gated` needs its head for copying as well, and all that it needs of it is to look at its own place
    raises, by_mean, by_position, spares, restores, before = judged(gains).values()
    assert (raises, by_mean, by_position, spares, restores, before) == (True, False, True, False, False, True)
    raises, by_mean, by_position, spares, restores, before = judged(loses).values()
    assert (raises, by_mean, by_position, spares, before) == (False, False, None, None, False)
    assert restores is not True


@pytest.mark.parametrize(("share", "held"), [(0.5, False), (1.0, True), (2.0, False)])
def test_restored_is_back_at_the_plateau_and_not_elsewhere(tmp_path: Path, share: float, held: bool) -> None:
    """`gated` without its head predicts what the head gives elsewhere; the plateau lies at 1/share of that rise."""
    run = handmade_run(tmp_path, {STEPS: gated()})
    batch = held_out(run, 128)
    intact, ablated = (
        float(losses(each, batch)["loss_masked"].mean)
        for each in (
            predict(gated(), batch.tokens),
            predict(gated(), batch.tokens, constant_maps(gated(), [(1, 0)], "uniform")),
        )
    )
    assert ablated > 1.5 * intact
    (tmp_path / "run").mkdir()
    run = handmade_run(tmp_path / "run", {STEPS: gated()}, scaled(intact + (ablated - intact) / share))
    found = Findings(run, matrices=128)
    assert number("ablation-restores", found) == pytest.approx(share, rel=0.05)
    assert holds("ablation-restores", found) is held


def test_the_figures_draw_what_was_measured(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: gated()})
    single = measure_single_ablations(run, matrices=64)
    figure = draw_single_ablations(single)
    masked, observed = figure.axes[1], figure.axes[3]
    assert masked.get_title() == "Layer 2"
    for axes, estimate in ((masked, single.ablated["loss_masked"]), (observed, single.ablated["loss_observed"])):
        drawn = {bars.get_label(): bars for bars in axes.containers if isinstance(bars, ErrorbarContainer)}
        for at, name in enumerate(REPLACEMENTS):
            np.testing.assert_array_equal(drawn[name].lines[0].get_ydata(), estimate.mean[at, 1])
    found = greedy(tmp_path, LEVEL + 0.4**2)
    left, right = draw_greedy_ablation(found).axes
    assert [label.get_text() for label in left.get_xticklabels()] == ["none", "2.1", "1.3"]
    assert right.get_xticklabels()[-1].get_text() == "1.3"
    np.testing.assert_array_equal(left.containers[0].lines[0].get_ydata(), found.harmful.ablated["loss_masked"].mean)  # pyright: ignore
    loss = found.harmless.ablated["loss"].mean
    np.testing.assert_array_equal(right.containers[0].lines[0].get_ydata(), loss / loss[0])  # pyright: ignore
