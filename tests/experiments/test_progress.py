"""Representation collapse and attention progress, of models in which they are set by hand."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from abruptlab.errors import CheckpointError, RunError
from abruptlab.experiments import forward
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.progress import (
    first_move,
    hidden_and_attention,
    measure_progress,
)
from abruptlab.figures.progress import draw_progress
from abruptlab.model.collapse import mean_cosine
from abruptlab.model.encoder import Encoder
from abruptlab.paper import Findings, judge
from abruptlab.paper.progress import CLAIMS, WITH
from abruptlab.run.run import Run
from abruptlab.task.matrices import Batch
from tests.handmade import COLUMNS, CONFIG, PLACE, ROWS, attend, channel, copier, handmade_run
from tests.synthetic import ONSET, STEPS, make_metrics

SAVED = (500, 800, 1000, 1200, 1400, 2000, STEPS)
PLACES = ROWS * COLUMNS
OBJECTIVE = CONFIG.objective


@torch.no_grad()
def shape_states(model: Encoder, layer: int, how: str) -> Encoder:
    """Let a layer's outputs be the `same` at all places, or `orthogonal`: one-hot in the place."""
    norm = model.get_submodule(f"blocks.{layer}.mlp_norm")
    places = torch.stack([channel(at) for at in PLACE]).abs().sum(0)
    norm.weight.copy_(norm.weight * places if how == "orthogonal" else torch.zeros_like(places))  # pyright: ignore
    norm.bias.copy_(torch.full_like(places, float(how == "same")))  # pyright: ignore
    return model


def collapsed() -> Encoder:
    return shape_states(copier(), 1, "same")


def spread() -> Encoder:
    return shape_states(copier(), 1, "orthogonal")


def attentive(model: Encoder) -> Encoder:
    attend(model, 0, 1, "column")
    attend(model, 1, 2, "row")
    return model


def story(folder: Path, collapse_ends: int, attention_starts: int) -> Run:
    """A run whose states are collapsed and whose attention is uniform until the given checkpoints."""
    models = {}
    for step in SAVED:
        model = collapsed() if step < collapse_ends else spread()
        models[step] = model if step < attention_starts else attentive(model)
    return handmade_run(folder, models)


def expected_shares(batch: Batch) -> Mapping[str, float]:
    """What attention to all of the row, all of the column, and all places is worth, counted one by one."""
    observed = batch.observed.unflatten(-1, batch.size).numpy()
    totals = {"row": 0.0, "column": 0.0, "all": 0.0}
    for seen in observed:
        for i, j in np.ndindex(ROWS, COLUMNS):
            row, column = seen[i].sum() - seen[i, j], seen[:, j].sum() - seen[i, j]
            totals["row"] += row / COLUMNS
            totals["column"] += column / ROWS
            totals["all"] += (row + column) / PLACES
    return {name: total / len(observed) / PLACES for name, total in totals.items()}


def test_the_collapse_of_hidden_and_of_observed_places_is_apart(tmp_path: Path) -> None:
    """In the copier, hidden places differ by their place alone, observed ones by their values, too."""
    run = handmade_run(tmp_path, {STEPS: collapsed()})
    for values in measure_progress(run, matrices=16).apart.values():
        np.testing.assert_allclose(values.mean, 1)
    states = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, -2.0]]])
    chosen = torch.tensor([[True, False, True, False]])
    assert mean_cosine(states, chosen).item() == pytest.approx(1)
    assert mean_cosine(states, ~chosen).item() == pytest.approx(-1)
    assert mean_cosine(states, torch.ones(1, 4, dtype=torch.bool)).item() == pytest.approx(mean_cosine(states).item())
    assert mean_cosine(states, torch.tensor([[True, False, False, False]])).isnan().all()


def test_cosines_of_known_states() -> None:
    same, orthogonal = torch.tensor([[3.0, 4.0]]).expand(5, 2), torch.diag(torch.tensor([1.0, 2.0, 3.0]))
    assert mean_cosine(same[None]).item() == pytest.approx(1)
    assert mean_cosine(orthogonal[None]).item() == pytest.approx(0)
    assert mean_cosine(torch.tensor([[[1.0, 0.0], [-2.0, 0.0]]])).item() == pytest.approx(-1)
    three = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    assert mean_cosine(three).item() == pytest.approx(1 / 3)


def test_each_head_is_worth_what_it_attends_to(tmp_path: Path) -> None:
    batch = held_out(handmade_run(tmp_path, {STEPS: copier()}), 64)
    _, attention = hidden_and_attention(attentive(copier()), batch, OBJECTIVE)
    shares = expected_shares(batch)
    expected = np.full((2, 3), shares["all"])
    expected[0, 1], expected[1, 2] = shares["column"], shares["row"]
    assert len(set(shares.values())) == 3
    np.testing.assert_allclose(attention.mean(-1), expected, rtol=1e-4)


def test_hidden_places_and_the_query_itself_are_of_no_use(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    model = copier()
    attend(model, 1, 0, "row")
    batch = held_out(run, 16, mask="fixed", hidden_columns=(0, 1, 2))  # one observed entry in each row
    _, attention = hidden_and_attention(model, batch, OBJECTIVE)
    assert attention[1, 0].mean() == pytest.approx(3 / 4 / 4, rel=1e-3)  # 3 of 4 queries find it, a fourth of the row
    attend(model, 1, 0, "place")
    assert hidden_and_attention(model, batch, OBJECTIVE)[1][1, 0].mean() == pytest.approx(
        0, abs=1e-3
    )  # copying is no progress


def test_collapse_of_each_layer(tmp_path: Path) -> None:
    batch = held_out(handmade_run(tmp_path, {STEPS: copier()}), 8)
    first_apart = shape_states(collapsed(), 0, "orthogonal")
    np.testing.assert_allclose(hidden_and_attention(first_apart, batch, OBJECTIVE)[0].mean(-1), [0, 1], atol=1e-6)
    last_apart = spread()  # the first layer's states share the huge constants
    np.testing.assert_allclose(hidden_and_attention(last_apart, batch, OBJECTIVE)[0].mean(-1), [1, 0], atol=1e-3)


def test_both_measures_move_where_the_models_change(tmp_path: Path) -> None:
    progress = measure_progress(story(tmp_path, 1200, 1000), matrices=32)
    assert progress.step.tolist() == list(SAVED)
    assert (progress.collapse.moved, progress.attention.moved) == (1200, 1000)
    np.testing.assert_allclose(progress.collapse.run.mean, [1] * 3 + [0] * 4, atol=1e-6)
    np.testing.assert_allclose(progress.collapse.layers.mean[:, 1], progress.collapse.run.mean)
    np.testing.assert_allclose(progress.attention.layers.mean, progress.heads.mean.mean(-1))
    np.testing.assert_allclose(progress.attention.run.mean, progress.heads.mean.mean((1, 2)))
    np.testing.assert_allclose(progress.attention.run.mean[:2], progress.uniform, rtol=1e-4)
    assert progress.attention.run.mean[-1] > progress.uniform + 0.03
    assert (progress.attention.run.error > 0).all()


def test_a_move_is_a_tenth_of_the_change_and_beyond_noise() -> None:
    steps = [10, 20, 30, 40]
    shared = torch.linspace(-1, 1, 50).double()  # differs between matrices, not between steps
    means = torch.tensor([0.0, 0.08, 0.12, 1.0]).double()
    assert first_move(means[:, None] + shared, steps) == 30
    assert first_move(-means[:, None] + shared, steps) == 30
    noise = torch.stack([torch.zeros(50), shared, 3 * shared, shared]).double()
    assert first_move(means[:, None] + noise, steps) == 40  # 0.12 is less than three errors of 0.25
    assert np.isnan(first_move(noise, steps))
    assert np.isnan(first_move(shared.expand(4, 50), steps))
    back = torch.tensor([0.0, 0.5, 0.02, 1.0]).double()  # it has to stay away, on the way that it goes in the end
    assert first_move(back[:, None] + shared, steps) == 40
    other_way = torch.tensor([0.0, -0.5, -0.5, 1.0]).double()
    assert first_move(other_way[:, None] + shared, steps) == 40


def test_the_claims_hold_where_both_move_before_the_drop(tmp_path: Path) -> None:
    verdicts = judge(Findings(story(tmp_path, 1200, 1400), matrices=32), CLAIMS)
    assert [verdict.outcome for verdict in verdicts] == ["holds"] * 3, verdicts
    assert [verdict.numbers[0] for verdict in verdicts[:2]] == [
        pytest.approx(at / ONSET, rel=0.05) for at in (1200, 1400)
    ]
    assert verdicts[2].numbers[0] == pytest.approx(1)
    for verdict in verdicts[:2]:
        [late] = verdict.nulls["moves with the drop's end"]
        assert late is not None
        assert late > WITH


def test_the_claims_fail_where_they_move_after_it_or_never(tmp_path: Path) -> None:
    verdicts = judge(Findings(story(tmp_path, 2000, STEPS + 1), matrices=32), CLAIMS)
    assert [verdict.outcome for verdict in verdicts] == ["fails", "not judged", "holds"], verdicts
    assert verdicts[0].numbers[0] == pytest.approx(2000 / ONSET, rel=0.05)
    (tmp_path / "other").mkdir()
    verdicts = judge(Findings(story(tmp_path / "other", STEPS + 1, 0), matrices=32), CLAIMS)
    assert verdicts[2].numbers == (0,)
    assert verdicts[2].outcome == "fails"


def test_the_parts_of_a_pass_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = story(tmp_path, 1200, 1000)
    whole, other = (measure_progress(run, [800, "final"], matrices=20, seed=seed) for seed in (0, 1))
    monkeypatch.setattr(forward, "PART", 7)
    parts = measure_progress(run, ["final", 800], matrices=20)
    assert parts.step.tolist() == [800, STEPS]
    np.testing.assert_allclose(parts.heads.mean, whole.heads.mean, rtol=1e-6)
    np.testing.assert_allclose(parts.heads.error, whole.heads.error, rtol=1e-6)
    np.testing.assert_allclose(parts.collapse.layers.mean, whole.collapse.layers.mean, atol=1e-6)
    assert not np.allclose(whole.heads.mean, other.heads.mean, rtol=1e-6)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    with pytest.raises(CheckpointError, match="no checkpoint 750; there are: 4000"):
        measure_progress(run, [750])
    verdicts = judge(Findings(run, matrices=4), CLAIMS)
    assert all(verdict.outcome == "not judged" and "'before-drop'" in verdict.notes[0] for verdict in verdicts)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="no metrics yet"):
        measure_progress(handmade_run(tmp_path / "empty", {}, {"step": np.array([])}))


def test_the_figure_draws_what_was_measured(tmp_path: Path) -> None:
    progress = measure_progress(story(tmp_path, 1200, 1000), matrices=16)
    loss, collapse, attention = (axes for axes in draw_progress(progress).axes if axes.get_label() != "<colorbar>")
    np.testing.assert_array_equal(loss.lines[0].get_ydata(), progress.curves.value[progress.curves.falling])
    drop = progress.curves.drop
    assert drop is not None
    for axes, measure, others in ((collapse, progress.collapse, 2), (attention, progress.attention, 2)):
        drawn = [np.asarray(line.get_ydata()) for line in axes.lines[others:]]
        for layer in range(2):
            np.testing.assert_array_equal(drawn[layer], measure.layers.mean[:, layer])
        np.testing.assert_array_equal(drawn[2], measure.run.mean)
        assert [line.get_xdata()[0] for line in axes.lines[-2:]] == [measure.moved, drop.onset]  # pyright: ignore
        assert f"step {int(measure.moved):,}, {measure.moved / drop.onset:.2f} of" in axes.get_title("left")
    for line, loss in zip(collapse.lines, ("loss_masked", "loss_observed"), strict=False):
        np.testing.assert_array_equal(line.get_ydata(), progress.apart[loss].mean)
    np.testing.assert_array_equal(attention.lines[0].get_ydata(), progress.heads.mean[:, 1, 2])
    assert attention.lines[0].get_label() == "the head that ends highest: layer 2, head 3"
    assert attention.lines[1].get_ydata()[0] == progress.uniform  # pyright: ignore


def test_a_run_without_a_drop_is_drawn_too(tmp_path: Path) -> None:
    model = copier()
    progress = measure_progress(
        handmade_run(tmp_path, {0: model, STEPS: model}, make_metrics(onset=9000, end=9500)), matrices=4
    )
    assert np.isnan(progress.collapse.moved)
    titles = [axes.get_title("left") for axes in draw_progress(progress).axes[:3]]
    assert [title.split(": ")[1] for title in titles] == ["no drop", "no first move found", "no first move found"]
