"""The page offers the network profiles that the session may use, and no choice where there is none."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from lan_session_manager.settings import STATE_DIR
from tests.browser.browser import Browsers
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    if os.geteuid() != 0:
        pytest.skip("boxes need root")
    state = tmp_path / "user_sessions" / STATE_DIR
    state.mkdir(parents=True)
    (state / "settings.toml").write_text(request.param)
    with start_server(tmp_path) as running:
        yield running


def _options(browsers: Browsers, server: Server) -> Page:
    page = browsers.launch().open(server.url + "/")
    page.get_by_role("textbox", name="Command").fill("env | grep -c http_proxy")
    page.get_by_role("button", name="Options").click()
    return page


@pytest.mark.parametrize("server", ['networks = ["pypi"]\n[egress.pypi]\nallow = ["lib.test:443"]\n'], indirect=True)
def test_a_profile_is_chosen_runs_and_is_shown(server: Server, browsers: Browsers) -> None:
    page = _options(browsers, server)
    choice = page.get_by_label("Network", exact=True)
    expect(choice).to_have_value("none")
    choice.select_option("pypi")
    expect(page.get_by_role("button", name="Options")).to_contain_text("· pypi")
    page.reload()
    expect(page.get_by_role("button", name="Options")).to_contain_text("· pypi")
    page.get_by_role("textbox", name="Command").fill("env | grep -c http_proxy")
    page.get_by_role("form", name="New task").get_by_role("button", name="Run").click()
    expect(page.get_by_role("log")).to_contain_text("1", timeout=20_000)
    page.get_by_role("tab", name="Details").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Networkpypi")


@pytest.mark.parametrize("server", [""], indirect=True)
def test_without_profiles_the_page_says_that_there_is_no_network(server: Server, browsers: Browsers) -> None:
    page = _options(browsers, server)
    expect(page.get_by_role("dialog", name="Options")).to_contain_text("None: tasks cannot reach the network")
    expect(page.get_by_role("button", name="Options")).to_contain_text("no network")
