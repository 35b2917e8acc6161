"""Kills at random moments: what comes of the run, the sweep, the page, the table is what undisturbed ones are."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from abruptlab.config import RunConfig
from abruptlab.paper import Findings
from abruptlab.paper.training import CLAIMS, FIGURES
from abruptlab.presets import preset
from abruptlab.report import build, build_report
from abruptlab.report.story import measure_story
from abruptlab.run.run import Run
from abruptlab.sweep import prepare, run_sweep
from abruptlab.system.devices import computing_on
from abruptlab.training.loop import train
from tests.fuzz.damage import all_weights, rows, weights
from tests.fuzz.kills import duration, killed, until_done
from tests.fuzz.outcome import counted, run
from tests.sweep.test_drive import Inline
from tests.synthetic import make_metrics, make_run

COUNT = counted("FUZZ_KILLS", 5)  # of each kind at least
TRAINING = replace(preset("smoke").training, steps=40, checkpoint_every=5, rolling_every=5)
CONFIG = replace(preset("smoke"), training=TRAINING)
TABLE = "x,a,b,c\np,1,2,3\nq,2,,6\nr,3,6,9\n"
SWEEP = 'name = "two"\nbase = "smoke"\nseeds = [0, 1]\noverrides.training = { steps = 20, checkpoint_every = 4 }\n'


@pytest.fixture
def random_() -> random.Random:
    return random.Random(0)


def numbers(folder: Path) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in Run(folder).metrics.items() if name != "elapsed_s"}


def train_in(folder: Path, config: RunConfig = CONFIG) -> None:
    train(config, folder, resume=True, device="cpu", warn=only_finished)


def only_finished(warning: str) -> None:
    """Whoever was killed after the last step was saved leaves a finished run; nothing is ever damaged."""
    assert "is finished" in warning, warning


class NothingLost:
    """After each kill, all weights and rows that were there before are still there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.weights: set[str] = set()
        self.rows: set[tuple[int, str]] = set()

    def __call__(self) -> None:
        found, there = all_weights(self.folder), rows(self.folder)
        assert self.weights <= found
        assert self.rows <= there
        self.weights, self.rows = found, there


def test_trainings(tmp_path: Path, random_: random.Random) -> None:
    train_in(tmp_path / "whole")
    seconds, kills, histories = duration(lambda: train_in(tmp_path / "timed")), 0, 0
    while kills < COUNT:
        folder = tmp_path / f"run{histories}"
        kills += until_done(lambda: train_in(folder), seconds, random_, NothingLost(folder))  # noqa: B023
        histories += 1
        assert numbers(folder) == numbers(tmp_path / "whole")
        assert weights(folder) == weights(tmp_path / "whole")
        assert not (folder / "set-aside").exists()
        assert not list(folder.rglob("*.tmp"))
        shutil.rmtree(folder)
    print(f"train: {kills} kills in {histories} histories")


def test_sweeps(tmp_path: Path, random_: random.Random) -> None:
    """The driver with its runs in its own process: both are killed."""
    (tmp_path / "two.toml").write_text(SWEEP)

    def sweep_in(folder: Path) -> None:
        states = run_sweep(prepare(tmp_path / "two.toml", folder), Inline(), device="cpu")
        assert [state.state for state in states] == ["done", "done"]

    sweep_in(tmp_path / "whole")
    seconds, kills, histories = duration(lambda: sweep_in(tmp_path / "timed")), 0, 0
    while kills < COUNT:
        folder = tmp_path / f"sweep{histories}"
        kills += until_done(lambda: sweep_in(folder), seconds, random_, NothingLost(folder))  # noqa: B023
        histories += 1
        for path in (tmp_path / "whole").glob("*/config.toml"):
            assert numbers(folder / path.parent.name) == numbers(path.parent)
            assert weights(folder / path.parent.name) == weights(path.parent)
        index = [json.loads((each / "index.json").read_text()) for each in (folder, tmp_path / "whole")]
        assert index[0] == index[1]
        shutil.rmtree(folder)
    print(f"sweep: {kills} kills in {histories} histories")


@pytest.mark.usefixtures("coarse_pictures")
def test_pages(tmp_path: Path, random_: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a run with the figures about training; each kill leaves the last page or the next, and figures that
    are whole wherever they say what they were made from. What takes seconds and writes nothing is done before, or
    coarsely."""
    monkeypatch.setattr(build, "FIGURES", FIGURES)
    (tmp_path / "run").mkdir()
    source, out = make_run(tmp_path / "run", make_metrics()), tmp_path / "out"
    judge = build.judge
    with computing_on("cpu"):  # a process that is forked could not use a GPU that this one has used
        story = measure_story(Findings(source))
    monkeypatch.setattr(build, "judge", lambda found: judge(found, CLAIMS))
    monkeypatch.setattr(build, "measure_story", lambda *_: story)

    def make() -> None:
        with computing_on("cpu"):
            build_report(Findings(Run(source.folder), out, keep=True))

    def whole() -> None:
        page = out / "report.html"
        assert not page.exists() or page.read_bytes() == expected
        for made in out.glob("figures/*.json"):
            assert made.with_suffix(".png").read_bytes() == pictures[made.with_suffix(".png").name]
            with Image.open(made.with_suffix(".png")) as picture, np.load(made.with_suffix(".npz")) as data:
                picture.verify()
                assert all(data[name] is not None for name in data)

    make()
    seconds = duration(make)  # with the figures there
    expected = (out / "report.html").read_bytes()
    pictures = {path.name: path.read_bytes() for path in out.glob("figures/*.png")}
    shutil.rmtree(out)
    seconds, kills, histories = max(seconds, duration(make)), 0, 0
    before = {path: path.read_bytes() for path in source.folder.rglob("*") if path.is_file()}
    while kills < COUNT:
        shutil.rmtree(out, ignore_errors=True)
        kills += until_done(make, seconds, random_, whole)
        histories += 1
        assert (out / "report.html").read_bytes() == expected
    assert {path: path.read_bytes() for path in source.folder.rglob("*") if path.is_file()} == before
    print(f"report: {kills} kills in {histories} histories")


def test_completions(tmp_path: Path, random_: random.Random) -> None:
    """A table completed onto itself is the old one or the new one at any moment."""
    table = tmp_path / "table.csv"

    def complete() -> None:
        assert run("complete", table, "--out", table, "--overwrite").status == 0

    table.write_text(TABLE)
    complete()  # here, so that the processes forked from this one have imported what it needs
    completed, kills, tries = table.read_text(), 0, 0
    assert completed != TABLE
    table.write_text(TABLE)
    seconds = duration(complete)
    while kills < COUNT:
        table.write_text(TABLE)
        kills += killed(complete, random_.uniform(0, 1.2 * seconds))
        tries += 1
        assert table.read_text() in (TABLE, completed)
        table.write_text(TABLE)
        complete()
        assert table.read_text() == completed
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["table.csv"]
    print(f"complete: {kills} kills in {tries} tries")
