"""The page over many runs in a browser: what is drawn are the runs, and every way to them works."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page

from abruptlab.paper import Findings
from abruptlab.report import build_index
from abruptlab.sweep.file import Point, Sweep
from tests.browser.conftest import OpenPage
from tests.synthetic import make_metrics, make_sweep

HOSTILE = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
TEXT = '''
name = "several"
base = "base.toml"
seeds = [0, 1]
[[variants]]
family = "width"
label = "small"
[[variants]]
family = "width"
label = "large"
model.width = 32
[[variants]]
family = """{family}"""
label = """{label}"""
model.layers = 2
'''
ENDS = {"small": 0.5, "large": 0.05}


def make(folder: Path, family: str = "depth", label: str = "two") -> Sweep:
    """Six runs: small ones fall to about a half, large ones to about a twentieth. Those of seed 0 have pages."""

    def metrics(point: Point) -> dict[str, np.ndarray]:
        return make_metrics(final=ENDS.get(point.label, 0.2) * (1 + point.config.seed / 2))

    sweep = make_sweep(folder, TEXT.format(family=family, label=label), metrics)
    for point in sweep.points:
        if point.config.seed == 0:
            (folder / point.key / "report.html").write_text(f"<!DOCTYPE html><title>{point.label} itself</title>")
    return sweep


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a sweep")
    build_index(Findings(make(folder)))
    return folder


def curves(page: Page) -> dict[str, list[tuple[float, float]]]:
    """The points of the lines that are drawn, by what a reader hears of them."""
    drawn = page.eval_on_selector_all(
        "#chart .curve",
        "all => all.map(one => [one.ariaLabel, one.querySelector('.line').getAttribute('d')])",
    )
    numbers = {name.partition(":")[0]: re.findall(r"([\d.]+),([\d.]+)", path) for name, path in drawn}
    return {name: [(float(x), float(y)) for x, y in points] for name, points in numbers.items()}


def test_the_lines_are_the_runs(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "index.html")
    drawn = curves(page)
    assert list(drawn) == ["small, seed 0", "small, seed 1", "large, seed 0", "large, seed 1"]
    assert {len(points) for points in drawn.values()} == {400}
    ends = {name: points[-1][1] - points[100][1] for name, points in drawn.items()}  # below the plateau
    assert ends["large, seed 0"] / ends["small, seed 0"] == pytest.approx(4.32, rel=0.1)  # log 20 / log 2
    colours = [
        page.eval_on_selector(f"#chart .curve:nth-of-type({at}) .line", "line => getComputedStyle(line).stroke")
        for at in (1, 2)
    ]
    assert page.locator("#chart .line").count() == 4
    assert colours[0].startswith("rgb")
    assert page.locator("#table tbody tr:visible").count() == 4


def test_another_family_draws_other_lines(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "index.html")
    before = page.locator("#chart").screenshot()
    page.get_by_text("depth", exact=True).first.click()
    assert list(curves(page)) == ["two, seed 0", "two, seed 1"]
    assert page.locator("#table tbody tr:visible").count() == 2
    assert page.locator("#chart").screenshot() != before
    page.get_by_text("width", exact=True).first.click()
    assert page.locator("#chart").screenshot() == before


def test_a_variant_is_switched_off_and_on(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "index.html")
    whole = curves(page)
    page.get_by_label("small", exact=True).uncheck()
    assert list(curves(page)) == ["large, seed 0", "large, seed 1"]
    page.get_by_label("small", exact=True).check()
    assert curves(page) == whole


def place(page: Page, name: str) -> tuple[float, float]:
    """Where in the window a line ends."""
    box = page.locator("#chart svg").bounding_box()
    assert box is not None
    x, y = curves(page)[name][-10]
    return box["x"] + x, box["y"] + y


def test_a_click_on_a_line_or_a_row_opens_the_runs_page(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "index.html")
    page.mouse.move(*place(page, "large, seed 1"))
    page.wait_for_function("document.querySelectorAll('tr.chosen').length === 1")
    assert page.locator("#about").inner_text().startswith("large, seed 1: drop from step")
    page.mouse.click(*place(page, "large, seed 0"))
    page.wait_for_url("**/report.html")
    assert page.title() == "large itself"
    page.go_back()
    page.locator("#table tbody tr:visible", has_text="small").first.locator("td").nth(3).click()
    page.wait_for_url("**/report.html")
    assert page.title() == "small itself"


def test_a_run_without_a_page_says_how_to_make_it(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "index.html")
    page.locator("#table tbody tr:visible", has_text="large").nth(1).locator("td").nth(3).click()
    assert page.url.endswith("index.html")
    key = page.locator("tr.chosen td:last-child").inner_text()
    command = page.locator("#about").inner_text().partition("It has no page yet: ")[2]
    assert shlex.split(command) == ["abruptlab", "report", str(folder / key)]
    assert page.locator("a[href]").count() == 3 + 2  # rows of all families, lines of this one
    assert page.locator("#chart .curve[tabindex='0']").count() == 2  # which the keyboard reaches nevertheless


def test_the_keyboard_alone_is_enough(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "index.html")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert list(curves(page)) == ["two, seed 0", "two, seed 1"]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert list(curves(page)) == ["large, seed 0", "large, seed 1"]
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.locator("#about").inner_text().startswith("large, seed 0: drop from step")
    page.keyboard.press("Enter")
    page.wait_for_url("**/report.html")
    assert page.title() == "large itself"


def test_names_are_text_whatever_they_hold(tmp_path: Path, open_page: OpenPage) -> None:
    build_index(Findings(make(tmp_path, family=HOSTILE, label=HOSTILE)))
    page = open_page(tmp_path / "index.html")
    page.get_by_text(HOSTILE, exact=True).first.click()
    page.wait_for_load_state("networkidle")
    assert page.locator("#labels label").inner_text() == HOSTILE
    assert list(page.eval_on_selector_all("#chart .curve", "all => all.map(one => one.dataset.run)")) == ["4", "5"]
    page.locator("#table tbody tr:visible").first.hover()
    assert HOSTILE in page.locator("#about").inner_text()
    assert page.evaluate("window.hurt === undefined")
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_and_follows_the_readers_light(folder: Path, open_page: OpenPage, dark: bool) -> None:
    page = open_page(folder / "index.html", width=390, height=844, dark=dark)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert len(curves(page)) == 4
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", background)[:3])) < 128) == dark


def test_print_has_the_runs_of_all_families(folder: Path, open_page: OpenPage) -> None:
    page = open_page(folder / "index.html")
    page.emulate_media(media="print")
    assert page.locator("#table tbody tr:visible").count() == 6
