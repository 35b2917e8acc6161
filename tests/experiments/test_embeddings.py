"""The geometry of embeddings, where it is set by hand."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from abruptlab.errors import CheckpointError, RunError
from abruptlab.experiments import embeddings
from abruptlab.experiments.embeddings import (
    explained_by,
    magnitude_and_sign,
    measure_embeddings,
    measure_embeddings_over_time,
    share_explained,
    values_of,
)
from abruptlab.figures.embeddings import draw_embeddings, draw_positions_over_time, draw_tokens_over_time
from abruptlab.model.encoder import Encoder
from abruptlab.paper import Findings, judge
from abruptlab.paper.embeddings import CLAIMS
from abruptlab.paper.verdict import Verdict
from abruptlab.task.matrix import MatrixTask
from abruptlab.task.vocabulary import Vocabulary
from abruptlab.training.state import initial_model
from tests.handmade import COLUMN, COLUMNS, CONFIG, FREE, PLACE, ROW, ROWS, channel, handmade_run
from tests.synthetic import STEPS, make_metrics, make_run

VALUES = Vocabulary.of(CONFIG.matrices).decode(torch.arange(1, Vocabulary.of(CONFIG.matrices).size))
FAR = np.sqrt(10**2 + 1)  # between places of two groups in `grouped`; 1 between two of one group


@pytest.fixture(autouse=True)
def few_shuffles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "SHUFFLES", 10)


@pytest.fixture(autouse=True)
def short_layouts(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """300 iterations of t-SNE, by which what is claimed of clusters is there; not where every place is asked for."""
    if "whole_layouts" not in request.fixturenames:
        monkeypatch.setattr(embeddings, "TSNE", partial(embeddings.TSNE, max_iter=300))


@pytest.fixture
def whole_layouts() -> None:
    """As many iterations as for users."""


def write_tokens(model: Encoder, magnitude: int, sign: int, slope: float = 2.0) -> None:
    """Embed x as slope·|x| in one channel and sign(x) in another."""
    with torch.no_grad():
        values = VALUES[:, None]
        model.token_embedding.weight[1:] = slope * values.abs() * channel(magnitude) + values.sign() * channel(sign)


def group_positions(model: Encoder, by: str) -> None:
    """Let the positions of one row or column lie together, those of two far apart."""
    with torch.no_grad():
        for at in range(ROWS * COLUMNS):
            i, j = divmod(at, COLUMNS)
            group = ROW[i] if by == "row" else COLUMN[j]
            model.position_embedding.weight[at] = 5 * channel(group) + 0.5 * channel(PLACE[at])


def structured(by: str = "column") -> Encoder:
    model = unstructured()
    write_tokens(model, FREE[0], FREE[1])
    group_positions(model, by)
    return model


def unstructured() -> Encoder:
    return cast(Encoder, initial_model(CONFIG))


def test_tokens_of_magnitude_and_sign(tmp_path: Path) -> None:
    found = measure_embeddings(handmade_run(tmp_path, {STEPS: structured()}))
    assert found.step == STEPS
    np.testing.assert_allclose(found.value, np.arange(-100, 101) / 100)
    x, tokens = found.value, found.tokens
    np.testing.assert_allclose(tokens.norm, np.sqrt(2 * (4 * x**2 + np.sign(x) ** 2)), rtol=1e-6, atol=1e-6)
    assert tokens.norm_symmetry == pytest.approx(1)
    np.testing.assert_allclose(tokens.sign, [1, 0], atol=1e-5)  # sign varies more, and both are turned to rise
    np.testing.assert_allclose(tokens.magnitude, [0, 1], atol=1e-5)
    np.testing.assert_allclose(magnitude_and_sign(tokens), [1, 1], atol=1e-5)
    variances = np.array([np.sign(x).var(), (2 * np.abs(x)).var()])
    np.testing.assert_allclose(tokens.explained, variances / variances.sum(), rtol=1e-5)
    np.testing.assert_allclose(tokens.components[:, 0], np.sqrt(2) * np.sign(x), atol=1e-5)


def test_the_components_may_come_in_either_order(tmp_path: Path) -> None:
    model = structured()
    write_tokens(model, FREE[0], FREE[1], slope=9.0)
    found = measure_embeddings(handmade_run(tmp_path, {STEPS: model}))
    np.testing.assert_allclose(found.tokens.magnitude, [1, 0], atol=1e-5)
    np.testing.assert_allclose(magnitude_and_sign(found.tokens), [1, 1], atol=1e-5)


def test_one_component_cannot_be_both(tmp_path: Path) -> None:
    model = structured()
    write_tokens(model, FREE[0], FREE[1], slope=0.0)
    found = measure_embeddings(handmade_run(tmp_path, {STEPS: model}))
    assert magnitude_and_sign(found.tokens).min() < 0.3


def test_norms_that_rise_from_end_to_end_are_antisymmetric(tmp_path: Path) -> None:
    model = structured()
    with torch.no_grad():
        model.token_embedding.weight[1:] = (2 + VALUES[:, None]) * channel(FREE[0])
    assert measure_embeddings(handmade_run(tmp_path, {STEPS: model})).tokens.norm_symmetry == pytest.approx(-1)


@pytest.mark.usefixtures("whole_layouts")
@pytest.mark.parametrize("by", ["column", "row"])
def test_positions_cluster_as_they_were_put(tmp_path: Path, by: str) -> None:
    found = measure_embeddings(handmade_run(tmp_path, {STEPS: structured(by)}))
    assert found.row.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert found.column.tolist() == [0, 1, 2, 3] * 3
    positions = found.positions
    together, apart = (positions.by_column, positions.by_row)[:: 1 if by == "column" else -1]
    groups = COLUMNS if by == "column" else ROWS
    # each group's points differ in their own channel alone (0.5² of it), the groups by 5² in theirs
    within, between = 0.25 * (1 - 1 / 12), 25 * (1 - 1 / groups)
    share = (between + 0.25 * (1 / (12 / groups) - 1 / 12)) / (between + within)
    assert together.score == pytest.approx(share, rel=1e-5)
    assert apart.score < 0.05
    assert together.shuffled == pytest.approx((groups - 1) / 11, abs=0.06)
    assert together.spread > 0.05
    labels = found.column if by == "column" else found.row
    for points in (positions.layout, positions.components if groups == 3 else positions.layout):
        distances = np.linalg.norm(points[:, None] - points, axis=-1) + 1e9 * np.eye(len(points))
        np.testing.assert_array_equal(labels[distances.argmin(1)], labels)


def test_over_time_the_axes_are_the_final_ones(tmp_path: Path) -> None:
    elsewhere, half = structured(), structured()
    write_tokens(elsewhere, FREE[2], FREE[3])
    write_tokens(half, FREE[2], FREE[1])
    run = handmade_run(tmp_path, {0: elsewhere, 750: half, STEPS: structured()})
    found = measure_embeddings_over_time(run)
    assert found.step.tolist() == [0, 750, STEPS]
    np.testing.assert_allclose(magnitude_and_sign(found.tokens)[2], 1, atol=1e-5)
    np.testing.assert_allclose(np.ptp(found.tokens.components[0], axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found.tokens.sign[1, 0], 1, atol=1e-5)
    np.testing.assert_allclose(np.ptp(found.tokens.components[1, :, 1]), 0, atol=1e-5)
    np.testing.assert_allclose(found.tokens.explained.sum(-1)[[0, 2]], [0, 1], atol=1e-5)
    alone = measure_embeddings(run)
    np.testing.assert_allclose(found.tokens.components[-1], alone.tokens.components)
    np.testing.assert_allclose(found.positions.by_column.score, alone.positions.by_column.score)
    np.testing.assert_array_equal(found.positions.layout[0], found.positions.layout[-1])  # the same positions and start
    assert measure_embeddings_over_time(run, ["final"]).step.tolist() == [STEPS]


def with_drop(findings: Findings) -> dict[str, Verdict]:
    """The verdicts on what appears with the drop."""
    claims = {name: claim for name, claim in CLAIMS.items() if name.endswith("-with-drop")}
    return {verdict.id: verdict for verdict in judge(findings, claims)}


def halfway() -> Encoder:
    """A model between the two others: every embedding is their mean."""
    model, structure = unstructured(), structured()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.lerp_(structure.get_parameter(name), 0.5)
    return model


def test_the_claims_hold_where_the_structure_comes_with_the_drop(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {750: unstructured(), 1500: unstructured(), 2000: structured(), STEPS: structured()})
    verdicts = {verdict.id: verdict for verdict in judge(Findings(run), CLAIMS)}
    outcomes = {name: verdict.outcome for name, verdict in verdicts.items()}
    assert outcomes.pop("norm-symmetry") == "fails"  # it is claimed of mid-plateau, too
    assert set(outcomes.values()) == {"holds"}, outcomes
    assert verdicts["magnitude-with-drop"].nulls["steady growth"] == (500 / 2000,)


def test_it_is_known_how_much_came_with_the_drop(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {750: unstructured(), 1500: halfway(), 2000: structured(), STEPS: structured()})
    findings = Findings(run)
    over_time = findings.of(measure_embeddings_over_time)
    untrained = findings.on("untrained").of(measure_embeddings_over_time).tokens.magnitude_share.mean()
    share = over_time.tokens.magnitude_share - untrained
    [number] = with_drop(findings)["magnitude-with-drop"].numbers
    assert number == pytest.approx((share[2] - share[1]) / share[2], rel=1e-3)
    assert share[1] > 0.1 * share[2]


def test_the_claims_fail_where_there_is_none_or_it_was_there_before(tmp_path: Path) -> None:
    findings = Findings(handmade_run(tmp_path, dict.fromkeys((750, 1500, 2000, STEPS), structured())))
    for verdict in with_drop(findings).values():
        assert verdict.numbers == (0.0,)
        assert verdict.outcome == "fails"
    [symmetry] = judge(findings, {"norm-symmetry": CLAIMS["norm-symmetry"]})
    assert symmetry.outcome == "holds"
    swapped = unstructured()
    group_positions(swapped, "row")
    (tmp_path / "other").mkdir()
    run = handmade_run(tmp_path / "other", dict.fromkeys((750, 1500, 2000, STEPS), swapped))
    verdicts = {verdict.id: verdict for verdict in judge(Findings(run), CLAIMS)}
    assert verdicts.pop("positions-with-drop").outcome == "not judged"  # nothing comes that could come with the drop
    assert verdicts.pop("magnitude-and-sign").outcome == "not judged"  # no component is the magnitude
    verdicts = {name: verdict for name, verdict in verdicts.items() if verdict.judged}
    assert {verdict.within for verdict in verdicts.values()} == {(False,)}, verdicts
    columns = verdicts.pop("columns-cluster")
    assert columns.numbers[0] is not None
    assert columns.numbers[0] < 0  # by row, columns are further apart than chance has them
    assert columns.passing == ("shuffled labels",)  # of so few positions, this one shuffle is nearly the rows
    assert columns.outcome == "null passes"
    assert {verdict.outcome for verdict in verdicts.values()} == {"fails"}, verdicts


def test_a_noiseless_code_of_rows_and_columns_is_half_of_either() -> None:
    """The case that no silhouette could tell from chance: at 7×7 it had 0.26."""
    row, column = np.divmod(np.arange(49), 7)
    code = np.concatenate([np.eye(7)[row], np.eye(7)[column]], 1)
    for labels in (row, column):
        found = explained_by(code, labels)
        assert found.score == pytest.approx(0.5)
        assert (found.score - found.shuffled) / found.spread > 3
    noise = np.random.default_rng(0).normal(size=(49, 14))
    found = explained_by(noise, column)
    assert abs(found.score - found.shuffled) < 3 * found.spread
    assert found.shuffled == pytest.approx(6 / 48, abs=0.02)


def test_shares_see_the_size_that_a_correlation_does_not() -> None:
    """Tokens with their value in one channel, and their magnitude in another, faint one."""
    x = np.arange(-100, 101) / 100
    tokens = np.stack([x, 0.1 * np.abs(x)], 1)
    assert share_explained(tokens, np.abs(x)[:, None]) == pytest.approx(
        0.01 * np.abs(x).var() / (x.var() + 0.01 * np.abs(x).var())
    )
    assert share_explained(tokens, x[:, None]) == pytest.approx(1 - share_explained(tokens, np.abs(x)[:, None]))
    assert share_explained(tokens, np.ones((201, 1))) == 0


def test_tokens_linear_in_their_value_are_not_signed(tmp_path: Path) -> None:
    model = structured()
    with torch.no_grad():
        values = VALUES[:, None]
        model.token_embedding.weight[1:] = 2 * values.abs() * channel(FREE[0]) + values * channel(FREE[1])
    run = handmade_run(tmp_path, {750: unstructured(), STEPS: model})
    [verdict] = judge(Findings(run), {"magnitude-and-sign": CLAIMS["magnitude-and-sign"]})
    assert verdict.numbers == (-0.25,) or verdict.numbers[0] == pytest.approx(-0.25, abs=0.01)
    assert verdict.outcome == "fails"


def test_the_same_seed_gives_the_same(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: unstructured()})
    first, again, other = (measure_embeddings(run, seed=seed).positions for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.layout, again.layout)
    assert first.by_row.shuffled == again.by_row.shuffled != other.by_row.shuffled


def test_values_are_those_that_the_task_can_hold() -> None:
    for task, largest in (
        (MatrixTask(rank=1), 1.0),
        (MatrixTask(rank=2), 1.5),
        (MatrixTask(rank=2, limit=1.2), 1.2),
        (MatrixTask(rank=1, factors="gaussian"), 1.5),
        (MatrixTask(rank=2, decimals=0), 1.0),
    ):
        values = values_of(task)
        assert (values[0], values[-1]) == (-largest, largest)
        assert len(values) == 2 * round(largest * 10**task.decimals) + 1


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: structured()})
    with pytest.raises(CheckpointError, match="no checkpoint 'before-drop'"):
        measure_embeddings(run, "before-drop")
    narrow = replace(CONFIG, task=replace(CONFIG.matrices, sizes=((1, 4),)))
    (tmp_path / "narrow").mkdir()
    with pytest.raises(RunError, match="got 1, 4, 201 and 72"):
        measure_embeddings(make_run(tmp_path / "narrow", make_metrics(), (STEPS,), narrow))


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>" and axes.axison]


def points(panel: Axes) -> np.ndarray:
    return np.asarray(panel.collections[0].get_offsets())


def coloured_by(panel: Axes, group: np.ndarray) -> bool:
    """Whether two points of the panel have the same colour exactly if they are of the same group."""
    colours = np.asarray(panel.collections[0].get_facecolor())
    alike = (colours[:, None] == colours).all(-1)
    return bool((alike == (group[:, None] == group)).all())


def test_figure_7_draws_what_was_measured(tmp_path: Path) -> None:
    found = measure_embeddings(handmade_run(tmp_path, {STEPS: structured()}))
    norms, tokens, *places = panels(draw_embeddings(found))
    np.testing.assert_array_equal(norms.lines[0].get_xydata(), np.stack([found.value, found.tokens.norm], -1))
    np.testing.assert_array_equal(points(tokens), found.tokens.components)
    np.testing.assert_array_equal(tokens.collections[0].get_array(), found.value)
    assert tokens.get_xlabel().endswith("$|x|$ 0.00, sign 1.00")
    for panel, expected in zip(places, 2 * [found.positions.layout, found.positions.components], strict=True):
        np.testing.assert_array_equal(points(panel), expected)
    assert [coloured_by(panel, found.column) for panel in places] == [True, True, False, False]
    assert [coloured_by(panel, found.row) for panel in places] == [False, False, True, True]
    # 5² between columns and 0.5² within, as above; by row nothing but what the places' own channels give
    assert places[0].get_xlabel().startswith("explains 99%\n")
    for panel, explained in ((places[0], found.positions.by_column), (places[2], found.positions.by_row)):
        chance = rf"(shuffled {explained.shuffled:.0%} $\pm$ {explained.spread:.0%})"
        assert panel.get_xlabel() == f"explains {explained.score:.0%}\n{chance}"


def test_figures_9_and_10_draw_what_was_measured(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {750: unstructured(), STEPS: structured()})
    found = measure_embeddings_over_time(run)
    tokens = panels(draw_tokens_over_time(found))
    assert [panel.get_title() for panel in tokens] == ["step 750", "step 4,000"]
    for panel, expected in zip(tokens, found.tokens.components, strict=True):
        np.testing.assert_array_equal(points(panel), expected)
    places = panels(draw_positions_over_time(found))
    assert [panel.get_title() for panel in places[:2]] == ["step 750", "step 4,000"]
    for panel, expected in zip(places, 2 * list(found.positions.layout), strict=True):
        np.testing.assert_array_equal(points(panel), expected)
    assert all(coloured_by(panel, found.column) for panel in places[:2])
    assert all(coloured_by(panel, found.row) for panel in places[2:])
    assert places[1].get_xlabel() == "explains 99%"
    by = found.positions.by_column, found.positions.by_row
    expected = [f"explains {score:.0%}" for explained in by for score in explained.score]
    assert [panel.get_xlabel() for panel in places] == expected
