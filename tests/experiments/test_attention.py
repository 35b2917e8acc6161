"""Attention maps and the labels of heads, on heads whose attention is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from abruptlab.errors import CheckpointError
from abruptlab.experiments import forward
from abruptlab.experiments.attention import (
    KINDS,
    Attention,
    label_heads,
    lines_hidden,
    mean_attention,
    measure_attention,
    measure_attention_over_time,
)
from abruptlab.experiments.held_out import held_out
from abruptlab.figures.attention import (
    COLOURS,
    draw_attention,
    draw_attention_over_time,
    draw_attention_to_columns,
    draw_attention_to_rows,
    draw_heads,
)
from abruptlab.model.encoder import Encoder
from abruptlab.paper import Findings, judge
from abruptlab.paper.attention import CLAIMS
from abruptlab.run.run import Run
from abruptlab.task.matrices import Batch
from tests.handmade import COLUMNS, CONFIG, PLACE, ROWS, SEEN, attend, copier, handmade_run, prefer
from tests.known import number
from tests.synthetic import ONSET, STEPS

PLACES = ROWS * COLUMNS
CLAIMED = ("row-heads", "column-heads", "attention-appears", "attention-avoids-hidden", "attention-finds-alone")
OF_THE_END = tuple(name for name in CLAIMED if name != "attention-appears")
LABELS = [["row", "column", "itself"], ["observed", "–", "hidden"]]


@torch.no_grad()
def looker() -> Encoder:
    """Heads that attend to row, column and place; to seen places, to all alike, and to places not seen."""
    model = copier()
    for head, where in enumerate(("row", "column", "place")):
        attend(model, 0, head, where)
    attend(model, 1, 0, "seen")
    attend(model, 1, 2, "seen")
    head = CONFIG.model.width // CONFIG.model.heads
    model.get_parameter("blocks.1.attn.qkv.bias")[2 * head] *= -1
    return model


def finder() -> Encoder:
    """Two heads that attend to the seen places of the query's row, and of its column."""
    model = copier()
    for head, where in enumerate(("row", "column")):
        attend(model, 0, head, where)
        prefer(model, 0, head, SEEN)
    return model


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return handmade_run(tmp_path, {0: copier(), ONSET // 2: copier(), ONSET: looker(), STEPS: looker()})


def same_row() -> np.ndarray:
    return np.kron(np.eye(ROWS), np.ones((COLUMNS, COLUMNS)))


def same_column() -> np.ndarray:
    return np.kron(np.ones((ROWS, ROWS)), np.eye(COLUMNS))


def test_maps_are_those_of_the_heads(run: Run) -> None:
    attention = measure_attention(run, matrices=64)
    assert attention.step == STEPS
    assert attention.size == (ROWS, COLUMNS)
    assert attention.hidden is None
    uniform = np.full((PLACES, PLACES), 1 / PLACES)
    known = ((0, 0, same_row() / COLUMNS), (0, 1, same_column() / ROWS), (0, 2, np.eye(PLACES)), (1, 1, uniform))
    for layer, head, expected in known:
        np.testing.assert_allclose(attention.maps[layer, head], expected, atol=1e-4)


def test_shares_are_those_of_the_heads(run: Run) -> None:
    attention = measure_attention(run, matrices=64, seed=1)
    observed = held_out(run, 64, seed=1).observed.double()
    seen, full = observed.mean().item(), observed.all(1).double().mean().item()  # full: nothing hidden to look at
    expected = {  # itself, row, column, either, observed, hidden
        (0, 0): [1 / 4, 1, 1 / 4, 1, seen, 1 - seen],
        (0, 1): [1 / 3, 1 / 3, 1, 1, seen, 1 - seen],
        (0, 2): [1, 1, 1, 1, seen, 1 - seen],
        (1, 1): [1 / 12, 1 / 3, 1 / 4, 1 / 2, seen, 1 - seen],
    }
    for head, shares in expected.items():
        np.testing.assert_allclose(attention.share.mean[head][:6], shares, atol=1e-4)
    np.testing.assert_allclose(attention.uniform[:6], expected[1, 1], atol=1e-6)
    np.testing.assert_allclose(attention.share.mean[1, (0, 2), 4], [1, full], atol=1e-4)
    np.testing.assert_allclose(attention.share.mean[1, (0, 2), 5], [0, 1 - full], atol=1e-4)
    np.testing.assert_allclose(attention.score.mean, attention.share.mean - attention.uniform, atol=1e-9)
    assert attention.label.tolist() == LABELS


def test_errors_are_over_matrices(run: Run) -> None:
    attention = measure_attention(run, matrices=64)
    np.testing.assert_allclose(attention.share.error[0, :, :4], 0, atol=1e-5)
    shares = held_out(run, 64).observed.double().mean(1).numpy()
    spread = shares.std(ddof=1) / np.sqrt(64)
    assert attention.share.error[1, 1, 4] == pytest.approx(spread, rel=1e-4)
    np.testing.assert_allclose(attention.score.error[1, 1], 0, atol=1e-5)  # it is uniform on every mask
    assert attention.score.error[1, 0, 4] == pytest.approx(spread, rel=1e-3)


def test_a_label_is_the_narrowest_kind_that_gets_most() -> None:
    uniform = np.array([0.0, 0.2, 0.2, 0.4, 0.7, 0.3, 0.0, 0.0])

    def labelled(**score: float) -> str:
        named = {kind.replace(" ", "_"): 0.0 for kind in KINDS} | score
        return str(label_heads(np.array(list(named.values())), uniform))

    assert labelled() == "–"
    assert labelled(row=0.39) == "–"
    assert labelled(row=0.41, row_and_column=0.5, observed=0.3) == "row"
    assert labelled(column=0.41, row_and_column=0.5) == "column"
    assert labelled(row=0.3, column=0.2, row_and_column=0.4) == "row and column"
    assert labelled(itself=0.3, row=0.5, column=0.5, row_and_column=0.6) == "row and column"
    assert labelled(itself=0.6, row=0.5, column=0.5, row_and_column=0.6) == "itself"
    assert labelled(observed=0.16, hidden=-0.16) == "observed"
    assert labelled(observed=-0.36, hidden=0.36) == "hidden"


def test_what_uniform_attention_gives_in_full_is_no_label() -> None:
    assert label_heads(np.zeros(8), np.array([0.1, 1.0, 0.1, 1.0, 1.0, 0.0, 0.0, 0.0])) == "–"


def test_the_papers_mask_and_its_kin() -> None:
    assert lines_hidden((7, 7), "rows") == {"hidden_rows": (3, 6), "hidden_columns": (), "kept": ((3, 1), (6, 5))}
    assert lines_hidden((7, 7), "columns") == {"hidden_rows": (), "hidden_columns": (3, 6), "kept": ((1, 3), (5, 6))}
    assert lines_hidden((3, 4), "columns") == {"hidden_rows": (), "hidden_columns": (2, 3), "kept": ((1, 2), (1, 3))}
    assert lines_hidden((1, 1), "rows") == {"hidden_rows": (0,), "hidden_columns": (), "kept": ((0, 0),)}


def test_a_fixed_mask_is_that_of_all_matrices(run: Run) -> None:
    rows, columns = (measure_attention(run, mask=mask, matrices=4).hidden for mask in ("rows", "columns"))
    assert rows is not None
    assert columns is not None
    assert rows.reshape(ROWS, COLUMNS).astype(int).tolist() == [[0, 0, 0, 0], [1, 0, 1, 1], [1, 1, 0, 1]]
    assert columns.reshape(ROWS, COLUMNS).astype(int).tolist() == [[0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1]]


def test_a_single_mask_is_one_random_mask(run: Run) -> None:
    hidden = [measure_attention(run, mask="single", matrices=4, seed=seed).hidden for seed in (0, 1)]
    for seed, mask in enumerate(hidden):
        np.testing.assert_array_equal(mask, ~held_out(run, 1, seed).observed[0].numpy())
    assert (hidden[0] != hidden[1]).any()


def test_shares_on_the_only_observed_entries(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: finder()})
    rows, columns = (measure_attention(run, mask=mask, matrices=4) for mask in ("rows", "columns"))
    in_row, in_column = KINDS.index("alone in row"), KINDS.index("alone in column")
    assert rows.uniform[in_row] == pytest.approx(2 / 12)
    assert rows.uniform[in_column] == pytest.approx(2 / 12)  # the first row is alone in the outer columns
    assert columns.uniform[[in_row, in_column]] == pytest.approx([0, 2 / 12])
    # all the attention of the eight places in hidden rows; half of that of the six in the columns of the two entries
    np.testing.assert_allclose(rows.share.mean[0, :, in_row], [8 / 12, 3 / 12, 2 / 12], atol=1e-4)
    np.testing.assert_allclose(columns.share.mean[0, :, in_column], [2 / 12, 6 / 12, 2 / 12], atol=1e-4)
    np.testing.assert_allclose(rows.share.mean[0, :, KINDS.index("hidden")], [0, 0, 1 / 2], atol=1e-4)


def test_the_only_entry_of_a_line_is_not_alone() -> None:
    batch = Batch(torch.ones(1, 4).long(), torch.zeros(1, 4), torch.tensor([[True, False, False, False]]), (1, 4))
    model = copier()
    attention = mean_attention(model, batch, 0)
    np.testing.assert_allclose(attention.uniform[-2:], [1 / 4, 0])


def test_several_checkpoints_side_by_side(run: Run) -> None:
    over_time = measure_attention_over_time(run, matrices=32)
    assert over_time.step.tolist() == [0, ONSET // 2, ONSET, STEPS]  # start, before the drop, onset, final
    assert (over_time.label[:2] == "–").all()
    assert over_time.label[2:].tolist() == [LABELS, LABELS]
    final = measure_attention(run, matrices=32)
    np.testing.assert_array_equal(over_time.maps[-1], final.maps)
    np.testing.assert_array_equal(over_time.share.mean[-1], final.share.mean)
    assert measure_attention_over_time(run, ["final", 0], matrices=4).step.tolist() == [0, STEPS]


def test_the_seed_decides_and_parts_do_not_matter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = (measure_attention(run, matrices=30, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(first.maps, measure_attention(run, matrices=30).maps)
    assert (first.maps[1, 0] != other.maps[1, 0]).any()
    monkeypatch.setattr(forward, "PART", 7)
    in_parts = measure_attention(run, matrices=30)
    np.testing.assert_allclose(in_parts.maps, first.maps, atol=1e-6)
    np.testing.assert_allclose(in_parts.share.mean, first.share.mean, atol=1e-6)
    np.testing.assert_allclose(in_parts.share.error, first.share.error, atol=1e-6)


def test_a_single_step_is_one_step(run: Run) -> None:
    assert measure_attention_over_time(run, "final", matrices=2).step.tolist() == [run.steps[-1]]


def test_a_missing_checkpoint_is_an_error(tmp_path: Path) -> None:
    run = handmade_run(tmp_path, {STEPS: copier()})
    with pytest.raises(CheckpointError, match="there are: "):
        measure_attention(run, "before-drop")
    with pytest.raises(CheckpointError, match="there are: 4000"):
        measure_attention_over_time(run, [7])


def test_a_run_without_checkpoints_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there are: none"):
        measure_attention_over_time(handmade_run(tmp_path, {}))


def judged(run: Run, claimed: tuple[str, ...] = CLAIMED) -> dict[str, float]:
    found = Findings(run, matrices=16)
    numbers = {name: number(name, found) for name in claimed}
    assert None not in numbers.values()
    return {name: float(value) for name, value in numbers.items() if value is not None}


def test_the_claims_hold_for_heads_that_find_what_is_seen_of_a_line(tmp_path: Path) -> None:
    models = {ONSET // 2: copier(), ONSET: copier(), 2000: finder(), STEPS: finder()}
    numbers = judged(handmade_run(tmp_path, models))
    assert all(numbers[name] in CLAIMS[name].bound for name in CLAIMED), numbers
    assert numbers["attention-avoids-hidden"] == pytest.approx(0, abs=1e-3)
    assert numbers["attention-finds-alone"] <= 3 + 1e-3  # the column head, over other observed entries


def test_heads_that_ignore_the_mask_neither_avoid_nor_find(tmp_path: Path) -> None:
    model = copier()
    for head, place in enumerate((5, 6)):  # (1, 1) and (1, 2): the only ones left of a hidden row, of a hidden column
        prefer(model, 0, head, PLACE[place])
    numbers = judged(handmade_run(tmp_path, {ONSET // 2: copier(), STEPS: model}), OF_THE_END)
    assert numbers["attention-avoids-hidden"] > 0.5
    assert numbers["attention-finds-alone"] == pytest.approx(1, rel=1e-3)


def test_the_claims_about_lines_are_numbers_of_other_places(tmp_path: Path) -> None:
    numbers = judged(handmade_run(tmp_path, {ONSET // 2: copier(), STEPS: looker()}), OF_THE_END)
    assert numbers["row-heads"] == pytest.approx(3 / 4, abs=1e-3)
    assert numbers["column-heads"] == pytest.approx(2 / 3, abs=1e-3)


def test_the_claims_fail_for_uniform_attention(tmp_path: Path) -> None:
    numbers = judged(handmade_run(tmp_path, {ONSET // 2: copier(), STEPS: copier()}), OF_THE_END)
    assert not any(numbers[name] in CLAIMS[name].bound for name in OF_THE_END), numbers


@pytest.mark.parametrize(("at_onset", "part", "outcome"), [(copier, 1.0, "holds"), (looker, 0.0, "fails")])
def test_what_was_there_at_the_onset_has_not_appeared_with_the_drop(
    at_onset: Callable[[], Encoder], part: float, outcome: str, tmp_path: Path
) -> None:
    models = {ONSET // 2: copier(), ONSET: at_onset(), 2000: looker(), STEPS: looker()}
    run = handmade_run(tmp_path, models)
    [verdict] = judge(Findings(run, matrices=16), {"attention-appears": CLAIMS["attention-appears"]})
    assert verdict.numbers[0] == pytest.approx(part, abs=0.01)
    assert verdict.outcome == outcome
    assert verdict.nulls["steady growth"] == (pytest.approx(500 / 1250, rel=1e-3),)
    (tmp_path / "flat").mkdir()
    flat = handmade_run(tmp_path / "flat", dict.fromkeys(models, copier()))
    [verdict] = judge(Findings(flat, matrices=16), {"attention-appears": CLAIMS["attention-appears"]})
    assert not verdict.judged


def images(axes: Axes, shape: tuple[int, int]) -> list[np.ndarray]:
    arrays = [np.asarray(image.get_array()) for image in axes.images]
    return [array for array in arrays if array.shape == shape]


def written(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_figure_4_draws_every_map_with_its_label(run: Run) -> None:
    attention = measure_attention(run, matrices=16)
    canvas = draw_attention(attention).axes[0]
    np.testing.assert_array_equal(images(canvas, (PLACES, PLACES)), attention.maps.reshape(-1, PLACES, PLACES))
    texts = written(canvas)
    assert {"Layer 1", "Layer 2", "Head 1", "Head 3"} <= {*texts}
    titles = [text for text in texts if text.split()[0] in {"row", "column", "itself", "observed", "hidden", "–"}]
    assert titles[:3] == ["row 0.67", "column 0.75", "itself 0.92"]
    assert titles[4] == "–"
    assert len(titles) == 6


def test_figure_5_draws_the_mask_with_each_map(run: Run) -> None:
    for mask, draw, line in (("rows", draw_attention_to_rows, "row"), ("columns", draw_attention_to_columns, "column")):
        attention = measure_attention(run, mask=mask, matrices=4)  # pyright: ignore[reportArgumentType]
        canvas = draw(attention).axes[0]
        assert attention.hidden is not None
        for shape in ((1, PLACES), (PLACES, 1)):
            strips = images(canvas, shape)
            assert len(strips) == 6
            assert all((strip.ravel() == attention.hidden).all() for strip in strips)
        holes = [patch for patch in canvas.patches if patch.get_hatch()]
        assert len(holes) == attention.hidden.sum()
        hidden, alone = (attention.share.mean[0, 0, KINDS.index(kind)] for kind in ("hidden", f"alone in {line}"))
        assert f"{hidden:.2f} | {alone:.2f}" in written(canvas)


def test_figure_22_frames_labelled_maps(run: Run) -> None:
    over_time = measure_attention_over_time(run, matrices=16)
    canvas = draw_attention_over_time(over_time).axes[0]
    np.testing.assert_array_equal(images(canvas, (PLACES, PLACES)), over_time.maps.reshape(-1, PLACES, PLACES))
    assert {"step 0", "step 750", "step 1,500", "step 4,000"} <= {*written(canvas)}
    frames = [Rectangle((0, 0), 1, 1, edgecolor=COLOURS[label]) for label in over_time.label.flat if label != "–"]
    assert [patch.get_edgecolor() for patch in canvas.patches] == [frame.get_edgecolor() for frame in frames]


def test_the_heads_figure_draws_scores_and_errors(run: Run) -> None:
    attention: Attention = measure_attention(run, matrices=16)
    panels = draw_heads(attention).axes
    for axes, kind in zip(panels, ("itself", "row", "column", "row and column", "observed"), strict=True):
        assert axes.get_title(loc="left").startswith(kind)
        heights = [bar.get_height() for bar in axes.patches if isinstance(bar, Rectangle)]
        np.testing.assert_allclose(heights, attention.score.mean[..., KINDS.index(kind)].ravel())
    bars = panels[1].patches
    assert [to_rgba(bar.get_facecolor())[3] for bar in bars] == [1.0, *[0.35] * 5]  # the row head alone
