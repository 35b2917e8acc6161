import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest import mock

import matplotlib
import numpy as np
import pytest
from matplotlib.lines import Line2D
from PIL import Image

from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.estimate import Estimate
from abruptlab.experiments.examples import ExampleMatrices
from abruptlab.experiments.losses import LossCurves, measure_loss_curves
from abruptlab.experiments.overview import Overview
from abruptlab.experiments.sequence_attention import SequenceAttention
from abruptlab.figures.gpt import draw_sequence_attention
from abruptlab.figures.loss import draw_loss_curves
from abruptlab.figures.matrices import draw_examples
from abruptlab.figures.overview import draw_overview
from abruptlab.figures.save import arrays, packed, save_figure
from abruptlab.figures.style import Drawing, paper_style
from abruptlab.paper import FIGURES, Findings, make_figure
from abruptlab.presets import preset
from abruptlab.run.run import Run
from abruptlab.task.held_out import held_out_of
from tests.handmade_gpt import gpt_run
from tests.plateaus import make_folder
from tests.synthetic import CONFIG, STEPS, make_metrics, make_run

COLOURS = 50  # a picture has more: `getcolors` then gives none


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return make_run(tmp_path, make_metrics())


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Findings]:
    """What is measured on a run of each kind; several figures show one measurement."""
    make = {"encoder": lambda at: make_run(at, make_metrics()), "decoder": gpt_run, "sequence": make_folder}
    return {kind: Findings(each(tmp_path_factory.mktemp(kind)), matrices=8) for kind, each in make.items()}


@pytest.fixture(scope="module")
def curves(found: dict[str, Findings]) -> LossCurves:
    return measure_loss_curves(found["encoder"].run)


def make_example(rows: int, columns: int) -> ExampleMatrices:
    random = np.random.default_rng(0)
    truth = random.uniform(-1, 1, (rows, columns)).round(2)
    observed = random.random((rows, columns)) > 0.3
    return ExampleMatrices(
        truth=truth,
        observed=observed,
        tokens=np.where(observed, (100 * truth).astype(int) + 101, 0),
        steps=np.array([10, 90]),
        predictions=np.stack([np.where(observed, truth, 0.004), truth + 0.02]),
        decimals=2,
        onset=50,
        end=80,
    )


@pytest.mark.parametrize("figure", [name for name, spec in FIGURES.items() if not spec.sweep])
def test_a_figure_is_saved_with_its_data_and_how_it_was_made(found: dict[str, Findings], figure: str) -> None:
    findings = found[FIGURES[figure].kind]
    picture, pdf, data, made = make_figure(figure, findings, "abruptlab figure")
    assert [path.name for path in (picture, pdf, data, made)] == [
        f"figure_{figure}.{e}" for e in ("png", "pdf", "npz", "json")
    ]
    assert picture.parent == findings.folder / "figures"
    with Image.open(picture) as image:
        assert image.width == 1650  # 5.5 inches at 300 dpi
        assert image.getcolors(COLOURS) is None
    assert pdf.read_bytes().startswith(b"%PDF")
    expected = arrays(findings.of(FIGURES[figure].measure))
    with np.load(data) as saved:
        assert saved.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(saved[name], values)
    facts = json.loads(made.read_text())
    assert facts["command"] == "abruptlab figure"
    assert facts["seed"] == 0
    assert {"python", "torch", "numpy", "matplotlib", "abruptlab", "device"} < facts.keys()


def test_a_notebook_shows_a_figure_as_a_picture(curves: LossCurves) -> None:
    drawing = draw_loss_curves(curves)
    assert isinstance(drawing, Drawing)
    with Image.open(io.BytesIO(drawing._repr_png_())) as image:
        assert image.width == 825  # 5.5 inches at 150 dpi
        assert image.getcolors(COLOURS) is None


def test_the_losses_of_a_single_step_have_axes(tmp_path: Path) -> None:
    figure = draw_loss_curves(measure_loss_curves(make_run(tmp_path, make_metrics(1))))  # warnings are errors here
    for axes in figure.axes:
        assert [line.get_marker() for line in axes.lines].count(".") == 3  # a line through one point is not seen
        assert axes.get_xticks().tolist() == [0, 1]


def test_the_same_run_gives_the_same_bytes(run: Run) -> None:
    first = [path.read_bytes() for path in make_figure("2", Findings(run), "x")]
    assert first == [path.read_bytes() for path in make_figure("2", Findings(run), "x")]


def test_a_saved_figure_is_laid_out_once_and_can_be_changed_after(curves: LossCurves, tmp_path: Path) -> None:
    figure = draw_loss_curves(curves)
    engine = figure.get_layout_engine()
    assert engine is not None
    with mock.patch.object(engine, "execute", wraps=engine.execute) as execute:
        save_figure(figure, tmp_path, "figure", {}, "command", 0)
    execute.assert_called_once()
    assert figure.get_layout_engine() is engine


def test_an_unknown_figure_lists_those_there_are(run: Run) -> None:
    with pytest.raises(ConfigError, match="no figure 'loses'; there are: 1, 2, matrices, 4"):
        make_figure("loses", Findings(run), "x")


def test_a_folder_that_cannot_be_written_is_one_line(run: Run) -> None:
    (run.folder / "figures").write_text("in the way")
    with pytest.raises(RunError, match=r"cannot write .*figures"):
        make_figure("2", Findings(run), "x")


def test_what_is_drawn_is_what_was_measured(curves: LossCurves) -> None:
    for axes in draw_loss_curves(curves).axes:
        drawn = {str(line.get_label()): line for line in axes.lines if isinstance(line, Line2D)}
        for label, values in (
            ("$L$", curves.smooth_loss),
            (r"$L_\mathrm{obs}$", curves.smooth_observed),
            (r"$L_\mathrm{mask}$", curves.smooth_masked),
        ):
            np.testing.assert_array_equal(drawn[label].get_ydata(), values)
        assert drawn[r"$L_\mathrm{mask}$ of predicting zero"].get_ydata() == [curves.copying_level] * 2


def test_the_drop_is_named_where_there_is_one(curves: LossCurves) -> None:
    assert curves.drop is not None
    words = " ".join(text.get_text() for text in draw_loss_curves(curves).axes[1].texts)
    assert f"onset {curves.drop.onset:,}" in words
    assert f"end {curves.drop.end:,}" in words
    under_way = replace(curves, drop=replace(curves.drop, end=None))
    assert "under way" in " ".join(text.get_text() for text in draw_loss_curves(under_way).axes[1].texts)
    assert not draw_loss_curves(replace(curves, drop=None)).axes[1].texts


def test_matrices_print_every_number_but_the_hidden(curves: LossCurves) -> None:
    example = make_example(3, 4)
    given, before, after, truth, *_ = draw_examples(example).axes
    assert "before the drop" in before.get_title()
    assert "after the drop" in after.get_title()
    in_fall = draw_examples(replace(make_example(3, 3), end=None)).axes[2]
    assert "in the drop" in in_fall.get_title()
    assert len(given.texts) == example.observed.sum()
    written = [float(text.get_text().replace("−", "-")) for text in truth.texts]
    np.testing.assert_array_equal(np.reshape(written, (3, 4)), example.truth)
    assert "−0.00" not in {text.get_text() for text in before.texts}


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 9), (12, 12)])
def test_any_size_of_matrix_can_be_drawn(curves: LossCurves, rows: int, columns: int) -> None:
    example = make_example(rows, columns)
    for figure in (draw_examples(example), draw_overview(Overview(example, curves))):
        images = [image.get_array() for axes in figure.axes for image in axes.images]
        assert sum(image is not None and image.shape == (rows, columns) for image in images) > 1
        figure.savefig(io.BytesIO(), dpi=40)
    assert bool(draw_examples(example).axes[0].texts) == (columns <= 8 and bool(example.observed.any()))


def test_nothing_hidden_and_all_zero_can_be_drawn() -> None:
    example = make_example(3, 3)
    empty = replace(example, truth=0 * example.truth, observed=example.observed | True)
    draw_examples(empty).savefig(io.BytesIO())


def test_the_caller_s_settings_come_back() -> None:
    with matplotlib.rc_context({"font.size": 31}):
        with paper_style():
            assert matplotlib.rcParams["font.size"] == 8
        assert matplotlib.rcParams["font.size"] == 31


def test_figures_can_be_made_in_threads(curves: LossCurves) -> None:
    with ThreadPoolExecutor(4) as pool:
        figures = list(pool.map(draw_loss_curves, [curves] * 4))
    assert all(figure.axes[0].get_xlim() == (1, STEPS) for figure in figures)


def test_no_python_object_is_packed() -> None:
    with np.load(io.BytesIO(packed({"x": np.arange(3)})), allow_pickle=False) as there:
        np.testing.assert_array_equal(there["x"], np.arange(3))
    with pytest.raises(TypeError, match="x: expected an array of numbers or text, got one of objects"):
        packed({"x": np.array([{}, None])})


@pytest.mark.parametrize("name", ["gpt", "permutation", "addition"])
def test_the_parts_of_a_sequence_are_named_in_their_middle(name: str) -> None:
    """An answer may be half as long as its prompt."""
    task = preset(name).task
    objective = task.objective(causal=True)
    places = objective.inputs(held_out_of(task, 2)).shape[1]
    none, maps = np.zeros((1, 1, 1)), np.ones((1, 1, 1, places, places))
    attention = SequenceAttention(np.array([1]), objective.answer - 1, maps, Estimate(none, none))
    axes = draw_sequence_attention(attention).axes[0]
    middle = [np.arange(objective.answer - 1).mean(), np.arange(objective.answer, places).mean()]
    assert axes.get_xticks().tolist() == axes.get_yticks().tolist() == middle


def hiding(probability: float, folder: Path) -> Findings:
    task = replace(CONFIG.matrices, mask_probability=probability)
    return Findings(make_run(folder, make_metrics(), config=replace(CONFIG, task=task)), matrices=4)


@pytest.mark.parametrize("figure", ["19", "closeness", "floor"])
def test_where_nothing_is_hidden_nothing_is_completed(figure: str, tmp_path: Path) -> None:
    make_figure(figure, hiding(1.0, tmp_path), "by hand")
    with pytest.raises(RunError, match=r"its task hides no entry \(task.mask_probability 0\), so nothing is completed"):
        make_figure(figure, hiding(0.0, tmp_path), "by hand")


@pytest.mark.parametrize("figure", ["ablation", "ablation-groups"])
def test_a_panel_of_no_entries_says_so(figure: str, tmp_path: Path) -> None:
    spec, found = FIGURES[figure], hiding(1.0, tmp_path)
    drawn = spec.draw(found.of(spec.measure))
    empty = [axes for axes in drawn.axes if "no such entries" in [text.get_text() for text in axes.texts]]
    assert empty
    assert all("obs" in axes.get_ylabel() for axes in empty if axes.get_ylabel())
    make_figure(figure, found, "by hand")
