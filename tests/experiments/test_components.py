"""Runs of one component whose curves are made up, beside the finished run that gave the others."""

from pathlib import Path

import numpy as np
import pytest

from abruptlab.errors import ConfigError, RunError
from abruptlab.experiments.components import measure_components
from abruptlab.paper import Findings, Verdict, judge, make_figure
from abruptlab.sweep.file import Point, Sweep, SweepConfig
from tests.synthetic import CONFIG, STEPS, make_metrics, make_run, make_sweep

SHIPPED = Path(__file__).parents[2] / "src" / "abruptlab" / "paper" / "sweeps" / "components.toml"
ORDINARY, NEVER = 1500, 9 * STEPS
PAPER = {
    "token embeddings": 20,
    "MLP": 10,
    "positional embeddings": 3000,
    "attention": 600,
    "layer norms": 500,
    "read-out": 5,
    "embeddings, together": 8,
}
OPPOSITE = {
    "token embeddings": 500,
    "MLP": 10,
    "positional embeddings": 1500,
    "attention": 900,
    "layer norms": NEVER,
    "read-out": 5,
    "embeddings, together": 8,
}


def sweep_of(folder: Path, story: dict[str, int], seeds: tuple[int, ...] = (1, 2, 3)) -> Sweep:
    """The shipped sweep around a small run, with these steps from which L_mask falls."""
    ordinary = folder / "ordinary"
    ordinary.mkdir()
    make_run(ordinary, make_metrics(onset=ORDINARY, end=ORDINARY + 500), (STEPS,))
    text = SHIPPED.read_text().replace('base = "pocket"', 'base = "base.toml"')

    def curves(point: Point) -> dict[str, np.ndarray] | None:
        onset = story[point.label]
        metrics = make_metrics(onset=onset, end=onset + (500 if onset >= 200 else 100))
        return metrics if point.config.seed in seeds else None

    return make_sweep(folder, text.replace('start.run = "pocket"', f'start.run = "{ordinary}"'), curves)


def judged(folder: Path, story: dict[str, int], seeds: tuple[int, ...] = (1, 2, 3)) -> dict[str, Verdict]:
    verdicts = judge(Findings(sweep_of(folder, story, seeds)))
    return {verdict.id.removeprefix("components-"): verdict for verdict in verdicts}


def test_components_beside_ordinary_training(tmp_path: Path) -> None:
    found = measure_components(sweep_of(tmp_path, PAPER, seeds=(1, 2)))
    assert found.labels.tolist()[-1] == "ordinary training"
    assert set(found.labels[:-1]) == set(PAPER)
    assert found.finished.tolist() == [2] * 7 + [1]
    assert found.planned.tolist() == [3] * 7 + [1]
    assert found.seed[-1, 0] == CONFIG.seed
    halved = dict(zip(found.labels, found.halved.median, strict=True))
    assert halved["ordinary training"] == pytest.approx(ORDINARY + 263, abs=20)
    assert halved["positional embeddings"] == pytest.approx(3000 + 263, abs=20)
    assert halved["MLP"] == pytest.approx(10 + 53, abs=20)
    assert found.dropped[found.labels == "MLP"] == 0  # no plateau


def test_the_claims_hold_on_the_paper_s_story(tmp_path: Path) -> None:
    verdicts = judged(tmp_path, PAPER)
    assert {verdict.outcome for verdict in verdicts.values()} == {"holds"}, verdicts
    assert {verdict.notes for verdict in verdicts.values()} == {()}
    assert verdicts["no-plateau"].numbers[0] == pytest.approx(73 / 1763, abs=0.01)
    assert verdicts["positions-late"].numbers[0] == pytest.approx(3263 / 1763, abs=0.02)
    assert verdicts["earlier"].numbers[0] == pytest.approx(863 / 1763, abs=0.02)


def test_the_claims_fail_on_the_opposite_story(tmp_path: Path) -> None:
    verdicts = judged(tmp_path, OPPOSITE, seeds=(2,))
    assert {verdict.said for verdict in verdicts.values()} == {"fails (1 seed)"}
    assert {verdict.notes for verdict in verdicts.values()} == {("2 of 3 seeds cannot be judged",)}
    assert verdicts["earlier"].numbers[0] == pytest.approx((STEPS - 1) / 1763, rel=0.02)  # never: the last step


def test_the_figure_is_saved(tmp_path: Path) -> None:
    with np.load(make_figure("8", Findings(sweep_of(tmp_path, PAPER, seeds=(1,))), "x")[2]) as saved:
        assert saved["labels"].tolist()[-1] == "ordinary training"
        assert saved["falling"].shape == (8, 3, 400)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run of the family 'components' is finished"):
        measure_components(sweep_of(tmp_path, PAPER, seeds=()))
    text = 'name = "components"\nbase = "base.toml"\n[[variants]]\nfamily = "components"\nlabel = "x"\n'
    with pytest.raises(ConfigError, match="expected all of the family 'components' to start from one finished run"):
        measure_components(make_sweep(tmp_path, text, lambda point: None))


def test_the_shipped_sweep_trains_every_component_from_other_weights() -> None:
    points = SweepConfig.read(SHIPPED).points()
    assert [point.config.start.trained for point in points[:6]] == [
        ("token-embeddings",), ("positional-embeddings",), ("attention",), ("mlp",), ("layer-norms",), ("read-out",),
    ]  # fmt: skip
    assert points[-1].config.start.trained == ("embeddings",)
    assert {point.config.start.run for point in points} == {"pocket"}
    assert {point.config.seed for point in points} == {1, 2, 3}
