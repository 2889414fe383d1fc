"""The form for a new task: what was written before comes back, files come by the clipboard, and a draft survives."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, Request, Route, expect

from tests.browser.browser import Browsers
from tests.integration.clients import device
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

_PASTE = """(field, [name, type]) => {
    const data = new DataTransfer();
    data.items.add(new File(["pasted"], name, { type }));
    field.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server"), env={"MAX_CONCURRENT_TASKS": "1"}) as server:
        yield server


@pytest.fixture
def page(server: Server, browsers: Browsers) -> Page:
    page = browsers.launch().open(server.url)
    expect(page.locator("[data-connection=live]")).to_be_attached()
    return page


def _field(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Command")


def _key(request: Request) -> str:
    return str(json.loads(request.post_data or "")["idempotency_key"])


def _run(page: Page, command: str, runner: str = "Shell") -> None:
    page.get_by_role("radio", name=runner, exact=True).check(force=True)
    _field(page).fill(command)
    _field(page).press("Control+Enter")
    expect(_field(page)).to_have_value("")
    expect(page.locator(".task").first).to_have_attribute("data-status", "completed")


def test_the_arrow_keys_bring_earlier_commands_back_with_their_runner(page: Page) -> None:
    _run(page, "echo one")
    _run(page, "print('two')\nprint('lines')", "Python")
    _run(page, "echo one")
    page.get_by_role("radio", name="Shell", exact=True).check(force=True)
    _field(page).focus()
    for value, runner in (("echo one", "Shell"), ("print('two')\nprint('lines')", "Python")):
        page.keyboard.press("ArrowUp")
        expect(_field(page)).to_have_value(value)
        expect(page.get_by_role("radio", name=runner, exact=True)).to_be_checked()
    page.keyboard.press("ArrowUp")  # to the first line, as in any text
    expect(_field(page)).to_have_value("print('two')\nprint('lines')")
    page.keyboard.press("Control+End")
    page.keyboard.press("ArrowDown")
    expect(_field(page)).to_have_value("echo one")
    page.keyboard.press("ArrowDown")
    expect(_field(page)).to_have_value("")
    _field(page).fill("my own")
    page.keyboard.press("ArrowUp")
    expect(_field(page)).to_have_value("my own")


def test_a_pasted_picture_is_attached_under_a_name_of_its_own(page: Page) -> None:
    _field(page).evaluate(_PASTE, ["image.png", "image/png"])
    expect(page.get_by_role("form", name="New task")).to_contain_text(re.compile(r"pasted-[\d-]+\.png"))
    _field(page).evaluate(_PASTE, ["data.csv", "text/csv"])
    expect(page.get_by_role("form", name="New task")).to_contain_text("data.csv")
    expect(page.get_by_role("tree", name="Files")).to_contain_text("data.csv")


def test_a_draft_survives_a_reload(page: Page) -> None:
    page.get_by_role("radio", name="Python", exact=True).check(force=True)
    _field(page).fill("print('not yet')")
    page.reload()
    expect(_field(page)).to_have_value("print('not yet')")
    expect(page.get_by_role("radio", name="Python", exact=True)).to_be_checked()


def test_offline_the_draft_stays_and_nothing_can_be_started(server: Server, browsers: Browsers) -> None:
    chromium = browsers.launch()
    chromium.allow("ERR_INTERNET_DISCONNECTED|WebSocket|socket")  # what it tries meanwhile
    page = chromium.open(server.url)
    expect(page.locator("[data-connection=live]")).to_be_attached()
    page.context.set_offline(True)
    _field(page).fill("echo later")
    expect(page.get_by_text("Draft kept")).to_be_visible(timeout=90_000)
    expect(page.get_by_role("button", name=re.compile("^Run Ctrl"))).to_be_disabled()
    page.context.set_offline(False)
    expect(page.locator("[data-connection=live]")).to_be_attached()
    _field(page).press("Control+Enter")
    expect(page.locator(".task").first).to_contain_text("echo later")


def test_a_paused_session_is_told_that_its_task_will_wait(page: Page, server: Server) -> None:
    _run(page, "true")
    path = "/api/admin/session/127.0.0.1"
    with device(server, "127.0.0.9", token=server.admin_token) as owner:
        owner.post(f"{path}/pause").raise_for_status()
        expect(page.get_by_text("paused by the owner: this one will wait")).to_be_visible()
        owner.post(f"{path}/resume").raise_for_status()
    expect(page.get_by_text("paused by the owner")).to_have_count(0)


def test_a_start_that_is_no_time_is_refused_and_harms_nothing(page: Page) -> None:
    page.evaluate("""() => localStorage.setItem("lsm.draft", JSON.stringify({
        command: "echo never", runner: "shell", startAfter: "20261-11-23T10:00" }))""")
    page.reload()
    expect(_field(page)).to_have_value("echo never")
    _field(page).press("Control+Enter")
    expect(page.get_by_role("alert").filter(has_text="cannot start at that time")).to_be_visible()
    expect(_field(page)).to_have_value("echo never")


def test_what_is_sent_again_after_a_reload_is_one_task(server: Server, browsers: Browsers) -> None:
    chromium = browsers.launch()
    chromium.expect("ERR_FAILED")
    page = chromium.open(server.url)
    keys: list[str] = []

    def swallow(route: Route) -> None:
        keys.append(_key(route.request))
        route.fetch()  # the server has it, the page never hears of it
        route.abort()

    page.route("**/api/task/submit", swallow)
    _field(page).fill("echo once")
    _field(page).press("Control+Enter")
    expect(page.get_by_role("alert").filter(has_text="server")).to_be_visible()
    page.unroute("**/api/task/submit")
    page.reload()
    row = page.locator(".task").filter(has_text="echo once")
    expect(row).to_have_count(1)
    expect(_field(page)).to_have_value("echo once")
    with page.expect_request("**/api/task/submit") as again:
        _field(page).press("Control+Enter")
    assert [_key(again.value)] == keys
    expect(_field(page)).to_have_value("")
    expect(row).to_have_count(1)
