"""The page over many runs: what it says of each; tests/browser clicks through it."""

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from abruptlab.errors import RunError
from abruptlab.experiments.losses import smooth
from abruptlab.paper import Findings, Verdict, make_figure
from abruptlab.report import build_folder_index, build_index
from abruptlab.sweep.file import Sweep
from tests.cli.test_cli import abruptlab
from tests.handmade_gpt import gpt_run
from tests.synthetic import CONFIG, LEVEL, ONSET, STEPS, make_metrics, make_run, make_sweep

TEXT = """
name = "variants"
base = "base.toml"
seeds = [0, 1]
[[variants]]
family = "width"
label = "16"
[[variants]]
family = "width"
label = "32"
model.width = 32
"""


def data(page: Path) -> dict[str, Any]:
    """What the page gives its script."""
    found = re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return json.loads(found[1])


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Of width 16, a finished run and one that is waiting; of 32, one that goes on and one that failed."""
    curves = {("16", 0): STEPS, ("32", 0): 1000}
    sweep = make_sweep(tmp_path, TEXT, lambda point: None)
    for point in sweep.points:
        steps = curves.get((point.label, point.config.seed))
        if steps:
            (tmp_path / point.key).mkdir()
            metrics = {name: values[:steps] for name, values in make_metrics().items()}
            make_run(tmp_path / point.key, metrics, (0, STEPS) if steps == STEPS else (0,), point.config)
        elif point.label == "32":
            (tmp_path / f"{point.key}.error").write_text("DivergedError: the loss is <nan>\n")
    verdicts = [
        Verdict(
            "a",
            "Wider is better.",
            "caption",
            ("13",),
            (),
            "x",
            "at least 2",
            (0,),
            (0.7,),
            (False,),
            {"another seed": (1.1,)},
            notes=("1 of 2 seeds cannot be judged",),
        )
    ]
    monkeypatch.setattr("abruptlab.report.index.judge", lambda found: verdicts)
    return sweep


def test_every_run_is_told_as_it_is(sweep: Sweep) -> None:
    page = build_index(Findings(sweep))
    assert page == sweep.folder / "index.html"
    runs = data(page)["runs"]
    assert [(run["label"], run["seed"], run["state"]) for run in runs] == [
        ("16", 0, "done"), ("16", 1, "waiting"), ("32", 0, "begun"), ("32", 1, "failed"),
    ]  # fmt: skip
    done, waiting, begun, _ = runs
    metrics = make_metrics()
    assert done["onset"] == pytest.approx(ONSET, abs=60)
    assert done["final"] == pytest.approx(0.05 * LEVEL, rel=0.05)
    at = np.linspace(0, STEPS - 1, 400)
    np.testing.assert_allclose(done["curve"], np.interp(at, range(STEPS), smooth(metrics["loss_masked"])) / LEVEL, 1e-3)
    assert (waiting["curve"], waiting["onset"], waiting["final"]) == ([], None, None)
    assert (begun["step"], begun["onset"], len(begun["curve"])) == (1000, None, 400)
    text = page.read_text(encoding="utf-8")
    assert "4 runs: 1 done, 1 waiting, 1 begun, 1 failed" in text
    assert "1,000 of 4,000 steps" in text
    assert "the loss is &lt;nan&gt;" in text
    assert "label = &#34;32&#34;" in text
    assert len(text) < 20_000 + 4 * 10_000


def test_a_sweep_can_be_made_again_from_its_page(sweep: Sweep, tmp_path: Path) -> None:
    text = build_index(Findings(sweep)).read_text(encoding="utf-8")
    assert "<code>sweep.toml</code> and <code>base.toml</code>" in text
    (tmp_path / "again").mkdir()
    for name, source in re.findall(r"<summary>(\S+), in full</summary>\s*<pre>(.*?)</pre>", text, re.DOTALL):
        (tmp_path / "again" / name).write_text(html.unescape(source))
    assert Sweep(tmp_path / "again").points == sweep.points


def test_a_claim_that_fails_is_as_visible_as_one_that_holds(sweep: Sweep) -> None:
    text = build_index(Findings(sweep)).read_text(encoding="utf-8")
    assert re.search(
        r"class=\"failed\">.*?✗ fails.*?Wider is better.*?0\.7.*?1 of 2 seeds.*?at least 2", text, re.DOTALL
    )


def test_the_figures_that_are_there_are_in_the_page(sweep: Sweep) -> None:
    make_figure("13", Findings(sweep), "abruptlab figure 13")
    Image.new("RGB", (8, 8)).save(sweep.folder / "figures" / "figure_4.png")  # of a run
    text = build_index(Findings(sweep)).read_text(encoding="utf-8")
    assert re.findall(r'<img src="data:image/webp;base64,[^"]+" alt="([^"]+)"', text) == [
        "Width, as in the table of runs"
    ]
    assert not re.search(r"https?://(?!www.w3.org/2000/svg)|url\((?!#inside)|@import|<link|src=\"(?!data:)", text)


def test_links_are_relative_and_only_where_there_is_a_page(sweep: Sweep, tmp_path: Path) -> None:
    key = sweep.points[0].key
    (sweep.folder / key / "report.html").touch()
    assert [run["page"] for run in data(build_index(Findings(sweep)))["runs"]] == [
        f"{key}/report.html",
        None,
        None,
        None,
    ]
    elsewhere = build_index(Findings(sweep, tmp_path / "else where"))
    link = data(elsewhere)["runs"][0]["page"]
    assert (elsewhere.parent / link).resolve() == (sweep.folder / key / "report.html").resolve()


def test_any_folder_of_runs_has_an_index(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "<b>runs"
    for seed in (0, 1):
        (folder / f"two-seed{seed}").mkdir(parents=True)
        make_run(folder / f"two-seed{seed}", make_metrics(), config=replace(CONFIG, seed=seed))
    (folder / "100% gpt").mkdir()
    gpt_run(folder / "100% gpt")
    (folder / "100% gpt" / "report.html").touch()
    (folder / "nothing").mkdir()
    assert abruptlab("report", folder) == (0, "")
    assert capsys.readouterr().out == f"{folder / 'index.html'}\n"
    found = data(folder / "index.html")
    assert [(run["family"], run["label"], run["page"]) for run in found["runs"]] == [
        ("decoder: loss at observed entries", "100% gpt", "100%25%20gpt/report.html"),
        ("encoder: L_mask", "two", None),
        ("encoder: L_mask", "two", None),
    ]
    assert [found["axes"][family]["trivial"] for family in found["families"]] == [None, "predicting zero"]
    gpt = found["runs"][0]
    assert gpt["curve"][0] > 1  # the loss itself
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "<b>" not in text
    assert "Runs in &lt;b&gt;runs" in text


def test_a_run_that_cannot_be_looked_into_or_has_no_numbers_leaves_the_others_their_page(tmp_path: Path) -> None:
    for name in ("whole", "blind"):
        (tmp_path / name).mkdir()
        make_run(tmp_path / name, make_metrics() | ({"loss_masked": np.full(STEPS, np.nan)} if name == "blind" else {}))
    assert abruptlab("train", "smoke", "--steps", "4", "--out", tmp_path / "other") == (0, "")
    file = tmp_path / "other" / "config.toml"
    file.write_text(file.read_text().replace("width = 16", "width = 32"))  # not that of its checkpoints
    page = build_folder_index(tmp_path)
    assert ":NaN" not in page.read_text(encoding="utf-8")
    runs = {run["label"]: run for run in data(page)["runs"]}
    assert (runs["whole"]["state"], runs["blind"]["final"]) == ("done", None)
    assert (runs["other"]["state"], runs["other"]["curve"]) == ("failed", [])
    file.write_text("steps = ")
    other = {run["label"]: run for run in data(build_folder_index(tmp_path))["runs"]}["other"]
    assert (other["state"], other["curve"], other["seed"], other["family"]) == ("failed", [], None, "encoder: L_mask")
    assert "config.toml" in other["error"]


def test_without_a_run_there_is_no_page(tmp_path: Path) -> None:
    sweep = make_sweep(tmp_path, TEXT, lambda point: None)
    with pytest.raises(RunError, match="no run has begun yet"):
        build_index(Findings(sweep))
    for point in sweep.points:
        (tmp_path / point.key).mkdir()
        (tmp_path / point.key / "config.toml").write_text("steps = ")
    with pytest.raises(RunError, match=r"no run can be read: .*config\.toml"):
        build_index(Findings(sweep))
    assert not (tmp_path / "index.html").exists()
    with pytest.raises(RunError, match=r"no run can be read: .*config\.toml"):
        build_folder_index(tmp_path)
    assert abruptlab("report", tmp_path / "none")[1].startswith(f"abruptlab: {tmp_path / 'none'} is neither")


def test_a_folder_that_cannot_be_written_is_one_line(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot write .*file"):
        build_index(Findings(sweep, tmp_path / "file"))
    assert abruptlab("report", sweep.folder, "--out", tmp_path / "file")[1].startswith("abruptlab: cannot write")
    (sweep.folder / "sweep.toml").rename(tmp_path / "no.toml")
    with pytest.raises(RunError, match=r"cannot write .*file"):
        build_folder_index(sweep.folder, tmp_path / "file")


def test_report_of_a_run_is_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is on the page, test_report tests."""
    monkeypatch.setattr(
        "abruptlab.report.build_report", lambda found: found.folder / f"of {found.run.config.name}.html"
    )
    make_run(tmp_path, make_metrics())
    assert abruptlab("report", tmp_path) == (0, "")
    assert abruptlab("report", "laptop") == (0, "")
    assert capsys.readouterr().out.splitlines() == [
        str(tmp_path / "of synthetic.html"), str(Path("runs") / "laptop-shipped" / "of laptop.html"),
    ]  # fmt: skip
