"""Other ranks and sizes than those of the training, for models that do something known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from abruptlab.errors import CheckpointError, ConfigError
from abruptlab.experiments.comparison import Contest, compete
from abruptlab.experiments.estimate import Estimate, Losses
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.out_of_distribution import OutOfDistribution, Varied, extended, measure_out_of_distribution
from abruptlab.figures.comparison import draw_out_of_distribution
from abruptlab.figures.save import arrays
from abruptlab.figures.style import BERT, NUCLEAR, REFERENCE
from tests.handmade import COLUMNS, CONFIG, ROWS, averager, copier, handmade_run
from tests.known import Known, holds, number
from tests.synthetic import STEPS, make_metrics, make_run

AXES = ("rank", "rows", "columns")


def test_a_copier_predicts_zero_wherever_it_is_used(tmp_path: Path) -> None:
    result = measure_out_of_distribution(handmade_run(tmp_path, {STEPS: copier()}), matrices=64)
    assert [getattr(result, axis).value.tolist() for axis in AXES] == [[1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6]]
    assert [getattr(result, axis).trained for axis in AXES] == [1, ROWS, COLUMNS]
    for axis, known in (("rank", 3), ("rows", ROWS), ("columns", COLUMNS)):  # beyond, it has places never trained
        contest = getattr(result, axis).contest
        for name in ("loss", "loss_observed", "loss_masked"):
            bert, zero = (each[name].mean for each in (contest.bert, contest.zero))
            np.testing.assert_allclose(bert[:known], zero[:known], atol=1e-6)
    # of a single row or column, nuclear norm too predicts zero; of more it does not
    for varied in (result.rows, result.columns):
        nuclear, zero = varied.contest.nuclear["loss_masked"].mean, varied.contest.zero["loss_masked"].mean
        assert nuclear[0] == pytest.approx(zero[0], rel=1e-3)
        assert (nuclear[1:] < 0.9 * zero[1:]).all()


def test_beyond_the_training_s_places_only_those_are_lost(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    result = measure_out_of_distribution(run, ranks=[1], rows=[5], columns=[COLUMNS, 6], matrices=64)
    for varied, size in ((result.rows, (5, COLUMNS)), (result.columns, (ROWS, 6))):
        batch = held_out(run, 64, sizes=(size,))
        larger = extended(copier(), size[0] * size[1])
        with torch.no_grad():
            predicted = larger(batch.tokens)
        trained = slice(ROWS * COLUMNS)  # in sequence; a copier's places do not mix
        torch.testing.assert_close(
            predicted[:, trained], torch.where(batch.observed, batch.values, 0.0)[:, trained], atol=1e-3, rtol=0
        )
        expected = (predicted - batch.values).square().mean().item()
        assert varied.contest.bert["loss"].mean[-1] == pytest.approx(expected, rel=1e-4)


def test_larger_ones_alone_can_be_drawn(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    result = measure_out_of_distribution(run, ranks=[1], rows=[ROWS], columns=[COLUMNS + 1, COLUMNS + 2], matrices=8)
    assert draw_out_of_distribution(result).axes


def test_as_in_the_training_it_is_the_run_s_own_task(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: averager("row")})
    result = measure_out_of_distribution(run, matrices=32, seed=3)
    own = arrays(compete(run.load_encoder(STEPS), held_out(run, 32, seed=3)))
    for axis, at in (("rank", 0), ("rows", 2), ("columns", 3)):
        of_axis = arrays(getattr(result, axis).contest)
        for name, values in own.items():
            np.testing.assert_array_equal(of_axis[name][at], values)


def test_a_matrix_takes_the_first_positions_row_by_row(tmp_path: Path) -> None:
    """To a model that averages over rows, what counts as a row are COLUMNS entries in sequence, whatever the size."""
    run = handmade_run(tmp_path, {STEPS: averager("row")})
    result = measure_out_of_distribution(run, ranks=[1], rows=[2], columns=[2], matrices=32)
    for varied, size in ((result.rows, (2, COLUMNS)), (result.columns, (ROWS, 2))):
        batch = held_out(run, 32, sizes=(size,))
        assert batch.size == size
        seen = (batch.values * batch.observed).split(COLUMNS, dim=1)
        means = torch.cat([part.mean(1, keepdim=True).expand_as(part) for part in seen], 1)
        expected = (means - batch.values).square().mean()
        assert varied.contest.bert["loss"].mean[0] == pytest.approx(expected.item(), rel=1e-4)


def test_a_matrix_with_a_value_that_has_no_token_is_left_out(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    varied = measure_out_of_distribution(run, rows=[ROWS], columns=[COLUMNS], matrices=256).rank
    drawn = held_out(run, 256, rank=3, limit=10.0)
    fits = (drawn.values.abs() <= CONFIG.matrices.limit).all(1)
    assert varied.kept.tolist() == [1.0, pytest.approx(0.7, abs=0.1), fits.double().mean().item()]
    hidden = ~drawn.observed[fits]
    expected = drawn.values[fits][hidden].square().mean().item()
    assert varied.contest.zero["loss_masked"].mean[2] == pytest.approx(expected, rel=1e-5)
    assert varied.contest.bert["loss_observed"].mean[2] < 1e-6  # in the run's own tokens


def test_where_no_matrix_is_left_there_is_no_number(tmp_path: Path) -> None:
    narrow = replace(CONFIG, task=replace(CONFIG.matrices, limit=0.01))
    run = make_run(tmp_path, make_metrics(), config=narrow)
    result = measure_out_of_distribution(run, ranks=[3], rows=[3], columns=[3], matrices=8)
    assert result.rank.kept.tolist() == [0]
    assert np.isnan(result.rank.contest.bert["loss"].mean).all()
    draw_out_of_distribution(result)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"ranks": [4]}, r"rank: expected 1 to 3 \(the smallest side\), got 4"),
        ({"rows": [0]}, "sizes: expected one or more pairs of positive numbers"),
    ],
)
def test_what_cannot_be_is_an_error(tmp_path: Path, asked: dict[str, Any], message: str) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    with pytest.raises(ConfigError, match=message):
        measure_out_of_distribution(run, matrices=2, **asked)
    with pytest.raises(CheckpointError, match="no checkpoint 7"):
        measure_out_of_distribution(run, 7)


def test_of_several_sizes_the_largest_is_where_one_starts(tmp_path: Path) -> None:
    config = replace(CONFIG, task=replace(CONFIG.matrices, sizes=((2, 2), (ROWS, COLUMNS), (3, 3))))
    result = measure_out_of_distribution(make_run(tmp_path, make_metrics(), {STEPS: copier()}, config), matrices=8)
    assert (result.rows.trained, result.columns.trained) == (ROWS, COLUMNS)


def contest(bert: list[float], nuclear: list[float], zero: list[float]) -> Contest:
    """L of the three; the rest is of no interest."""

    def known(values: list[float]) -> Losses:
        return Losses(
            dict.fromkeys(
                ("loss", "loss_observed", "loss_masked"), Estimate(np.array(values), np.full(len(values), 0.01))
            )
        )

    norm = Estimate(np.array(zero), np.array(zero))
    return Contest(known(bert), known(nuclear), known(bert), known(zero), norm, norm, norm)


def varied(trained: int, bert: list[float], nuclear: list[float], zero: list[float]) -> Varied:
    """A property with the values 1, 2, 3, …."""
    value = np.arange(1, len(bert) + 1)
    return Varied(value, trained, np.ones(len(bert)), contest(bert, nuclear, zero))


def test_close_to_nuclear_norm_counts_where_predicting_zero_is_not(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    # at 1 trained; at 2 and 3 BERT is 1.5 times better and worse; at 4 zero is as close to nuclear norm as BERT
    close = varied(1, [0.9, 0.1, 0.15, 0.1], [0.1, 0.15, 0.1, 0.1], [1.0, 1.0, 1.0, 0.19])
    far = varied(1, [0.1, 0.5, 0.02, 0.1], [0.1, 0.1, 0.1, 0.1], [1.0, 1.0, 1.0, 0.1])
    for result, expected, within in ((close, 1.5, True), (far, 5.0, False)):
        found = Known(run, {measure_out_of_distribution: OutOfDistribution(STEPS, *[result] * 5)})
        for name in ("other-ranks-like-nuclear-norm", "other-rows-like-nuclear-norm"):
            assert number(name, found) == pytest.approx(expected)
            assert holds(name, found) is within
    trivial = varied(1, [0.1, 0.1], [0.1, 0.1], [1.0, 0.15])
    found = Known(run, {measure_out_of_distribution: OutOfDistribution(STEPS, *[trivial] * 5)})
    assert number("other-ranks-like-nuclear-norm", found) is None


def test_fewer_columns_are_compared_with_the_same_at_their_trained_places(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    flat = varied(3, [0.4, 0.6, 0.1, 0.9], [0.1] * 4, [1.0] * 4)
    placed = varied(3, [0.1, 0.1, 0.1], [0.1] * 3, [1.0] * 3)
    found = Known(run, {measure_out_of_distribution: OutOfDistribution(STEPS, flat, flat, flat, flat, placed)})
    assert number("other-columns-fail", found) == pytest.approx(24**0.5)


def test_with_more_columns_alone_the_control_is_the_trained_number(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    found = measure_out_of_distribution(run, ranks=[1], rows=[ROWS], columns=[COLUMNS + 1], matrices=8)
    assert (found.columns.value.tolist(), found.columns_in_place.value.tolist()) == ([COLUMNS + 1], [COLUMNS])


def test_a_model_of_columns_needs_its_places_and_one_of_no_places_does_not(tmp_path: Path) -> None:
    """It predicts the mean of the column that the positions say: with two columns placed one after another, others'."""
    for where, matters in (("column", True), ("seen", False)):
        (tmp_path / where).mkdir()
        run = handmade_run(tmp_path / where, {STEPS: averager(where)})
        result = measure_out_of_distribution(run, ranks=[1], rows=[ROWS], columns=[2, COLUMNS], matrices=64)
        flat, placed = (each.contest.bert["loss"].mean for each in (result.columns, result.columns_in_place))
        assert flat[1] == pytest.approx(placed[1])
        assert (abs(flat[0] / placed[0] - 1) > 0.02) == matters


def test_scaled_matrices_of_another_rank_have_no_value_beyond_the_training_s(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    result = measure_out_of_distribution(run, rows=[ROWS], columns=[COLUMNS], matrices=64)
    assert (result.rank_rescaled.kept == 1).all()
    assert (result.rank.kept[1:] < 1).all()
    level, scaled = (each.contest.zero["loss_masked"].mean for each in (result.rank, result.rank_rescaled))
    np.testing.assert_allclose(scaled * np.arange(1, 4) ** 2 / np.arange(1, 4), level[0], rtol=0.35)  # k/9 · 1/k²


def test_positions_that_were_never_trained_are_drawn_and_the_others_stay() -> None:
    model = copier()
    larger = extended(model, 200)
    trained = model.position_embedding.weight
    torch.testing.assert_close(larger.position_embedding.weight[: len(trained)], trained)
    fresh = larger.position_embedding.weight[len(trained) :].detach()
    assert fresh.std() == pytest.approx(CONFIG.model.init_std, rel=0.1)
    assert extended(model, 12) is model


def test_the_figure_draws_what_was_measured(tmp_path: Path) -> None:
    result = measure_out_of_distribution(handmade_run(tmp_path, {STEPS: averager("row")}), matrices=64)
    panels = np.reshape(np.array(draw_out_of_distribution(result).axes), (2, 3))
    controlled = {"rank": result.rank_rescaled, "columns": result.columns_in_place}
    for axis, column in zip(AXES, panels.T, strict=True):
        varied: Varied = getattr(result, axis)
        for axes, name in zip(column, ("loss", "loss_masked"), strict=True):
            lines = [line for line in axes.lines if len(np.asarray(line.get_xdata())) > 2]
            controls = [line for line in lines if line.get_markerfacecolor() == "white"]
            curves = {line.get_color(): line for line in lines if line not in controls}
            contest = varied.contest
            for colour, losses in ((BERT, contest.bert), (NUCLEAR, contest.nuclear), (REFERENCE, contest.zero)):
                np.testing.assert_array_equal(curves[colour].get_xdata(), varied.value)
                np.testing.assert_array_equal(curves[colour].get_ydata(), losses[name].mean)
            assert len(controls) == (axis in controlled)
            for line in controls:  # at as many times nuclear norm's error there as here
                control: Varied = controlled[axis]
                np.testing.assert_array_equal(line.get_xdata(), control.value)
                bert, nuclear = (each[name].mean for each in (control.contest.bert, control.contest.nuclear))
                here = contest.nuclear[name].mean[: len(control.value)]
                np.testing.assert_allclose(np.asarray(line.get_ydata()), here * bert / nuclear)
            assert any(np.array_equal(line.get_xdata(), [varied.trained] * 2) for line in axes.lines)
    labels = [text.get_text() for text in panels[1, 0].get_xticklabels()]
    assert labels == ["1\n", *(f"{rank}\n({100 * result.rank.kept[rank - 1]:.0f})" for rank in (2, 3))]
    assert [text.get_text() for text in panels[1, 1].get_xticklabels()] == [str(rows) for rows in result.rows.value]
