"""Shuffled positional embeddings, for models that need them in known ways."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from abruptlab.errors import CheckpointError, ConfigError
from abruptlab.experiments import forward
from abruptlab.experiments.estimate import Estimate, Losses
from abruptlab.experiments.forward import predict
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.permutation import (
    KINDS,
    Permutation,
    draw_order,
    measure_permutation,
    measure_relabelled,
    permute,
    slope,
)
from abruptlab.figures.permutation import draw_permutation
from abruptlab.figures.style import MASKED, OBSERVED
from abruptlab.model.encoder import Encoder
from abruptlab.paper import Findings
from abruptlab.run.run import Run
from abruptlab.task.counter import generator
from abruptlab.training.state import initial_model
from tests.handmade import COLUMNS, CONFIG, ROWS, averager, copier, handmade_run
from tests.known import held
from tests.synthetic import STEPS, make_metrics

BEFORE = 750
CLAIMED = ("permutation-completion", "permutation-rows-and-columns", "permutation-copying", "permutation-before")


def table(losses: Losses) -> np.ndarray:
    return np.stack([losses["loss"].mean, losses["loss_observed"].mean, losses["loss_masked"].mean], -1)


def test_what_each_kind_keeps() -> None:
    random = generator(0)
    for _ in range(20):
        orders = {kind: draw_order(kind, (ROWS, COLUMNS), random).view(ROWS, COLUMNS).numpy() for kind in KINDS}
        for order in orders.values():
            assert sorted(order.ravel()) == list(range(ROWS * COLUMNS))
        both = orders["keep-rows-and-columns"]
        assert (both // COLUMNS == both[:, :1] // COLUMNS).all()
        assert (both % COLUMNS == both[:1] % COLUMNS).all()
        np.testing.assert_array_equal(orders["keep-rows"] // COLUMNS, np.arange(ROWS)[:, None] + np.zeros((1, COLUMNS)))
        np.testing.assert_array_equal(orders["keep-columns"] % COLUMNS, np.arange(COLUMNS) + np.zeros((ROWS, 1)))


def test_every_kind_moves_all_it_may_and_is_never_the_identity() -> None:
    random = generator(0)
    seen = {kind: {tuple(draw_order(kind, (2, 2), random).tolist()) for _ in range(200)} for kind in KINDS}
    assert {kind: len(orders) for kind, orders in seen.items()} == {
        "keep-rows-and-columns": 3,
        "keep-rows": 3,
        "keep-columns": 3,
        "random": 23,
    }
    assert all((0, 1, 2, 3) not in orders for orders in seen.values())
    assert (2, 3, 0, 1) in seen["keep-rows-and-columns"] & seen["keep-columns"]  # the two rows change places
    assert (1, 0, 2, 3) in seen["keep-rows"]


def test_shuffling_the_embeddings_is_moving_the_entries(tmp_path: Path) -> None:
    model = cast(Encoder, initial_model(CONFIG).eval())
    tokens = held_out(handmade_run(tmp_path, {0: model}), 20).tokens
    order = draw_order("random", (ROWS, COLUMNS), generator(0))
    moved = tokens[:, order.argsort()]  # the token of each place goes where the embedding was
    shuffled = predict(permute(model, order), tokens)
    np.testing.assert_allclose(shuffled, predict(model, moved)[:, order], atol=1e-5)
    assert (shuffled - predict(model, tokens)).abs().max() > 1e-3  # neither is the model as it was, which is unchanged
    assert torch.equal(model.position_embedding.weight, initial_model(CONFIG).position_embedding.weight)


@pytest.mark.parametrize(("where", "kept"), [("row", "keep-rows"), ("column", "keep-columns")])
def test_a_model_that_averages_rows_or_columns(tmp_path: Path, where: str, kept: str) -> None:
    result = measure_permutation(handmade_run(tmp_path, {STEPS: averager(where)}), ["final"], 3, matrices=32, seed=1)
    batch = held_out(handmade_run(tmp_path, {}), 32, seed=1)
    seen, truth = (np.where(batch.observed, batch.values, 0), batch.values.numpy())
    hidden = ~batch.observed.numpy()

    def expected(order: np.ndarray) -> list[float]:
        line = order // COLUMNS if where == "row" else order % COLUMNS
        together = line[:, None] == line
        error = (seen @ (together / together.sum(0)) - truth) ** 2
        return [error.mean(), error[~hidden].mean(), error[hidden].mean()]

    intact = table(result.intact)[0]
    np.testing.assert_allclose(intact, expected(np.arange(ROWS * COLUMNS)), rtol=1e-4)
    for kind, name in enumerate(result.kinds):
        for draw in range(3):
            losses = table(result.permuted)[0, kind, draw]
            np.testing.assert_allclose(losses, expected(result.orders[kind, draw]), rtol=1e-4)
            if name in ("keep-rows-and-columns", kept):
                np.testing.assert_allclose(losses, intact, rtol=1e-4)
            else:
                assert abs(losses - intact).max() > 1e-3


def test_a_copier_needs_no_positions(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {BEFORE: averager("row"), STEPS: copier()})
    result = measure_permutation(run, draws=2, matrices=16)
    assert result.steps.tolist() == [BEFORE, STEPS]
    assert result.orders.shape == (4, 2, 12)
    np.testing.assert_allclose(
        table(result.permuted)[1], np.broadcast_to(table(result.intact)[1], (4, 2, 3)), atol=1e-6
    )
    assert result.zero_level == pytest.approx(1 / 9)


def test_a_copier_needs_its_tokens(tmp_path: Path) -> None:
    """Shuffled among those that occur, MASK left alone: hidden entries are still predicted as zero."""
    run = handmade_run(tmp_path, dict.fromkeys((750, STEPS), copier()))
    batch, found = held_out(run, 64), measure_relabelled(run, matrices=64)
    values = batch.values[batch.observed]  # another value has nothing to do with them, and no zero mean by chance alone
    expected = values.square().mean() + values.unique().square().mean()
    assert found["loss_observed"].mean == pytest.approx(expected.item(), rel=0.15)
    assert found["loss_masked"].mean == pytest.approx(batch.values[~batch.observed].square().mean().item(), rel=1e-3)


def test_means_and_errors_are_over_the_permutations(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: averager("row")})
    result = measure_permutation(run, ["final"], draws=3, matrices=16)
    draws = result.permuted["loss_masked"].mean
    np.testing.assert_allclose(result.mean["loss_masked"].mean, draws.mean(-1))
    spread = np.sqrt(((draws - draws.mean(-1, keepdims=True)) ** 2).sum(-1) / 2 / 3)
    np.testing.assert_allclose(result.mean["loss_masked"].error, spread)
    assert np.isnan(measure_permutation(run, ["final"], draws=1, matrices=16).mean["loss"].error).all()


def test_it_depends_on_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = handmade_run(tmp_path, {STEPS: averager("row")})
    first, other = (measure_permutation(run, ["final"], 2, matrices=16, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.orders, other.orders)
    monkeypatch.setattr(forward, "PART", 5)
    again = measure_permutation(run, ["final"], 2, matrices=16)
    np.testing.assert_array_equal(again.orders, first.orders)
    np.testing.assert_allclose(table(again.permuted), table(first.permuted), atol=1e-6)


def test_mistakes_are_named(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()}, make_metrics(onset=9000, end=9500))
    with pytest.raises(ConfigError, match="draws: expected a whole number from 1 to 1000, got 0"):
        measure_permutation(run, ["final"], draws=0)
    with pytest.raises(CheckpointError, match="no checkpoint 'before-drop', as it has no drop"):
        measure_permutation(run, matrices=4)
    with pytest.raises(ConfigError, match="no permutation 'rows'; there are: keep-rows-and-columns, keep-rows"):
        draw_order("rows", (3, 4), generator(0))
    with pytest.raises(ConfigError, match="two or more rows and columns, not 1 × 4"):
        draw_order("keep-rows", (1, 4), generator(0))


class Given(Findings):
    """Findings in which the permutations' result is given."""

    def __init__(self, run: Run, result: Permutation) -> None:
        super().__init__(run)
        self.result = result

    def of(self, measure: Any) -> Permutation:
        return self.result


def judged(found: Findings) -> dict[str, bool]:
    return {name: within for name, within in held(CLAIMED, found).items() if within is not None}


def with_mean(result: Permutation, loss: str, step: int, kind: str, value: float) -> Permutation:
    mean = result.mean[loss].mean.copy()
    mean[step, result.kinds.index(kind)] = value
    return replace(result, mean=Losses(result.mean | {loss: Estimate(mean, mean)}))


def test_the_claims_hold_for_a_copier_and_each_fails_without_its_property(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {BEFORE: copier(), STEPS: copier()})
    result = measure_permutation(run, draws=1, matrices=1024)
    assert judged(Given(run, result)) == {"permutation-before": True}  # the others are of a model that completes
    slopes = np.array([[0, 0, 0, 0], [0.9, 0.0, 0.05, -0.03]])  # [step, kind]
    result = replace(result, intact_slope=np.array([0.0, 0.9]), slope=slopes)
    assert judged(Given(run, result)) == dict.fromkeys(CLAIMED, True)
    level = result.zero_level
    for claim, kind in (
        ("permutation-completion", "random"),
        ("permutation-rows-and-columns", "keep-rows"),
        ("permutation-rows-and-columns", "keep-columns"),
    ):
        left = slopes.copy()
        left[1, result.kinds.index(kind)] = 0.2
        verdicts = judged(Given(run, replace(result, slope=left)))
        assert [name for name, holds in verdicts.items() if not holds] == [claim]
    for claim, change in (
        ("permutation-copying", ("loss_observed", 1, "random", 0.02 * level)),
        ("permutation-before", ("loss_observed", 0, "random", 0.06 * level)),
        ("permutation-before", ("loss_masked", 0, "random", 0.8 * level)),
    ):
        verdicts = judged(Given(run, with_mean(result, *change)))
        assert [name for name, holds in verdicts.items() if not holds] == [claim]


def test_the_slope_is_of_what_is_completed_whatever_the_size_of_the_rest(tmp_path: Path) -> None:
    batch = held_out(handmade_run(tmp_path, {STEPS: copier()}), 2000)
    noise = torch.randn(batch.values.shape, generator=torch.Generator().manual_seed(0))
    for predictions, expected in ((batch.values, 1.0), (0.3 * batch.values, 0.3), (torch.zeros_like(noise), 0.0)):
        assert slope(predictions, batch) == pytest.approx(expected)
    assert slope(noise, batch) == pytest.approx(0, abs=0.15)


def test_the_figure_draws_what_was_measured(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {BEFORE: copier(), STEPS: averager("row")})
    result = measure_permutation(run, draws=3, matrices=16)
    panels = draw_permutation(result).axes
    assert [axes.get_title() for axes in panels] == ["step 750", "step 4,000"]
    assert [label.get_text() for label in panels[0].get_yticklabels()] == [
        "whole rows and columns",
        "within each row",
        "within each column",
        "all places",
    ]
    for at, axes in enumerate(panels):
        means = {container[0].get_color(): container[0] for container in axes.containers}
        for colour, name in ((MASKED, "loss_masked"), (OBSERVED, "loss_observed")):
            np.testing.assert_array_equal(means[colour].get_xdata(), result.mean[name].mean[at])
            np.testing.assert_array_equal(means[colour].get_ydata(), range(4))
            lines = [line for line in axes.lines if line.get_color() == colour and line is not means[colour]]
            level, draws = sorted(lines, key=lambda line: len(np.asarray(line.get_xdata())))
            np.testing.assert_array_equal(draws.get_xdata(), result.permuted[name].mean[at].ravel())
            np.testing.assert_array_equal(np.round(np.asarray(draws.get_ydata())), np.repeat(range(4), 3))
            np.testing.assert_array_equal(level.get_xdata(), [result.intact[name].mean[at]] * 2)
        np.testing.assert_array_equal(axes.lines[0].get_xdata(), [result.zero_level] * 2)
