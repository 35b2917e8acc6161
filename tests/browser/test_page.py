"""The page of a run, used as a reader does."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from abruptlab.paper import Findings, judge
from abruptlab.paper.training import CLAIMS, FIGURES
from abruptlab.report import build, build_report
from abruptlab.report.build import render
from abruptlab.report.story import measure_story
from tests.browser.conftest import OpenPage
from tests.handmade import COLUMN, CONFIG, attend, averager, copier, handmade_run, prefer
from tests.handmade_gpt import gpt_run
from tests.synthetic import STEPS, make_metrics, make_run

ROW_HEAD = "layer 2, head 1"  # of `averager("row")`, which the run ends with


@pytest.fixture(scope="module", autouse=True)
def training_alone() -> Iterator[None]:
    """The pages with the figures and claims about training only: all of them would take long."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "FIGURES", FIGURES)
        patch.setattr(build, "judge", lambda found: judge(found, CLAIMS))
        yield


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    final = averager("row")
    attend(final, 0, 1, "row")
    prefer(final, 0, 1, COLUMN[0])  # so that this head looks at the first entry of the row, from all of the row
    models = {0: copier(), 750: copier(), 2000: averager("column"), STEPS: final}
    return build_report(Findings(handmade_run(tmp_path_factory.mktemp("run"), models)))


@pytest.fixture
def page(report: Path, open_page: OpenPage) -> Page:
    page = open_page(report)
    expect(page.locator("#attention-summary")).not_to_be_empty()
    return page


def maps(page: Page) -> list[str]:
    """The pixels of all attention maps."""
    return page.locator("#heads canvas").evaluate_all("all => all.map((canvas) => canvas.toDataURL())")


def said(page: Page) -> list[str]:
    """What the model says of the matrix shown."""
    return page.locator("#matrices table").nth(1).locator("td").all_inner_texts()


def test_the_scrubber_moves_everything(page: Page) -> None:
    def shown() -> list[Any]:
        places = ("#moment", "#loss-plot .cursor", "#useful-plot .cursor", "#probe-plot")
        return [maps(page), said(page), *(page.locator(place).evaluate("it => it.outerHTML") for place in places)]

    final = shown()
    page.locator("#scrubber").fill("0")
    first = shown()
    assert all(before != after for before, after in zip(final, first, strict=True))
    assert "step 0" in page.locator("#moment").inner_text()
    page.locator("#scrubber").press("End")
    assert shown() == final


def test_the_matrix_is_copied_at_first_and_completed_at_the_end(page: Page) -> None:
    given, _, true, error = page.locator("#matrices table").all()
    hidden = [text == "" for text in given.locator("td").all_inner_texts()]
    assert any(hidden)
    page.get_by_role("button", name="start").click()
    entries = true.locator("td").all_inner_texts()
    expected = ["0.00" if hole else entry for hole, entry in zip(hidden, entries, strict=True)]
    assert said(page) == expected
    assert [text != "0.00" for text in error.locator("td").all_inner_texts()] == [
        hole and entry != "0.00" for hole, entry in zip(hidden, entries, strict=True)
    ]
    page.get_by_role("button", name="final").click()
    assert said(page) != expected


def test_other_matrices_and_masks_can_be_chosen(page: Page) -> None:
    before = said(page)
    page.locator("#example").select_option(index=3)
    hard = said(page)
    assert hard != before
    page.locator("#mask").select_option(index=1)
    assert said(page) != hard


def test_labels_follow_the_moment(page: Page) -> None:
    expect(page.get_by_role("button", name=f"{ROW_HEAD}: row")).to_be_visible()
    page.locator("#scrubber").fill("2")
    expect(page.get_by_role("button", name=f"{ROW_HEAD}: column")).to_be_visible()
    page.locator("#scrubber").fill("1")
    expect(page.get_by_role("button", name=f"{ROW_HEAD}: no kind")).to_be_visible()


def test_a_click_on_a_head_opens_it_and_a_cell_becomes_the_query(page: Page) -> None:
    panel = page.locator("#head")
    expect(panel).to_be_hidden()
    page.get_by_role("button", name=ROW_HEAD).click()
    expect(panel).to_contain_text("Layer 2, head 1")
    cells = panel.locator(".grid button")
    assert cells.count() == 12
    assert cells.all_inner_texts() == ["25 %"] * 4 + ["0 %"] * 8
    greens = cells.evaluate_all("all => all.map((it) => +getComputedStyle(it).backgroundColor.match(/\\d+/g)[1])")
    assert min(greens[:4]) > 100 > max(greens[4:])  # in viridis, more is greener
    cells.nth(9).click()
    assert cells.all_inner_texts() == ["0 %"] * 8 + ["25 %"] * 4
    expect(panel).to_contain_text("row 3, column 2")
    page.get_by_role("button", name="layer 1, head 2").click()
    assert cells.all_inner_texts() == ["0 %"] * 8 + ["100 %"] + ["0 %"] * 3
    page.get_by_role("button", name=ROW_HEAD).click()
    page.locator("#scrubber").fill("2")  # where the head looks at the column
    assert cells.all_inner_texts() == ["0 %", "33 %", "0 %", "0 %"] * 3


def test_the_keyboard_is_enough(page: Page) -> None:
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#scrubber")).to_have_value("2")
    head = page.get_by_role("button", name=ROW_HEAD)
    head.focus()
    page.keyboard.press("Enter")
    cells = page.locator("#head .grid button")
    cells.first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(cells.nth(5)).to_be_focused()
    expect(cells.nth(5)).to_have_attribute("aria-current", "true")
    expect(page.locator("#scrubber")).to_have_value("2")
    page.keyboard.press("Escape")
    expect(page.locator("#head")).to_be_hidden()
    expect(head).to_be_focused()


def test_it_plays_to_the_end(page: Page) -> None:
    page.locator("#scrubber").fill("1")
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.locator("#scrubber")).to_have_value("3")
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_the_curve_is_a_scrubber_too(page: Page) -> None:
    page.locator("#loss-plot").scroll_into_view_if_needed()
    box = page.locator("#loss-plot").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#moment")).to_contain_text("step 2,000")


def test_the_radios_change_what_is_drawn(page: Page) -> None:
    for part, choice in (("#probe-plot", "observed places"), ("#positions", "t-SNE")):
        before = page.locator(part).evaluate("it => it.innerHTML")
        page.get_by_label(choice).check()
        assert page.locator(part).evaluate("it => it.innerHTML") != before


def test_a_figure_has_its_room_before_it_is_there(page: Page) -> None:
    picture = page.locator("#figure-2 img")
    picture.scroll_into_view_if_needed()
    picture.evaluate("it => it.decode()")
    kept, size = picture.evaluate("it => [getComputedStyle(it).aspectRatio, [it.naturalWidth, it.naturalHeight]]")
    assert kept == "auto {} / {}".format(*size)  # or what is below it would move under a reader's pointer


def test_a_figures_data_can_be_taken_along(page: Page, report: Path) -> None:
    with page.expect_download() as taken:
        page.locator("#figure-2").get_by_role("link", name="Data").click()
    assert taken.value.suggested_filename == "figure_2.npz"
    taken_along, original = Path(taken.value.path()), report.parent / "figures" / "figure_2.npz"
    data, original = (np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) for path in (taken_along, original))
    np.testing.assert_allclose(data["loss_masked"], original["loss_masked"], rtol=1e-6)


def test_a_parts_data_can_be_taken_along(page: Page) -> None:
    # on a page of its own: Chromium asks before a second download that comes long after the click
    with page.expect_download() as taken:
        page.locator("#attention").get_by_role("button", name="Data").click()
    assert re.search(r'"shape":\[4,2,3,12,12\]', Path(taken.value.path()).read_text())


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_it_fits_every_screen_in_light_and_dark(report: Path, open_page: OpenPage, width: int, dark: bool) -> None:
    page = open_page(report, width=width, dark=dark)
    page.get_by_role("button", name=ROW_HEAD).click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    brightness = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (max(brightness) < 60) == dark
    small = page.locator("button:visible, select:visible").evaluate_all(
        "all => all.filter((one) => one.getBoundingClientRect().height < 16).map((one) => one.outerHTML)"
    )
    assert not small


def test_pictures_have_words(page: Page) -> None:
    page.get_by_role("button", name=ROW_HEAD).click()
    pictures = page.locator("img, svg, #head canvas")
    assert pictures.count() >= 8
    words = pictures.evaluate_all("all => all.map((one) => one.getAttribute('alt') || one.getAttribute('aria-label'))")
    assert all(words)


def test_it_prints_without_what_only_a_screen_has(page: Page) -> None:
    page.emulate_media(media="print")
    expect(page.locator(".transport")).to_be_hidden()
    expect(page.locator("nav")).to_be_hidden()
    expect(page.locator("#loss-plot svg")).to_be_visible()


def test_a_decoder_s_heads_open_over_prompt_and_answer(tmp_path: Path, open_page: OpenPage) -> None:
    page = open_page(build_report(Findings(gpt_run(tmp_path))))
    page.get_by_role("button", name="layer 1, head 1: copying").click()
    cells = page.locator("#head .grid button")
    assert cells.count() == 50
    cells.nth(25).click()  # SEP, from which the first entry is looked up
    expect(page.locator("#head")).to_contain_text("from the entry at SEP")
    assert cells.first.inner_text() == "100 %"


def test_a_run_without_checkpoints_has_a_page(tmp_path: Path, open_page: OpenPage) -> None:
    page = open_page(build_report(Findings(make_run(tmp_path, make_metrics(), checkpoints=()))))
    expect(page.locator("#loss-plot svg")).to_be_visible()
    expect(page.locator("#attention")).to_contain_text("the run has no checkpoint yet")
    expect(page.locator(".transport")).to_have_count(0)


def test_other_seeds_are_a_band_on_the_curve(tmp_path: Path, open_page: OpenPage) -> None:
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        config = replace(CONFIG, seed=seed)
        run = make_run(tmp_path / str(seed), make_metrics(final=0.05 + 0.1 * seed), {STEPS: copier()}, config)
    page = open_page(build_report(Findings(run)))
    expect(page.locator("#loss-legend")).to_contain_text("band: 2 seeds")
    heights = page.locator("#loss-plot path[fill='#D55E00']").evaluate_all(
        "all => all.map((it) => it.getBBox().height)"
    )
    assert len(heights) == 1
    assert heights[0] > 20


def test_no_text_of_a_run_is_ever_run(tmp_path: Path, open_page: OpenPage) -> None:
    evil = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    run = handmade_run(tmp_path, {0: copier(), STEPS: copier()})
    run.__dict__["made_with"] = {}
    found = Findings(run)
    story = measure_story(found)
    story.content["moments"][0]["name"] = evil
    story.content["attention"]["kinds"] = [evil] * 8
    story.content["probes"]["targets"][0]["name"] = evil
    story.content["examples"]["masks"] = [evil, evil]
    story.content["progress"] = {"missing": evil}
    path = tmp_path / "report.html"
    path.write_text(render(found, story, {"2": evil}), encoding="utf-8")
    page = open_page(path)
    page.locator("#heads button").first.click()
    expect(page.locator("#head")).to_contain_text("window.hacked = 1")
    assert page.evaluate("window.hacked") is None
    expect(page.locator("img")).to_have_count(0)
