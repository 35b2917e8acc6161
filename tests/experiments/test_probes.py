"""Linear probes, on models that hold rows and columns in known channels."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from abruptlab.errors import CheckpointError, ConfigError
from abruptlab.experiments import forward, probes
from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.probes import PLACES, Probe, Probes, measure_probes, probe, score, targets
from abruptlab.figures.probes import draw_probes
from abruptlab.figures.save import arrays
from abruptlab.model.encoder import Encoder
from abruptlab.paper import Findings, judge
from abruptlab.paper.probes import CLAIMS, FIGURES
from abruptlab.task.matrices import Batch
from tests.handmade import (
    COLUMN,
    COLUMNS,
    CONFIG,
    FREE,
    ROW,
    ROWS,
    VALUE,
    attend,
    carry,
    copier,
    handmade_run,
    prefer,
)
from tests.known import Known, number
from tests.synthetic import STEPS, make_metrics, make_run

ALL, OBSERVED, HIDDEN = range(3)
FEW: dict[str, Any] = {"train": 512, "matrices": 128}
NUMBERS = ("mse", "cosine", "chance_mse", "chance_cosine")
SITES = ["embed", "blocks.0.resid_post", "blocks.1.resid_post"]


def row_holder() -> Encoder:
    """Every token gets the first three entries of its row in layer 0, and the fourth in layer 1."""
    model = copier()
    for column in range(COLUMNS):
        layer, head = divmod(column, CONFIG.model.heads)
        attend(model, layer, head, "row")
        prefer(model, layer, head, COLUMN[column])
        carry(model, layer, head, VALUE, FREE[column])
    return model


def column_holder() -> Encoder:
    """Every token gets its column in layer 0."""
    model = copier()
    for row in range(ROWS):
        attend(model, 0, row, "column")
        prefer(model, 0, row, ROW[row])
        carry(model, 0, row, VALUE, FREE[row])
    return model


def made_up(sites: int, **changes: Any) -> Probes:
    """Probes that find nothing: all errors 1, all cosines 0, by chance as well; with changed arrays by name."""
    names = [f"{target}.{name}" for target in ("row", "column", "element", "singular_vector") for name in NUMBERS]
    values = {name: np.full((sites, 3), 1.0 if "mse" in name else 0.0) for name in names} | changes
    made = {
        target: Probe(*(Estimate(values[f"{target}.{name}"], np.zeros((sites, 3))) for name in NUMBERS))
        for target in ("row", "column", "element", "singular_vector")
    }
    return Probes(STEPS, np.array([f"site {at}" for at in range(sites)]), **made)


def judged(found: Findings) -> dict[str, float | None]:
    return {name: number(name, found) for name in CLAIMS}


def test_a_row_is_read_off_the_layer_that_holds_it(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: row_holder()})
    probes = measure_probes(run, train=768)
    assert probes.step == STEPS
    assert probes.sites.tolist() == SITES
    batch = held_out(run, 256 + 768)[:256]
    variance = (batch.values * batch.observed).square().mean().item()
    # Least squares, worked out by hand: entries of a row are uncorrelated, of equal variance, and a token's own value
    # is each of them for a quarter of the tokens. It explains 1/16 of each, and, the other three known, 1/13.
    np.testing.assert_allclose(probes.row.mse.mean[0, ALL], 15 / 16 * variance, rtol=0.03)
    np.testing.assert_allclose(probes.row.mse.mean[1, ALL], 12 / 13 / 4 * variance, rtol=0.1)
    np.testing.assert_allclose(probes.row.mse.mean[2], 0, atol=1e-6)
    np.testing.assert_allclose(probes.row.cosine.mean[2], 1, atol=1e-3)
    assert (probes.row.cosine.mean[0] < 0.4).all()
    assert abs(probes.row.cosine.mean[0, HIDDEN]) < 0.15
    np.testing.assert_allclose(probes.row.chance_mse.mean[:, ALL], variance, rtol=0.03)
    assert (abs(probes.row.chance_cosine.mean) < 0.15).all()
    assert (probes.column.mse.mean[:, ALL] > 0.75 * variance).all()


def test_a_column_is_read_off_the_layer_that_holds_it(tmp_path: Path) -> None:
    probes = measure_probes(handmade_run(tmp_path, {STEPS: column_holder()}), **FEW)
    np.testing.assert_allclose(probes.column.mse.mean[1:], 0, atol=1e-6)
    assert (probes.column.mse.mean[0] > 0.8 * probes.column.chance_mse.mean[0]).all()
    assert (probes.row.mse.mean > 0.75 * probes.row.chance_mse.mean).all()


def test_a_value_is_known_where_it_is_observed(tmp_path: Path) -> None:
    element = measure_probes(handmade_run(tmp_path, {STEPS: copier()}), **FEW).element
    np.testing.assert_allclose(element.mse.mean[:, OBSERVED], 0, atol=1e-3)
    np.testing.assert_allclose(element.cosine.mean[:, OBSERVED], 1, atol=0.02)
    np.testing.assert_allclose(element.mse.mean[:, HIDDEN], element.chance_mse.mean[:, HIDDEN], rtol=0.03)
    assert (abs(element.cosine.mean[:, HIDDEN]) < 0.25).all()


def test_probes_are_judged_on_matrices_they_have_not_seen(tmp_path: Path) -> None:
    """Random embeddings of width 72 tell 24 tokens apart: of two matrices, a probe learns the rows by heart."""
    run = make_run(tmp_path, make_metrics(), (STEPS,), CONFIG)
    model, batch = run.load_encoder(STEPS), held_out(run, 4)
    np.testing.assert_allclose(probe(model, batch[:2], batch[:2])["row"].mse.mean[0, OBSERVED], 0, atol=1e-6)
    assert (measure_probes(run, train=9, matrices=2).row.mse.mean[0, OBSERVED] > 1e-3).all()


def test_a_singular_vector_is_read_off_a_column_that_changes_sign_with_it(tmp_path: Path) -> None:
    """In a matrix of rank 1 without hidden entries, each column is the left singular vector, up to a factor."""
    nothing_hidden = replace(CONFIG, task=replace(CONFIG.matrices, mask_probability=0.0))
    run = make_run(tmp_path, make_metrics(), {STEPS: column_holder()}, nothing_hidden)
    vector = measure_probes(run, **FEW).singular_vector
    assert (vector.cosine.mean[1:, ALL] > 0.9).all()
    assert (vector.cosine.mean[0, ALL] < 0.75).all()
    assert (vector.chance_cosine.mean[:, ALL] < 0.75).all()
    assert np.isnan(vector.cosine.mean[:, HIDDEN]).all()


def test_targets_are_those_of_each_token() -> None:
    matrix = torch.tensor([1.0, -2.0, 3.0]).outer(torch.tensor([1.0, 1.0, -3.0, 0.5])) / 10
    values = torch.stack([matrix.flatten(), -matrix.flatten()])
    observed = torch.ones(2, ROWS * COLUMNS).bool()
    observed[:, 6] = False  # row 1, column 2
    known = targets(Batch(torch.zeros(2, ROWS * COLUMNS).long(), values, observed, (ROWS, COLUMNS)))
    given = torch.where(observed[0], values[0], 0).view(ROWS, COLUMNS)
    for at in range(ROWS * COLUMNS):
        i, j = divmod(at, COLUMNS)
        assert known["row"][0, at].tolist() == given[i].tolist()
        assert known["column"][0, at].tolist() == given[:, j].tolist()
    assert known["element"][:, 6, 0].tolist() == values[:, 6].tolist()
    unit = -torch.tensor([1.0, -2.0, 3.0]) / 14**0.5  # the right vector's sum is negative as it stands
    torch.testing.assert_close(known["singular_vector"][0], unit.expand(ROWS * COLUMNS, -1))
    torch.testing.assert_close(known["singular_vector"][1], -unit.expand(ROWS * COLUMNS, -1))


def test_a_score_without_sign_takes_the_nearer_one() -> None:
    truth = torch.nn.functional.normalize(torch.randn(4, 6, 3), dim=-1)
    observed = torch.arange(24).view(4, 6) % 3 > 0
    flips = torch.where(torch.rand(4, 6, 1) < 0.5, -1.0, 1.0)
    mse, cosine = score(0.5 * flips * truth, truth, observed, signless=True)
    np.testing.assert_allclose(mse.mean, 0.25 / 3, rtol=1e-5)
    np.testing.assert_allclose(cosine.mean, 1, rtol=1e-5)
    np.testing.assert_allclose(score(-truth, truth, observed)[1].mean, -1, rtol=1e-5)


def test_a_cosine_leaves_out_targets_that_are_zero_and_that_of_numbers_is_over_places() -> None:
    truth = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    observed = torch.tensor([[True, False]])
    _, cosine = score(torch.ones(1, 2, 2), truth, observed)
    np.testing.assert_allclose(cosine.mean, [0.5**0.5, 0.5**0.5, np.nan], rtol=1e-6)
    _, cosine = score(torch.tensor([[[1.0], [1.0]]]), torch.tensor([[[3.0], [-4.0]]]), observed)
    np.testing.assert_allclose(cosine.mean, [-1 / 50**0.5, 1, -1], rtol=1e-6)


def test_ridge_shrinks_the_map(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: row_holder()})
    # An entry s stands in a channel as (s, −s). Weights (b/2, −b/2) miss (1 − b)² E[s²] of it and cost ridge · b²/2:
    # with a ridge of 2 E[s²], b = 1/2 is best. E[s²] is p_obs/9.
    ridge = 2 * 0.7 / 9
    row = measure_probes(run, ridge=ridge, **FEW).row
    assert 0.2 < row.mse.mean[2, ALL] / row.chance_mse.mean[2, ALL] < 0.3
    assert row.cosine.mean[2, ALL] > 0.9
    weak = measure_probes(run, ridge=1e-9, **FEW).row
    np.testing.assert_allclose(weak.mse.mean[2], 0, atol=1e-5)


def test_the_seed_decides_and_the_parts_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = handmade_run(tmp_path, {STEPS: row_holder()})
    first = arrays(measure_probes(run, train=64, matrices=32))
    again = arrays(measure_probes(run, train=64, matrices=32))
    other = arrays(measure_probes(run, train=64, matrices=32, seed=1))
    monkeypatch.setattr(forward, "PART", 7)
    parted = arrays(measure_probes(run, train=64, matrices=32))
    for name in set(first) - {"step", "sites"}:
        np.testing.assert_array_equal(first[name], again[name])
        assert (first[name] != other[name]).any()
        np.testing.assert_allclose(first[name], parted[name], rtol=1e-3, atol=1e-3)


def test_what_makes_no_sense_is_an_error(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    with pytest.raises(ConfigError, match="ridge: expected 0 or more"):
        measure_probes(run, ridge=-1.0)
    with pytest.raises(ConfigError, match="matrices: expected a whole number of at least 1, got 0"):
        measure_probes(run, matrices=0)
    with pytest.raises(ConfigError, match="train: expected a whole number of at least 9, got 8"):  # of eight shuffles
        measure_probes(run, train=8)
    with pytest.raises(CheckpointError, match="no checkpoint 7"):
        measure_probes(run, 7)


def test_the_claims_about_rows(tmp_path: Path) -> None:
    names = ("late-layers-hold-lines", "late-layers-align-with-lines")
    for model, holds in ((row_holder(), True), (copier(), False)):
        (folder := tmp_path / str(holds)).mkdir()
        run = handmade_run(folder, {STEPS: model})
        found = Known(run, {measure_probes: measure_probes(run, **FEW)})
        assert [judged(found)[name] in CLAIMS[name].bound for name in names] == [holds, holds]  # pyright: ignore


@pytest.mark.parametrize("line", ["row", "column"])
@pytest.mark.parametrize("layers", [3, 4])
def test_the_second_half_of_the_layers_is_compared_with_the_first(tmp_path: Path, layers: int, line: str) -> None:
    """Whether it is the row or the column that they hold; what the embeddings hold, the first site, does not matter."""
    late = {3: [2, 3], 4: [3, 4]}[layers]
    error, cosine = np.ones((1 + layers, 3)), np.zeros((1 + layers, 3))
    error[late, ALL], cosine[late, ALL] = 0.3, 0.2
    error[0], cosine[0] = 0.0, 1.0
    run = handmade_run(tmp_path, {STEPS: copier()})
    found = judged(
        Known(run, {measure_probes: made_up(1 + layers, **{f"{line}.mse": error, f"{line}.cosine": cosine})})
    )
    assert found["late-layers-hold-lines"] == pytest.approx(0.3)
    assert found["late-layers-align-with-lines"] == pytest.approx(0.2)


def test_the_authors_cosines_are_absolute_and_count_targets_of_zero() -> None:
    truth = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]).view(1, 3, 2)
    predictions = torch.tensor([[2.0, 0.0], [-3.0, 0.0], [5.0, 5.0]]).view(1, 3, 2)
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    assert score(predictions, truth, everywhere)[1].mean[ALL] == pytest.approx(0)
    assert score(predictions, truth, everywhere, as_authors=True)[1].mean[ALL] == pytest.approx(2 / 3)


def test_what_the_authors_do_is_asked_for_all_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bool] = []
    own_targets, own_score = probes.targets, probes.score

    def targets(batch: Batch, raw_signs: bool = False) -> dict[str, torch.Tensor]:
        heard.append(raw_signs)
        return own_targets(batch, raw_signs)

    def heard_score(*given: Any) -> Any:
        heard.append(given[-1])
        return own_score(*given)

    monkeypatch.setattr(probes, "targets", targets)
    monkeypatch.setattr(probes, "score", heard_score)
    run = handmade_run(tmp_path, {STEPS: copier()})
    for as_authors in (True, False):
        heard.clear()
        measure_probes(run, train=64, matrices=8, as_authors=as_authors)
        assert len(heard) > 4
        assert set(heard) == {as_authors}


def test_the_claims_about_the_middle_layers(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    error, cosine = np.ones((4, 3)), np.zeros((4, 3))
    error[2, HIDDEN], cosine[1, ALL] = 0.2, 0.7
    held = judged(Known(run, {measure_probes: made_up(4, **{"element.mse": error, "singular_vector.cosine": cosine})}))
    assert held["middle-layers-hold-elements"] == pytest.approx(0.2)
    assert held["middle-layers-hold-singular-vectors"] == pytest.approx(0.3)
    # what the embeddings, the last layer or the observed places hold does not count
    error, cosine = np.ones((4, 3)), np.zeros((4, 3))
    error[[0, 3]], error[:, OBSERVED], cosine[[0, 3]] = 0.0, 0.0, 1.0
    lost = judged(Known(run, {measure_probes: made_up(4, **{"element.mse": error, "singular_vector.cosine": cosine})}))
    assert lost["middle-layers-hold-elements"] == lost["middle-layers-hold-singular-vectors"] == 1
    shallow = Known(run, {measure_probes: made_up(2)})  # a single layer has no middle, and no halves
    assert number("middle-layers-hold-elements", shallow) is None
    assert number("middle-layers-hold-singular-vectors", shallow) is None
    with pytest.raises(ConfigError, match="one layer has no halves"):
        number("late-layers-hold-lines", shallow)


def test_a_run_that_still_falls_is_not_judged(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {1900: copier()}, make_metrics(steps=1900))
    verdicts = judge(Known(run, {measure_probes: made_up(3)}), CLAIMS)
    assert {verdict.outcome for verdict in verdicts} == {"not judged"}
    assert {verdict.notes for verdict in verdicts} == {("the run has been stopped while it falls",)}


def test_what_is_drawn_is_what_was_measured() -> None:
    random = np.random.default_rng(0)
    targets_drawn = {"6": ("row", "column"), "20": ("element",), "21": ("singular_vector",)}
    numbers = {f"{t}.{n}": random.random((3, 3)) for ts in targets_drawn.values() for t in ts for n in NUMBERS}
    probes = made_up(3, **numbers)
    for figure, drawn in targets_drawn.items():
        axes = FIGURES[figure].draw(probes).axes
        assert len(axes) == 2 * len(drawn)
        for at, target in enumerate(drawn):
            for panel, name in zip(axes[2 * at : 2 * at + 2], ("mse", "cosine"), strict=True):
                lines = {str(line.get_label()): line.get_ydata() for line in panel.lines}
                bars = {str(bars.get_label()): bars[0].get_ydata() for bars in panel.containers}
                for kind in ("observed", "hidden"):
                    of_kind = PLACES.index(kind)
                    np.testing.assert_array_equal(bars[f"{kind} places"], numbers[f"{target}.{name}"][:, of_kind])
                    chance = numbers[f"{target}.chance_{name}"][:, of_kind]
                    np.testing.assert_array_equal(lines[f"chance, {kind}"], chance)
    ticks = [text.get_text() for text in draw_probes(probes).axes[-1].get_xticklabels()]
    assert ticks == ["emb.", "1", "2"]
