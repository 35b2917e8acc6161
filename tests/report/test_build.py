import base64
import io
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from abruptlab.errors import RunError
from abruptlab.experiments.level import trivial_level
from abruptlab.figures.save import is_made_from
from abruptlab.paper import Findings, Verdict, judge, make_figure
from abruptlab.paper.findings import options_of
from abruptlab.paper.training import CLAIMS, FIGURES
from abruptlab.report import build, build_report
from abruptlab.report.build import render, what_happened
from abruptlab.report.story import measure_story
from abruptlab.run.run import Run
from tests.handmade_gpt import gpt_run
from tests.synthetic import CONFIG, make_metrics, make_run

VOID = {"meta", "img", "br", "link", "hr", "input"}


@pytest.fixture(autouse=True)
def training_alone(coarse_pictures: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page with the figures and claims about training only, drawn coarsely: all of them would take long."""

    def judge_training(found: Findings) -> list[Verdict]:
        return judge(found, CLAIMS)

    monkeypatch.setattr(build, "FIGURES", FIGURES)
    monkeypatch.setattr(build, "judge", judge_training)


@pytest.fixture
def curve_alone(training_alone: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page with one figure, where what is shown is done alike for all."""
    monkeypatch.setattr(build, "FIGURES", {"2": FIGURES["2"]})


class Outline(HTMLParser):
    """Checks that tags nest, and keeps their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(run: Run) -> str:
    """The page without figures."""
    found = Findings(run)
    return render(found, measure_story(found), {})


def test_the_page_holds_everything_within_itself(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics())
    path = build_report(Findings(run))
    assert path == tmp_path / "report.html"
    page = path.read_text(encoding="utf-8")
    found = Outline(page).found
    assert not re.search(r"https?://(?!www.w3.org/2000/svg)|url\(|@import|<script[^>]*src|<link", page)
    places = {attributes["id"] for _, attributes in found if "id" in attributes}
    links = {attributes["href"] for _, attributes in found if "href" in attributes}
    assert links <= {f"#{place}" for place in places}
    assert not any("srcset" in attributes for _, attributes in found)
    images = [attributes for tag, attributes in found if tag == "img"]
    assert len(images) == len(FIGURES)
    for name, image in zip(FIGURES, images, strict=True):
        kind, _, content = (image["src"] or "").partition(",")
        assert kind == "data:image/webp;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).format == "WEBP"
        assert FIGURES[name].title in (image["alt"] or "")
    assert run.drop is not None
    assert f"began to drop at step {run.drop.onset:,}" in page
    assert page.count("✓ holds") == len(CLAIMS)
    assert f"<strong>Of {len(CLAIMS)} claims judged {len(CLAIMS)} hold, 0 fail.</strong>" in page
    assert "smooth curve" in page  # the nulls stand beside the numbers
    assert "abruptlab reproduce --config config.toml" in page
    assert "an abacus" in page
    assert "<dt>torch</dt><dd>1.2.3</dd>" in page


@pytest.mark.usefixtures("curve_alone")
def test_figures_are_made_only_when_missing_or_made_from_something_else(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(), checkpoints=())
    build_report(Findings(run))
    made = tmp_path / "figures" / "figure_2.json"
    assert json.loads(made.read_text())["command"] == f"abruptlab figure 2 {tmp_path}"
    before = made.stat().st_mtime_ns
    os.utime(tmp_path / "metrics.jsonl")  # copied, say
    build_report(Findings(run))
    assert made.stat().st_mtime_ns == before
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_text("".join([*lines, lines[-1].replace('"step": 3999', '"step": 4000')]))
    build_report(Findings(Run(tmp_path)))
    assert made.stat().st_mtime_ns > before


def test_a_figure_that_is_another_one_of_this_run_is_not_shown_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "FIGURES", {"2": FIGURES["2"], "24": replace(FIGURES["2"], title="Shown again")})
    page = build_report(Findings(make_run(tmp_path, make_metrics(), checkpoints=()))).read_text(encoding="utf-8")
    assert page.count("<img") == 1
    assert "Shown again" not in page


@pytest.mark.usefixtures("curve_alone")
def test_two_runs_may_have_their_pages_in_one_folder(tmp_path: Path) -> None:
    """The second page shows the second run's figures, however new those of the first are."""
    pages = []
    for name, final in (("a", 0.05), ("b", 0.3)):
        (tmp_path / name).mkdir()
        run = make_run(tmp_path / name, make_metrics(final=final), checkpoints=())
        pages += [build_report(Findings(run, tmp_path / "page")).read_text(encoding="utf-8")]
        pages += [build_report(Findings(run)).read_text(encoding="utf-8")]
    a, alone_a, b, alone_b = [re.findall(r'<img src="([^"]+)"', page) for page in pages]
    assert len(a) == 1
    assert a == alone_a != b == alone_b


@pytest.mark.parametrize("options", [{"seed": 1}, {"matrices": 8}, {"step": 1000}])
def test_figures_with_other_options_are_not_the_page_s(tmp_path: Path, options: dict[str, Any]) -> None:
    run = make_run(tmp_path, make_metrics())
    usual, other = Findings(run).origin(FIGURES["1"].measure), Findings(run, **options).origin(FIGURES["1"].measure)
    assert (usual == other) == (not set(options) & options_of(FIGURES["1"].measure))
    for found, expected in ((Findings(run, **options), False), (Findings(run), True)):
        picture, *_ = make_figure("1", found, "abruptlab figure 1")
        assert is_made_from(picture, usual) == (expected or usual == other)
    picture.with_suffix(".json").unlink()  # killed while it was written anew
    assert not is_made_from(picture, usual)


def test_the_level_is_that_of_the_curve_and_of_the_claims(tmp_path: Path) -> None:
    """Masks that hide entries of high coherence hide larger ones."""
    task = replace(CONFIG.matrices, mask="coherence", coherence_fraction=1.0)
    run = make_run(tmp_path, make_metrics(), config=replace(CONFIG, task=task))
    page, level = page_of(run), trivial_level(run)
    assert level > 1.3 * task.copying_level
    assert f'<td class="number">{level:.4f}</td>' in page
    assert f"E[x²] = {level:.4g} is the mean square of a hidden entry" in page


def test_a_figure_that_the_run_cannot_give_is_named_with_the_reason(tmp_path: Path) -> None:
    build_report(Findings(make_run(tmp_path, make_metrics(), checkpoints=())))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<img") == 1  # the losses
    assert re.search(r"One matrix before and after the drop .*: .* has no checkpoint yet", page)


def test_a_claim_that_fails_is_shown_failing_with_its_number(tmp_path: Path) -> None:
    page = page_of(make_run(tmp_path, make_metrics(final=0.3)))
    assert page.count("✗ fails") == 1
    assert re.search(r"✗ fails<.*?hidden entries are completed.*?>0\.3\d*<", page, re.DOTALL)


def test_the_page_of_a_decoder_speaks_of_its_own_drop(tmp_path: Path) -> None:
    run = gpt_run(tmp_path)
    assert what_happened(run).startswith("The loss at observed entries stayed on a plateau at 4.9")
    page = page_of(run)
    assert "The loss at observed entries: plateau" in page
    assert ">predicting zero</th>" not in page
    assert "decoder of 1 layers" in page


def test_without_a_drop_the_page_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(onset=9000, end=9500))
    page = page_of(run)
    assert "No drop was found in the 4,000 steps" in page
    assert "Not judged: " in page
    assert '<h2 id="drop">' not in page


def test_a_drop_under_way_is_told_as_such(tmp_path: Path) -> None:
    run = make_run(tmp_path, make_metrics(steps=1900))
    assert "still under way" in what_happened(run)
    assert "under way</td>" in page_of(run)


def test_what_comes_from_the_run_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<!--<script>"
    folder.mkdir()
    run = make_run(folder, make_metrics(), checkpoints=())
    run.__dict__["made_with"] = {}
    found = Findings(run)
    story = measure_story(found)
    story.content["examples"]["missing"] = "</script><script>alert(1)</script>"
    page = render(found, story, {"2": "<img src=x onerror=alert(1)>"})
    assert page.count("<script") == 3  # the story, the files, the page's own
    assert page.count("</script") == 3
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_a_run_without_metrics_has_no_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, {name: np.array([]) for name in make_metrics()}, checkpoints=(0,))
    with pytest.raises(RunError, match="has no metrics yet"):
        build_report(Findings(run))
