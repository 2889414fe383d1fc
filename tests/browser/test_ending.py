"""A session that nobody uses warns before it ends, goes on for a person, and says so when it is over."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Browsers
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

# The page is told half of it before the end. Long enough that a slow machine can press a button in it.
TIMEOUT_S = 12


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with start_server(tmp_path, env={"SESSION_TIMEOUT_MINUTES": str(TIMEOUT_S / 60)}) as running:
        yield running


def _hide(page: Page, *, hidden: bool) -> None:
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_page_that_nobody_uses_warns_is_kept_by_a_person_and_ends_else(server: Server, browsers: Browsers) -> None:
    page = browsers.launch().open(f"http://127.0.0.1:{server.port}/")
    expect(page.locator("[data-connection=live]")).to_be_visible()
    _hide(page, hidden=True)
    warning, over = page.locator("[data-ending]"), page.locator("[data-ended]")
    expect(warning).to_contain_text("The session ends in 0:0")
    expect(page).to_have_title(re.compile("Ends in 0:0"))
    _hide(page, hidden=False)  # alone it keeps nothing
    expect(warning).to_be_visible()
    warning.get_by_role("button").click()
    expect(warning).to_be_hidden()
    _hide(page, hidden=True)
    expect(warning).to_be_visible()
    expect(over).to_contain_text("The session ended because nobody used it. Your files are kept.")
    expect(page).to_have_title(re.compile("Session ended"))
    over.get_by_role("button", name="Open it again").click()
    expect(page.locator("[data-connection=live]")).to_be_visible()
    expect(over).to_be_hidden()
