"""Sweeps whose curves are made up: what is measured over their seeds, and what is claimed of them."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abruptlab.cli.looking import make_all
from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.held_out import held_out
from abruptlab.experiments.level import trivial_level
from abruptlab.experiments.variants import measure_families, measure_variants, over_seeds
from abruptlab.figures.variants import draw_variants
from abruptlab.paper import CLAIMS, Findings, Verdict, judge, make_figure, make_table
from abruptlab.paper.variants import tabulate_families
from abruptlab.report.index import build_index
from abruptlab.sweep.file import Point, Sweep
from tests.synthetic import LEVEL, STEPS, make_metrics, make_sweep

Metrics = dict[str, np.ndarray]
NEVER = 9 * STEPS
HEAD = 'name = "variants"\nbase = "base.toml"\n'
FACTORS = (
    HEAD
    + """
seeds = [0, 1, 2]
[[variants]]
family = "factors"
label = "uniform"
[[variants]]
family = "factors"
label = "Gaussian"
task = { factors = "gaussian", limit = 40.0 }
[[variants]]
family = "factors"
label = "Laplace"
task = { factors = "laplace", limit = 300.0, decimals = 1 }
"""
)


def scaled(metrics: Metrics, level: float) -> Metrics:
    """The same curve at another level."""
    return {name: values * level / LEVEL if "loss" in name else values for name, values in metrics.items()}


def of_factors(point: Point) -> Metrics | None:
    """Uniform: a later drop at every seed; Gaussian: a drop at the first alone; Laplace: only the last is finished."""
    seed, kind = point.config.seed, point.config.matrices.factors
    onset = {"uniform": 1000 + 400 * seed, "gaussian": 1000 if seed == 0 else NEVER, "laplace": 1000}[kind]
    metrics = make_metrics(onset=onset, end=onset + 400, final=0.1 * (seed + 1))
    return None if kind == "laplace" and seed < 2 else scaled(metrics, point.config.matrices.copying_level)


@pytest.fixture(scope="module")
def factors(tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """Not to be written to."""
    return make_sweep(tmp_path_factory.mktemp("factors"), FACTORS, of_factors)


def test_drops_and_levels_over_seeds(factors: Sweep) -> None:
    found = measure_variants(factors, "factors")
    assert found.labels.tolist() == ["uniform", "Gaussian", "Laplace"]
    assert found.planned.tolist() == [3, 3, 3]
    assert found.finished.tolist() == [3, 3, 1]
    assert found.dropped.tolist() == [3, 1, 1]
    np.testing.assert_allclose(found.level, [1 / 9, 1, 4])
    np.testing.assert_allclose(found.loss_of_zero, [1 / 30, 0.3, 1.2])

    fallen = [0.1 / (1 - final) for final in (0.1, 0.2, 0.3)]  # share of the fall at which a tenth is lost
    onsets = [1000 + 400 * (seed + fallen[seed]) for seed in range(3)]
    np.testing.assert_allclose(found.onset.each[0], onsets, atol=20)
    np.testing.assert_allclose(found.onset.each[1], [onsets[0], np.inf, np.inf], atol=20)
    np.testing.assert_allclose(found.onset.median, [onsets[1], np.inf, onsets[0]], atol=20)
    assert (found.onset.low[0], found.onset.high[0]) == (found.onset.each[0, 0], found.onset.each[0, 2])
    assert (found.width.each[0] < 400).all()
    np.testing.assert_allclose(found.depth.each[0], [10, 5, 10 / 3], rtol=0.05)
    assert found.depth.each[1, 1:].tolist() == [1, 1]
    halved = [1000 + 400 * (seed + 0.5 / (0.9 - 0.1 * seed)) for seed in range(3)]
    np.testing.assert_allclose(found.halved.each[0], halved, atol=20)

    for numbers in (found.seed, found.onset.each, found.final_loss.each):
        assert np.isnan(numbers[2]).tolist() == [False, True, True]
    np.testing.assert_allclose(found.final_over_level.each[0], [0.1, 0.2, 0.3], rtol=0.02)
    np.testing.assert_allclose(found.final_over_level.median, [0.2, 1, 0.3], rtol=0.02)  # whatever the level
    np.testing.assert_allclose(found.final_falling.median, found.final_over_level.median * found.level)
    np.testing.assert_allclose(found.final_other.median, 0.002 * found.level, rtol=0.02)
    np.testing.assert_allclose(
        found.final_loss.median, 0.3 * found.final_falling.median + 0.7 * found.final_other.median, rtol=0.02
    )


def test_curves_are_the_running_means(tmp_path: Path) -> None:
    found = measure_variants(make_sweep(tmp_path, FACTORS, of_factors), "factors")
    half = found.step[0].searchsorted(700)
    relative = found.falling / found.level[:, None, None]
    np.testing.assert_allclose(relative[0, :, half], 1, atol=0.05)
    np.testing.assert_allclose(relative[0, :, -1], [0.1, 0.2, 0.3], rtol=0.05)
    np.testing.assert_allclose(found.loss[0, :, half] / found.loss_of_zero[0], 1, atol=0.05)
    assert np.isnan(found.loss[2, 1:]).all()


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    each = np.random.default_rng(0).exponential(size=(4000, 3))
    each[0] = [np.nan, 5, np.inf]
    found = over_seeds(each)
    assert (found.low[0], found.median[0], found.high[0]) == (5, np.inf, np.inf)
    held = (found.low <= np.log(2)) & (np.log(2) <= found.high)
    assert held.mean() == pytest.approx(0.75, abs=0.03)
    assert np.isnan(over_seeds(np.array([[np.nan]])).median).all()


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.95, 1.05), (1.0, 1.3, 5.0)])
def test_the_level_of_a_mask_that_looks_is_measured(tmp_path: Path, share: float, low: float, high: float) -> None:
    text = HEAD + f'[[variants]]\nlabel = "x"\ntask = {{ mask = "coherence", coherence_fraction = {share} }}\n'
    [[run]] = make_sweep(tmp_path, text, lambda point: make_metrics()).runs().values()
    assert low * LEVEL < trivial_level(run) < high * LEVEL
    batch = held_out(run, 4096, seed=7)
    assert trivial_level(run) == pytest.approx(float(batch.values[~batch.observed].square().mean()), rel=0.05)


def test_nothing_finished_is_said_so(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path, FACTORS, lambda point: None)
    with pytest.raises(RunError, match="no run of the family 'factors' is finished"):
        measure_variants(sweep, "factors")
    with pytest.raises(RunError, match="no run is finished"):
        measure_families(sweep)
    [drops, _] = (verdict for verdict in judge(Findings(sweep)) if verdict.id.startswith("gaussian"))
    assert (drops.outcome, drops.numbers) == ("not judged", (None,))
    assert "no run of the family 'factors' is finished" in drops.notes[0]


def of_any_kind(point: Point) -> Metrics:
    made = make_metrics()
    return made | {name: made["loss_masked"] for name in point.config.objective.names if name not in made}


KINDS = """[[variants]]
family = "BERT"
label = "BERT"
[[variants]]
family = "GPT"
label = "GPT"
model = { kind = "decoder", mask_embedding = "trained" }
"""


def test_runs_of_several_kinds_are_not_called_by_the_name_of_one(tmp_path: Path) -> None:
    table = tabulate_families(measure_families(make_sweep(tmp_path, HEAD + KINDS, of_any_kind)))
    assert table.columns[7:] == ("whole loss", "its part that falls", "that / the trivial solution's")
    assert [row[-1] == "–" for row in table.rows] == [False, True]


def test_a_family_of_several_kinds_has_no_figure_and_a_page(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path, HEAD + KINDS.replace('family = "BERT"', 'family = "GPT"'), of_any_kind)
    with pytest.raises(RunError, match="expected the runs of a family to have a loss in common, got L_mask, L_obs"):
        measure_families(sweep)
    page = build_index(Findings(sweep)).read_text()
    assert "what falls, of several kinds of runs; over the trivial solution" in page


def test_a_moment_that_there_is_none_of_is_said(factors: Sweep) -> None:
    with pytest.raises(ConfigError, match="no moment 'end'; there are: onset, halved"):
        draw_variants(measure_variants(factors, "factors"), moment="end")


def test_a_sweep_whose_variants_are_renamed_is_another_subject(tmp_path: Path) -> None:
    origins = []
    for label in ("uniform", "even"):
        (tmp_path / label).mkdir()
        sweep = make_sweep(tmp_path / label, FACTORS.replace('"uniform"', f'"{label}"'), of_factors)
        origins.append(Findings(sweep).origin(measure_variants))
    assert origins[0] != origins[1]


def test_a_variant_without_a_finished_run_is_no_warning(tmp_path: Path) -> None:
    text = HEAD + '[[variants]]\nfamily = "depth"\nlabel = "1"\n'
    text += '[[variants]]\nfamily = "depth"\nlabel = "2"\nmodel.layers = 2\n'
    sweep = make_sweep(tmp_path, text, lambda point: make_metrics() if point.label == "1" else None)
    [verdict] = judge(Findings(sweep), {"depth-earlier": CLAIMS["depth-earlier"]})
    assert (verdict.outcome, verdict.notes) == ("not judged", ("1 of 1 seeds cannot be judged",))


def test_a_family_that_lacks_what_a_claim_compares_is_said_so(tmp_path: Path) -> None:
    text = FACTORS.replace('label = "Gaussian"', 'label = "normal"') + '[[variants]]\nfamily = "width"\nlabel = "64"\n'
    verdicts = {verdict.id: verdict for verdict in judge(Findings(make_sweep(tmp_path, text, of_factors)))}
    assert verdicts["gaussian-drops"].notes == ("expected Gaussian among the factors, got uniform, normal, Laplace",)
    assert verdicts["width-suboptimal"].notes == ("expected more than 1 variants in the family, got 64",)


def test_a_row_a_variant(factors: Sweep) -> None:
    table = tabulate_families(measure_families(factors))
    assert [row[:4] for row in table.rows] == [
        ("factors", "uniform", "3 of 3", 3),
        ("factors", "Gaussian", "3 of 3", 1),
        ("factors", "Laplace", "1 of 3", 1),
    ]
    onset, gaussian = table.rows[0][4], table.rows[1][4]
    assert re.fullmatch(r"14\d\d \(10\d\d to 18\d\d\)", str(onset))
    assert re.fullmatch(r"none \(10\d\d to none\)", str(gaussian))


EVERYTHING = HEAD + "".join(
    f'[[variants]]\nfamily = "{family}"\nlabel = "{label}"\n{change}\n'
    for family, label, change in (
        ("width", "8", "model.width = 8"),
        ("width", "12", "model.width = 12"),
        ("width", "16", ""),
        ("depth", "1", ""),
        ("depth", "2", "model.layers = 2"),
        ("depth", "3", "model.layers = 3"),
        ("size", "4×4", ""),
        ("size", "5×5", "task.sizes = [[5, 5]]"),
        ("factors", "uniform", ""),
        ("factors", "Gaussian", 'task = { factors = "gaussian", limit = 40.0 }'),
        ("mask", "random", ""),
        ("mask", "coherence", 'task = { mask = "coherence", coherence_fraction = 0.0 }'),
        ("optimiser", "Adam", ""),
        ("optimiser", "SGD", 'training.optimizer = "sgd"'),
        ("optimiser", "Muon", 'training.optimizer = "muon"'),
        ("warm-up", "none", ""),
        ("warm-up", "100 steps", "training.warmup_steps = 100"),
    )
)
PAPER = {  # variant → onset, final level
    "8": (NEVER, 1.0),
    "12": (2500, 0.3),
    "2": (800, 0.03),
    "3": (830, 0.02),
    "5×5": (2000, 0.1),
    "Gaussian": (1500, 0.012),
    "coherence": (NEVER, 1.0),
    "Muon": (800, 0.05),
    "100 steps": (2700, 0.05),
}
OPPOSITE = {
    "8": (2200, 0.06),
    "12": (1500, 0.05),
    "2": (1450, 0.08),
    "3": (500, 0.08),
    "5×5": (NEVER, 1.0),
    "Gaussian": (NEVER, 1.0),
    "coherence": (1500, 0.05),
    "Muon": (1480, 0.05),
    "100 steps": (1530, 0.05),
}


def judged(folder: Path, story: dict[str, tuple[int, float]]) -> dict[str, Verdict]:
    """The verdicts on a sweep of everything but mixtures; what the story leaves out is the base."""

    def curves(point: Point) -> Metrics:
        onset, final = story.get(point.label, (1500, 0.05))
        metrics = make_metrics(onset=onset, end=onset + 500, final=final, copied=50)
        metrics["loss_observed"] = metrics["loss_observed"] / 10
        metrics["loss"] = 0.3 * metrics["loss_masked"] + 0.7 * metrics["loss_observed"]
        return scaled(metrics, point.config.matrices.copying_level)

    verdicts = judge(Findings(make_sweep(folder, EVERYTHING, curves)))
    return {verdict.id: verdict for verdict in verdicts if not verdict.id.startswith("mixture")}


def test_every_claim_holds_on_the_paper_s_story(tmp_path: Path) -> None:
    verdicts = judged(tmp_path, PAPER)
    assert {verdict.said.removesuffix(verdict.caveat) for verdict in verdicts.values()} == {"holds (1 seed)"}
    assert verdicts["depth-earlier"].caveat == ", no null known"  # there is no other seed
    assert {verdict.notes for verdict in verdicts.values()} == {()}
    measured = {name: verdict.numbers[0] for name, verdict in verdicts.items()}
    assert measured["width-too-small"] == pytest.approx(20, rel=0.05)
    assert measured["width-suboptimal"] == pytest.approx(6, rel=0.05)
    assert measured["depth-earlier"] == pytest.approx(8 / 15, abs=0.03)
    assert measured["depth-little"] == pytest.approx(1.04, abs=0.04)
    assert measured["depth-final"] == pytest.approx(-1)
    assert measured["sizes-drop"] == measured["gaussian-drops"] == 1
    assert measured["gaussian-final"] == pytest.approx(0.0125, abs=0.001)
    assert measured["coherence-weakens"] == pytest.approx(20, rel=0.05)
    assert measured["optimiser-shortens"] == pytest.approx(8 / 15, abs=0.05)
    assert measured["warm-up-changes"] == pytest.approx(1.8, abs=0.06)


def test_every_claim_fails_on_the_opposite_story(tmp_path: Path) -> None:
    verdicts = judged(tmp_path, OPPOSITE)
    assert {name: verdict.outcome for name, verdict in verdicts.items()} == dict.fromkeys(verdicts, "fails")


def test_a_verdict_says_of_how_few_seeds_it_speaks(tmp_path: Path) -> None:
    def two_of_gaussian(point: Point) -> Metrics | None:
        return None if (point.label, point.config.seed) == ("Gaussian", 1) else make_metrics()

    verdicts = judge(Findings(make_sweep(tmp_path, FACTORS, two_of_gaussian)))
    of_gaussian = [verdict for verdict in verdicts if verdict.id.startswith("gaussian")]
    assert {verdict.notes for verdict in of_gaussian} == {("1 of 3 seeds cannot be judged",)}
    assert next(verdict for verdict in verdicts if verdict.id == "gaussian-drops").said == "holds (2 seeds)"
    unfinished = next(verdict for verdict in verdicts if verdict.id == "width-too-small")
    assert (unfinished.outcome, "no family 'width'" in unfinished.notes[0]) == ("not judged", True)


def test_the_figure_shows_every_seed_and_says_what_is_missing(factors: Sweep) -> None:
    figure = draw_variants(measure_variants(factors, "factors"))
    curves, when, _ = figure.axes
    assert len(curves.lines) == 3 + 1 + 3 + 1 + 1 + 1  # seeds and median of each, of Laplace one; predicting zero
    assert [text.get_text() for text in when.get_yticklabels()] == ["uniform", "Gaussian", "Laplace\n1 of 3 seeds"]
    dots = [line for line in when.lines if line.get_marker() == "o"]
    assert sum(line.get_markerfacecolor() == "white" for line in dots) == 2
    without = [line.get_xdata() for line in dots if line.get_markerfacecolor() == "white"]
    assert without == [[STEPS - 1]] * 2
    assert when.get_xlabel() == "onset\n(open: no drop)"


@pytest.mark.parametrize(("lowest", "named"), [(0.2, [0.3, 1]), (0.004, [0.01, 0.1, 1])])
def test_what_a_small_axis_names_has_room(factors: Sweep, lowest: float, named: list[float]) -> None:
    variants = measure_variants(factors, "factors")
    levels = replace(variants.final_over_level, low=np.array([lowest, 1, 1]), high=np.ones(3))
    final = draw_variants(replace(variants, final_over_level=levels)).axes[2]
    low, high = final.get_xlim()
    assert [tick for tick in final.get_xticks() if low <= tick <= high] == pytest.approx(named)


def test_figures_and_tables_are_saved(factors: Sweep, tmp_path: Path) -> None:
    found = Findings(factors, tmp_path)
    picture, _, data, _ = make_figure("18", found, "x")
    assert picture.parent == tmp_path / "figures"
    with np.load(data) as saved:
        np.testing.assert_array_equal(saved["onset.each"], measure_variants(found.subject, "factors").onset.each)  # pyright: ignore
    assert (tmp_path / "tables" / "table_variants.md") in make_table("variants", found, "x")


def test_a_sweep_with_figures_of_its_own_is_not_drawn_once_more(factors: Sweep, tmp_path: Path) -> None:
    make_all(Findings(factors, tmp_path))
    assert [path.name for path in (tmp_path / "figures").glob("*.png")] == ["figure_18.png"]
