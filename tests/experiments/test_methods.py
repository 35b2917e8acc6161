"""All methods on the same matrices, beside models that do something known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from abruptlab.errors import CheckpointError, ConfigError, RunError
from abruptlab.experiments.estimate import Estimate, Losses
from abruptlab.experiments.forward import predict
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.methods import NAMES, POSTERIOR, ZERO, Methods, classical, measure_methods, nearest
from abruptlab.figures.methods import COLOURS, draw_closeness, draw_floor
from abruptlab.figures.save import arrays
from abruptlab.figures.style import BERT
from abruptlab.paper import CLAIMS, methods as claimed
from abruptlab.run.run import Run
from tests.handmade import CONFIG, averager, copier, handmade_run
from tests.known import Known, number
from tests.synthetic import STEPS, make_metrics, make_run

BEFORE = 750
FLOOR, LEAST = NAMES.index(POSTERIOR), NAMES.index("nuclear norm")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return handmade_run(tmp_path_factory.mktemp("run"), {BEFORE: copier(), STEPS: averager("row")})


@pytest.fixture(scope="module")
def result(run: Run) -> Methods:
    return measure_methods(run, matrices=128)


def test_a_copier_is_predicting_zero(result: Methods) -> None:
    zero = NAMES.index(ZERO)
    assert result.step.tolist() == [BEFORE, STEPS]
    assert result.distance.mean[0, zero] < 1e-10 < result.distance.mean[1, zero]
    np.testing.assert_allclose(result.distance.mean[0], result.between.mean[zero], atol=1e-6)
    assert result.nearest.mean[0, zero] == 1
    assert result.bert["loss_masked"].mean[0] == pytest.approx(result.method["loss_masked"].mean[zero])
    assert result.bert_excess["loss_masked"].mean[0] == pytest.approx(result.method_excess["loss_masked"].mean[zero])
    level = CONFIG.matrices.copying_level
    assert abs(result.method["loss_masked"].mean[zero] - level) < 4 * result.method["loss_masked"].error[zero]


def test_distances_are_between_predictions_at_hidden_entries(run: Run, result: Methods) -> None:
    batch = held_out(run, 128)
    predicted = predict(averager("row"), batch.tokens)[~batch.observed]
    assert result.distance.mean[1, 0] == pytest.approx(predicted.square().mean().item(), rel=1e-4)
    np.testing.assert_array_equal(result.between.mean, result.between.mean.T)
    np.testing.assert_array_equal(result.between.mean.diagonal(), 0)
    assert (result.method["loss_observed"].mean == 0).all()
    np.testing.assert_allclose(result.nearest.mean.sum(1), 1)


def test_the_error_of_any_method_is_the_floor_and_its_distance_to_the_posterior_mean(result: Methods) -> None:
    """E(f − x)² = E(f − E[x|observed])² + E(E[x|observed] − x)², for every f of the observed entries."""
    floor = result.method["loss_masked"]
    for distance, loss in ((result.between, result.method), (result.distance, result.bert)):
        to_floor = distance.mean[:, FLOOR]
        noise = 4 * np.hypot(loss["loss_masked"].error, floor.error[FLOOR])
        assert (np.abs(loss["loss_masked"].mean - to_floor - floor.mean[FLOOR]) <= noise).all()
    excess = result.method_excess["loss_masked"]
    assert (excess.mean >= -4 * excess.error).all()
    assert (excess.mean[: NAMES.index("factorisation")] > 3 * excess.error[: NAMES.index("factorisation")]).all()
    assert excess.mean[FLOOR] == excess.error[FLOOR] == 0


def test_the_nearest_method_is_counted_by_matrix() -> None:
    methods = torch.tensor([0.0, 1.0]).view(2, 1, 1).expand(2, 4, 3)
    bert = torch.tensor([[0.9, 0.9, -9.0], [0.1, 0.2, 9.0], [0.9, 0.1, 0.4], [1.0, 1.0, 1.0]])
    hidden = torch.tensor([[True, True, False], [True, True, False], [True, False, False], [False] * 3])
    shares = nearest(methods, bert, hidden)
    np.testing.assert_allclose(shares.mean, [1 / 3, 2 / 3])
    np.testing.assert_allclose(shares.error, [1 / 3, 1 / 3])


def test_the_seed_decides(run: Run) -> None:
    first, again, other = (arrays(measure_methods(run, matrices=8, seed=seed)) for seed in (0, 0, 1))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert (first["method.loss_masked.mean"] != other["method.loss_masked.mean"]).all()


def test_a_run_without_steps_or_checkpoints_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there are: none"):
        measure_methods(make_run(tmp_path, make_metrics(), ()))
    with pytest.raises(RunError, match="has no metrics yet"):
        measure_methods(make_run(tmp_path, {name: values[:0] for name, values in make_metrics().items()}, ()))


def with_number(result: Methods, name: str, at: tuple[int, ...], value: float) -> Methods:
    """The result with one mean changed."""
    outer, *inner = name.split(".")
    part: Any = getattr(result, outer)
    estimate: Estimate = part[inner[0]] if inner else part
    mean = estimate.mean.copy()
    mean[at] = value
    changed = replace(estimate, mean=mean)
    return replace(result, **{outer: Losses(part | {inner[0]: changed}) if inner else changed})


def test_each_claim_is_about_its_number(run: Run, result: Methods) -> None:
    floor, least = result.method["loss_masked"].mean[FLOOR], result.distance.mean[-1, LEAST]
    for claim, name, at, value, expected, holds in (
        ("ends-near-the-floor", "bert.loss_masked", (-1,), 1.9 * floor, 1.9, True),
        ("ends-near-the-floor", "bert.loss_masked", (-1,), 2.1 * floor, 2.1, False),
        ("predictions-not-nuclear-norm", "bert.loss_masked", (-1,), 0.9 * least, 0.9, True),
        ("predictions-not-nuclear-norm", "bert.loss_masked", (-1,), 1.1 * least, 1.1, False),
        ("nearer-to-the-posterior-mean", "distance", (-1, FLOOR), 0.4 * least, 0.4, True),
        ("nearer-to-the-posterior-mean", "distance", (-1, FLOOR), 0.6 * least, 0.6, False),
    ):
        measured = number(claim, Known(run, {measure_methods: with_number(result, name, at, value)}))
        assert measured == pytest.approx(expected)
        assert measured is not None
        assert (measured in CLAIMS[claim].bound) == holds, claim


def test_an_imitation_of_nuclear_norm_is_nearer_to_it_than_to_the_truth(run: Run, result: Methods) -> None:
    """Whatever its errors, as long as they have nothing to do with the truth."""
    method = result.method["loss_masked"].mean[LEAST]
    for noise in (0.1 * method, 10 * method):
        imitation = with_number(result, "distance", (-1, LEAST), noise)
        imitation = with_number(imitation, "bert.loss_masked", (-1,), method + noise)
        measured = number("predictions-not-nuclear-norm", Known(run, {measure_methods: imitation}))
        assert measured is not None
        assert measured not in CLAIMS["predictions-not-nuclear-norm"].bound


def test_there_is_no_floor_where_the_mask_looks_at_the_matrix() -> None:
    coherent = replace(CONFIG.matrices, mask="coherence")
    with pytest.raises(ConfigError, match="mask"):
        classical(coherent)
    assert classical(replace(coherent, coherence_fraction=0.0)).keys() == classical(CONFIG.matrices).keys()


def test_names_are_those_of_the_methods() -> None:
    assert {claimed.NUCLEAR, claimed.POSTERIOR} < set(NAMES)
    assert list(COLOURS) == list(classical(CONFIG.matrices)) == list(NAMES)


def test_the_floor_is_drawn_as_measured(result: Methods) -> None:
    panels = draw_floor(result).axes
    for axes, loss in zip(panels, ("loss_masked", "loss"), strict=True):
        levels = {line.get_color(): line.get_ydata() for line in axes.lines if line.get_label() in NAMES}
        for name, mean in zip(NAMES, result.method[loss].mean, strict=True):
            assert levels[COLOURS[name]] == [mean, mean]
        (dots,) = axes.containers
        np.testing.assert_array_equal(dots[0].get_xdata(), result.step)
        np.testing.assert_array_equal(dots[0].get_ydata(), result.bert[loss].mean)


def test_closeness_is_drawn_as_measured(result: Methods) -> None:
    distance, share, table = draw_closeness(result).axes
    for axes, values in ((distance, result.distance), (share, result.nearest)):
        lines = {container[0].get_color(): container[0].get_ydata() for container in axes.containers}
        for at, name in enumerate(NAMES):
            np.testing.assert_array_equal(lines[COLOURS[name]], values.mean[:, at])
    truth = next(line for line in distance.lines if line.get_color() == BERT)
    np.testing.assert_array_equal(truth.get_ydata(), result.bert["loss_masked"].mean)
    rows = [label.get_text() for label in table.get_yticklabels()]
    columns = [label.get_text().replace("\n", " ") for label in table.get_xticklabels()]
    assert (rows, columns) == ([*reversed(NAMES), "BERT"], ["true matrix", *reversed(NAMES)])
    cells = {
        (rows[round(text.get_position()[1])], columns[round(text.get_position()[0])]): text.get_text()
        for text in table.texts
    }
    assert len(cells) == 21
    assert float(cells["BERT", "nuclear norm"]) == pytest.approx(result.distance.mean[-1, LEAST], rel=0.05)
    assert float(cells["nuclear norm", "true matrix"]) == pytest.approx(
        result.method["loss_masked"].mean[LEAST], rel=0.05
    )
    assert float(cells["nuclear norm", POSTERIOR]) == pytest.approx(result.between.mean[LEAST, FLOOR], rel=0.05)
