"""Pages in a real browser: Debian's Chromium, driven by Playwright, from the disk and with the network off."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LOCAL = ("file:", "data:", "blob:", "about:")

OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")  # Playwright's event loop must not outlive these tests
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        pytest.skip("no Chromium on the PATH; on Debian or Ubuntu: sudo apt-get install chromium")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=as_root)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """`open_page(path, width=1280, height=900, dark=False)` opens a file; see `flawless`."""
    with flawless(browser) as opening:
        yield opening


@contextmanager
def flawless(browser: Browser) -> Iterator[OpenPage]:
    """What opens pages. Fails at its end if one of them wrote an error to the console, threw one, or asked for anything
    that is not on the disk or within itself."""
    wrong: list[str] = []
    contexts: list[BrowserContext] = []

    def note_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(f"console: {message.text}")

    def note_request(request: Request) -> None:
        if not request.url.startswith(LOCAL):
            wrong.append(f"request: {request.url}")

    def open_page(path: Path, *, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", offline=True
        )
        contexts.append(context)
        context.set_default_timeout(60_000)  # of a busy machine
        context.on("console", note_message)
        context.on("weberror", lambda error: wrong.append(f"page: {error.error}"))
        context.on("request", note_request)
        page = context.new_page()
        page.goto(path.resolve().as_uri())
        return page

    try:
        yield open_page
    finally:
        for context in contexts:
            context.close()
    assert not wrong, "\n".join(wrong)
