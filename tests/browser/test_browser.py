"""What the other tests of this folder stand on: it lets nothing wrong pass."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import OpenPage, flawless


def written(folder: Path, body: str) -> Path:
    (folder / "page.html").write_text(f"<!DOCTYPE html><title>a page</title>{body}", encoding="utf-8")
    return folder / "page.html"


def test_a_page_opens_from_the_disk(tmp_path: Path, open_page: OpenPage) -> None:
    (tmp_path / "other.html").write_text("<!DOCTYPE html><title>the other</title>")
    path = written(tmp_path, "<a href=other.html>other</a><script>document.title += ' with a script'</script>")
    page = open_page(path, width=390, height=844, dark=True)
    assert page.title() == "a page with a script"
    assert page.evaluate("[innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]") == [390, True]
    page.click("a")
    assert page.title() == "the other"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<script>console.error('so it goes')</script>", "console: so it goes"),
        ("<script>throw new Error('a mistake')</script>", "page: .*a mistake"),
        ("<script>Promise.reject(new Error('unheard'))</script>", "page: .*unheard"),
        ("<link rel=stylesheet href=http://example.org/style.css>", "request: http://example.org/style.css"),
        ("<script>fetch('https://example.org/').catch(() => {})</script>", "request: https://example.org/"),
    ],
)
def test_errors_and_the_network_fail_the_test(tmp_path: Path, browser: Browser, body: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message), flawless(browser) as open_page:
        open_page(written(tmp_path, body)).wait_for_load_state("networkidle")
