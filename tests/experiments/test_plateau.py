"""Plateaus of tasks of sequences: numbers of made-up measures that are known, and of a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.losses import first_step
from abruptlab.experiments.plateau import Plateau, measure_plateau, rise
from abruptlab.experiments.plateaus import measure_plateaus
from abruptlab.figures.plateau import draw_each_plateau, draw_plateau, draw_plateaus
from abruptlab.sweep.file import Sweep
from tests.plateaus import ONSET, SMALL, make_folder


@pytest.fixture
def plateau(tmp_path: Path) -> Plateau:
    return measure_plateau(make_folder(tmp_path / "run"))


def test_what_is_on_the_plateau_is_what_is_there(plateau: Plateau) -> None:
    assert plateau.curves.drop is not None
    onset = plateau.curves.drop.onset
    assert onset == pytest.approx(ONSET, abs=15)
    assert plateau.on_plateau(plateau.collapse) == pytest.approx(0.9)
    assert plateau.on_plateau(plateau.repetition) == pytest.approx(0.7)
    assert plateau.on_plateau(plateau.places).tolist() == pytest.approx([1, 0.2, 0.2, 0.2])
    assert plateau.at(245, plateau.attention) == pytest.approx(0.2 + 0.6 * 0.49)
    assert plateau.learnt == 420  # (1 + 3 · 0.36) / 4 = 0.52
    assert plateau.uniform == pytest.approx(np.mean([1 / 5, 2 / 6, 2 / 7, 2 / 8]))
    assert 0.1 < plateau.repetition_of_truth < 0.3  # 0.2 for sums that are as likely as each other


def test_steps_of_known_values() -> None:
    steps, values = np.arange(0, 50, 10), np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    assert first_step(steps, values >= 0.5) == 20
    assert first_step(steps, values >= 1.5) == np.inf
    assert rise(steps, values) == (10, 30)
    assert rise(steps, 1 - values) == rise(steps, np.full(5, 0.3)) == (np.inf, np.inf)
    assert rise(steps, np.linspace(0.2, 0.6, 5)) == (10, 40)


def test_a_run_without_measures_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no measures: expected rows in measures\.jsonl"):
        measure_plateau(make_folder(tmp_path / "run", measures=False))
    unmeasured = replace(SMALL, training=replace(SMALL.training, measure_every=0))
    with pytest.raises(RunError, match=r"has no measures: expected training\.measure_every above 0"):
        measure_plateau(make_folder(tmp_path / "other", unmeasured, measures=False))


def test_without_a_drop_there_is_no_plateau_to_be_on(tmp_path: Path) -> None:
    plateau = measure_plateau(make_folder(tmp_path / "run", onset=2000))
    assert plateau.learnt == np.inf
    with pytest.raises(RunError, match="the run has no drop"):
        plateau.on_plateau(plateau.collapse)
    draw_plateau(plateau)


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Three labels; those of `late` do not learn, of `none` nothing is finished."""
    (tmp_path / "base.toml").write_text(SMALL.to_toml())
    variants = "".join(
        f'[[variants]]\nfamily = "f"\nlabel = "{label}"\n'
        f"training.useful_attention = {factor}\ntraining.steps = {steps}\n"
        for label, factor, steps in (("base", 1.0, 1000), ("soon", 2.0, 500), ("late", 0.5, 700), ("none", 3.0, 500))
    )
    (tmp_path / "sweep.toml").write_text(f'name = "s"\nbase = "base.toml"\nseeds = [1, 2]\n{variants}')
    sweep = Sweep(tmp_path)
    onsets = {"base": 400, "soon": 200, "late": 3000}
    for point in sweep.points:
        if point.label in onsets:
            onset = onsets[point.label] + 10 * point.config.seed
            make_folder(tmp_path / point.key, point.config, onset)
    return sweep


def test_variants_are_told_apart(sweep: Sweep) -> None:
    plateaus = measure_plateaus(sweep, "f")
    assert plateaus.labels.tolist() == ["base", "soon", "late", "none"]
    assert plateaus.by_seed("learnt", "base") == {1: 430, 2: 440}
    assert plateaus.by_seed("learnt", "soon") == {1: 230, 2: 240}
    assert plateaus.by_seed("learnt", "late") == {1: 700, 2: 700}  # the last step
    assert plateaus.by_seed("learnt", "none") == {}
    assert plateaus.by_seed("fall", "base") == pytest.approx({1: 80 / 420, 2: 80 / 430}, rel=0.05)
    assert np.isinf(plateaus.fall[2]).all()
    assert plateaus.by_seed("collapse", "base") == pytest.approx({1: 0.9, 2: 0.9})
    assert plateaus.planned.tolist() == [2, 2, 2, 2]
    assert np.isinf(plateaus.learnt[2]).all()
    assert np.isnan(plateaus.learnt[3]).all()
    with pytest.raises(RunError, match="the sweep has no runs 'other'"):
        plateaus.by_seed("learnt", "other")
    with pytest.raises(ConfigError, match="no family 'g'"):
        measure_plateaus(sweep, "g")


def test_they_are_drawn(sweep: Sweep, plateau: Plateau) -> None:
    figure = draw_plateaus(measure_plateaus(sweep, "f"))
    curves, learnt = figure.axes
    assert [label.get_text() for label in learnt.get_yticklabels()] == ["base", "soon", "late", "none\n0 of 2 seeds"]
    dots = [line for line in learnt.lines if line.get_marker() == "o"]
    assert sorted(float(np.asarray(line.get_xdata())[0]) for line in dots) == [230, 240, 430, 440, 700, 700]
    assert [str(line.get_markerfacecolor()) == "white" for line in dots] == [False] * 4 + [True] * 2
    assert len(curves.lines) > 3
    assert [axes.get_title("left") for axes in draw_plateau(plateau).axes][-1] == "attention progress"


def test_they_are_drawn_each_over_its_own_steps(sweep: Sweep) -> None:
    figure = draw_each_plateau(measure_plateaus(sweep, "f"))
    panels = {axes.get_title("left"): axes for axes in figure.axes if axes.get_title("left")}
    assert list(panels) == ["base", "soon", "late"]  # of the last one no run is finished
    assert len(figure.axes) == 2 * len(panels)
    assert [round(panels[label].get_xlim()[1]) for label in ("base", "soon", "late")] == [1000, 500, 700]
    accuracy = np.asarray(panels["base"].lines[0].get_ydata())
    assert accuracy.min() == pytest.approx(0.15, abs=0.01)
    assert accuracy.max() == pytest.approx(1, abs=0.01)
