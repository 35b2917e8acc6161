"""BERT against nuclear-norm minimisation, for models that do something known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from abruptlab.baselines.simple import RowColumnMeans
from abruptlab.errors import CheckpointError, ConfigError
from abruptlab.experiments import forward
from abruptlab.experiments.comparison import PROBABILITIES, Comparison, Contest, measure_comparison
from abruptlab.experiments.estimate import Estimate, Losses
from abruptlab.experiments.held_out import completed, held_out, incomplete
from abruptlab.figures.comparison import draw_comparison
from abruptlab.figures.save import arrays
from abruptlab.figures.style import BERT, NUCLEAR, REFERENCE
from abruptlab.paper import Findings
from abruptlab.run.run import Run
from tests.handmade import COLUMNS, CONFIG, ROWS, averager, copier, handmade_run
from tests.known import Known, holds, number
from tests.synthetic import STEPS, make_metrics, make_run

FEW: dict[str, Any] = {"probabilities": (0.2, 0.5), "matrices": 64}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return handmade_run(tmp_path, {STEPS: copier()})


def test_a_copier_predicts_zero(run: Run) -> None:
    result = measure_comparison(run, **FEW)
    contest = result.contest
    assert result.probability.tolist() == [0.2, 0.3, 0.5]
    assert result.trained == 0.3
    for name in ("loss", "loss_observed", "loss_masked"):
        np.testing.assert_allclose(contest.bert[name].mean, contest.zero[name].mean, atol=1e-6)
    difference = contest.zero["loss"].mean - contest.nuclear["loss"].mean
    np.testing.assert_allclose(contest.excess["loss"].mean, difference, atol=1e-6)
    level = CONFIG.matrices.copying_level
    np.testing.assert_allclose(contest.zero["loss"].mean, result.probability * level, rtol=0.35)


def test_norms_are_those_of_whole_solutions(run: Run) -> None:
    contest = measure_comparison(run, **FEW).contest
    for at, share in enumerate((0.2, 0.3, 0.5)):
        batch = held_out(run, 64, mask_probability=share)
        true = np.linalg.norm(batch.values.view(-1, ROWS, COLUMNS).numpy(), "nuc", (1, 2))
        filled = np.linalg.norm(np.nan_to_num(incomplete(batch)), "nuc", (1, 2))
        assert contest.true_norm.mean[at] == pytest.approx(true.mean(), rel=1e-5)
        assert contest.true_norm.error[at] == pytest.approx(true.std(ddof=1) / 8, rel=1e-5)
        assert contest.bert_norm.mean[at] == pytest.approx(filled.mean(), rel=1e-4)
    # the true matrix and the one with zeros have the observed entries too: none can have a smaller norm
    assert (contest.nuclear_norm.mean < contest.true_norm.mean).all()
    assert (contest.nuclear_norm.mean < contest.bert_norm.mean).all()


def test_matrices_stay_and_more_of_the_same_entries_are_hidden(run: Run) -> None:
    few, many = (held_out(run, 64, mask_probability=share) for share in (0.2, 0.5))
    assert (few.values == many.values).all()
    assert (many.observed <= few.observed).all()
    assert (
        measure_comparison(run, **FEW).contest.true_norm.mean
        == measure_comparison(run, **FEW).contest.true_norm.mean[0]
    ).all()


def test_what_a_method_is_given_and_what_it_gives_back(run: Run) -> None:
    batch = held_out(run, 8)
    given = incomplete(batch)
    assert given.shape == (8, ROWS, COLUMNS)
    np.testing.assert_array_equal(np.isnan(given).reshape(8, -1), ~batch.observed)
    filled = completed(RowColumnMeans(), batch)
    assert (filled[batch.observed] == batch.values[batch.observed]).all()
    assert (filled[~batch.observed] != batch.values[~batch.observed]).any()


def test_the_paper_s_probabilities_and_those_that_make_no_sense(run: Run) -> None:
    assert PROBABILITIES == (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
    with pytest.raises(ConfigError, match="mask_probability: expected 0 to 1, got"):
        measure_comparison(run, probabilities=[1.5])
    with pytest.raises(CheckpointError, match="no checkpoint 7"):
        measure_comparison(run, 7)


def test_other_masks_and_several_sizes(tmp_path: Path) -> None:
    fixed = replace(CONFIG, task=replace(CONFIG.matrices, mask="fixed", hidden_rows=(1,)))
    with pytest.raises(ConfigError, match="cannot be varied: the run's mask is fixed"):
        measure_comparison(make_run(tmp_path, make_metrics(), {STEPS: copier()}, fixed))
    task = replace(CONFIG.matrices, mask="coherence", sizes=((2, 2), (ROWS, COLUMNS)), mask_probability=0.4)
    mixture = make_run(tmp_path, make_metrics(), {STEPS: copier()}, replace(CONFIG, task=task))
    result = measure_comparison(mixture, **FEW)
    assert result.probability.tolist() == [0.2, 0.4, 0.5]
    assert np.isfinite(result.contest.excess["loss"].mean).all()


def test_the_seed_decides_and_the_parts_do_not(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = arrays(measure_comparison(run, **FEW)), arrays(measure_comparison(run, seed=1, **FEW))
    assert (first["contest.nuclear.loss.mean"] != other["contest.nuclear.loss.mean"]).all()
    monkeypatch.setattr(forward, "PART", 7)
    for name, values in arrays(measure_comparison(run, **FEW)).items():
        np.testing.assert_allclose(values, first[name], rtol=1e-4, atol=1e-6)


def made_up(bert: float, nuclear: float) -> Comparison:
    """L of BERT and of nuclear norm at the training's 0.3; at 0.2 the other way round."""

    def known(here: float, there: float) -> Estimate:
        return Estimate(np.array([there, here]), np.full(2, 0.01))

    pairs = ((bert, nuclear), (nuclear, bert), (bert - nuclear, nuclear - bert), (1.0, 1.0))
    names = ("loss", "loss_observed", "loss_masked")
    losses = [Losses(dict.fromkeys(names, known(*pair))) for pair in pairs]
    contest = Contest(*losses, *[known(1.0, 1.0)] * 3)  # pyright: ignore
    return Comparison(STEPS, 0.3, np.array([0.2, 0.3]), contest)


def test_the_claim_is_about_the_training_s_share(run: Run) -> None:
    for bert, nuclear, expected, within in ((0.02, 0.06, 4, True), (0.02, 0.04, 2, False), (0.06, 0.02, -4, False)):
        found = Known(run, {measure_comparison: made_up(bert, nuclear)})
        assert number("beats-nuclear-norm", found) == pytest.approx(expected)
        assert holds("beats-nuclear-norm", found) is within


def test_a_copier_does_not_beat_nuclear_norm(run: Run) -> None:
    assert number("beats-nuclear-norm", Findings(run, matrices=64)) < -3  # pyright: ignore


def test_the_figure_draws_what_was_measured(tmp_path: Path) -> None:
    result = measure_comparison(handmade_run(tmp_path, {STEPS: averager("row")}), **FEW)
    contest = result.contest
    drawn = (
        (contest.bert["loss"], contest.nuclear["loss"], contest.zero["loss"]),
        (contest.bert["loss_masked"], contest.nuclear["loss_masked"], contest.zero["loss_masked"]),
        (contest.bert_norm, contest.nuclear_norm, contest.true_norm),
    )
    for axes, each in zip(draw_comparison(result).axes, drawn, strict=True):
        assert axes.get_yscale() == "log"
        curves = {line.get_color(): line for line in axes.lines if len(np.asarray(line.get_xdata())) == 3}
        for colour, values in zip((BERT, NUCLEAR, REFERENCE), each, strict=True):
            np.testing.assert_array_equal(curves[colour].get_xdata(), [0.2, 0.3, 0.5])
            np.testing.assert_array_equal(curves[colour].get_ydata(), values.mean)
        assert any(np.array_equal(line.get_xdata(), [0.3, 0.3]) for line in axes.lines)
