"""The owner's page in a real browser: log in, see everybody, change a limit, end a session, read what happened."""

import csv
import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Dialog, Page, Route, expect

from tests.browser.browser import Browsers
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, start_server

pytestmark = pytest.mark.browser

SECTIONS = ("Sessions", "Queue", "Health", "Settings", "Audit log", "Connections")
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def section(page: Page, name: str) -> None:
    """Go to a section by its link."""
    page.get_by_role("navigation", name="Sections").get_by_role("link", name=name).click()


def log_in(page: Page, server: Server) -> None:
    page.get_by_label("Admin token").fill(server.admin_token)
    page.get_by_role("button", name="Log in").click()


def _dismissed(messages: list[str]) -> Callable[[Dialog], None]:
    def dismiss(dialog: Dialog) -> None:
        messages.append(dialog.message)
        dialog.dismiss()

    return dismiss


def test_the_owner_logs_in_gives_a_limit_ends_a_session_and_reads_of_it(server: Server, browsers: Browsers) -> None:
    chromium = browsers.launch()
    chromium.expect("401.*/admin/login")  # the wrong token
    dialogs: list[str] = []
    with device(server, "127.0.0.41") as one, device(server, "127.0.0.42") as two:
        assert one.post("/api/device", json={"program": True, "name": HOSTILE}).status_code == 200
        running = submit(one, "sleep 600")
        submit(two, "true")  # makes the session, so that this request is of none yet
        submit(two, "true")
        assert two.delete("/api/task/%3Cimg%20src=x%3E%1b%5B31m%E2%80%AEgnp").status_code == 404
        wait_for(one, running, lambda task: task["status"] == "running")

        page = chromium.open(f"{server.url}/admin")
        page.on("dialog", _dismissed(dialogs))
        page.get_by_label("Admin token").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text("not the admin token")
        page.get_by_label("Admin token").fill(server.admin_token)
        page.get_by_role("button", name="Log in").click()

        first = page.locator('tr[data-session="127_0_0_41"]')
        expect(first).to_contain_text(HOSTILE)
        expect(page.locator('tr[data-session="127_0_0_42"]')).to_contain_text("127.0.0.42")
        section(page, "Audit log")
        expect(page.locator("#panel-audit")).to_contain_text("<img src=x>\\u001b[31m\\u202egnp")
        assert page.locator("img").count() == 0
        section(page, "Sessions")

        page.get_by_role("button", name="Limits of 127_0_0_41").click()
        page.get_by_label("Tasks that run at once").fill("many")
        page.get_by_role("button", name="Save limits").click()
        expect(page.get_by_role("alert")).to_contain_text("A limit is a number")
        page.get_by_label("Tasks that run at once").fill("3")
        page.get_by_role("button", name="Save limits").click()
        expect(first).to_contain_text("1 of 3")
        expect(first).to_contain_text("own limits")

        page.get_by_role("button", name="End session 127_0_0_41").click()
        question = page.get_by_role("dialog")
        expect(question).to_contain_text("1 running task stops")
        question.get_by_role("button", name="Keep it").click()
        expect(first).to_contain_text(re.compile("Active|Idle"))
        page.get_by_role("button", name="End session 127_0_0_41").click()
        question.get_by_role("button", name="End session").click()
        expect(first).to_contain_text("Expired")
        task = ended(one, running)
        assert (task["status"], task["reason"]) == ("cancelled", "session_ended")

        section(page, "Audit log")
        rows = page.locator("#panel-audit tbody tr")
        expect(rows.filter(has_text="End the session 127_0_0_41")).to_contain_text("Allowed")
        page.get_by_role("button", name="Refused").click()
        expect(rows.filter(has_text="Log in on the admin page")).to_contain_text("Refused")
        expect(rows.filter(has_text="Allowed")).to_have_count(0)
        page.get_by_role("button", name="All", exact=True).click()
        section(page, "Sessions")
        page.get_by_role("button", name="More about 127_0_0_42").click()
        page.get_by_role("dialog").get_by_role("button", name="Audit log").click()
        expect(page).to_have_title(re.compile("Audit log"))
        expect(rows.filter(has_text="127.0.0.41")).to_have_count(0)
        expect(rows.filter(has_text="Submit a task")).to_have_count(1)

        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Admin token")).to_be_visible()
        page.reload()
        expect(page.get_by_label("Admin token")).to_be_visible()
    assert dialogs == []


@pytest.mark.parametrize("width", [360, 390, 820, 1024, 1440])
def test_every_section_fits_its_window(server: Server, browsers: Browsers, width: int) -> None:
    with device(server, "127.0.0.43") as client:
        submit(client, "sleep 600")
    page = browsers.launch(width=width).open(f"{server.url}/admin")
    log_in(page, server)
    expect(page.locator('tr[data-session="127_0_0_43"]')).to_be_visible()
    for name in SECTIONS:
        section(page, name)
        expect(page.locator("main .panel").first).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_a_session_is_paused_and_goes_on_and_its_page_hears_of_it(server: Server, browsers: Browsers) -> None:
    owner, user = browsers.launch(), browsers.launch()
    mine = user.open(server.url)
    mine.get_by_role("textbox", name="Command").fill("echo done")
    page = owner.open(f"{server.url}/admin")
    log_in(page, server)
    row = page.locator("tr[data-session]").first
    row.get_by_role("button", name="Pause session").click()
    expect(row).to_contain_text("Paused")
    expect(page.get_by_role("status").filter(has_text="is paused")).to_have_count(1)
    expect(mine.locator("[data-paused]")).to_contain_text("The owner has paused your session")
    mine.keyboard.press("Control+Enter")
    expect(mine.locator("body")).to_contain_text("Waits: the owner has paused your session")
    section(page, "Queue")
    expect(page.locator("#panel-queue")).to_contain_text("its session is paused")
    expect(page.locator("#panel-queue")).not_to_contain_text("echo done")
    section(page, "Sessions")
    page.get_by_role("button", name="Resume session").click()
    expect(mine.locator("[data-paused]")).to_have_count(0)
    expect(mine.locator("body")).to_contain_text("Completed")


def test_everybody_reads_the_message_and_may_hide_it(server: Server, browsers: Browsers) -> None:
    owner, user = browsers.launch(), browsers.launch()
    mine = user.open(server.url)
    page = owner.open(f"{server.url}/admin")
    log_in(page, server)
    page.get_by_role("button", name="Message to all").click()
    page.get_by_label("Message", exact=True).fill(f"{HOSTILE}\nat six")
    page.get_by_label("Shown").select_option("for 1 hour")
    page.get_by_role("button", name="Show to all").click()
    expect(page.locator("[data-told]")).to_contain_text(f"{HOSTILE} at six until")
    line = mine.locator("[data-message]")
    expect(line).to_contain_text(f"{HOSTILE} at six")
    assert mine.locator("img").count() == page.locator("img").count() == 0
    line.get_by_role("button", name="Hide this message").click()
    expect(line).to_have_count(0)
    mine.reload()
    expect(mine.get_by_role("textbox", name="Command")).to_be_visible()
    expect(line).to_have_count(0)
    page.get_by_role("button", name="Change").click()
    page.get_by_label("Message", exact=True).fill("at seven")
    page.get_by_role("button", name="Show to all").click()
    expect(line).to_contain_text("at seven")
    page.get_by_role("button", name="Take back").click()
    expect(line).to_have_count(0)
    expect(page.locator("[data-told]")).to_have_count(0)


def test_a_task_is_cancelled_and_its_user_reads_by_whom(server: Server, browsers: Browsers) -> None:
    with device(server, "127.0.0.44") as client:
        task = submit(client, "sleep 600")
        wait_for(client, task, lambda one: one["status"] == "running")
        page = browsers.launch().open(f"{server.url}/admin#queue")
        log_in(page, server)
        row = page.locator(f'tr[data-task="{task}"]')
        expect(row).to_contain_text("Running")
        row.get_by_role("button", name="Cancel task_001 of 127_0_0_44").click()
        question = page.get_by_role("dialog")
        expect(question).to_contain_text("sees that the owner of this server cancelled it")
        question.get_by_role("button", name="Cancel task").click()
        expect(row).to_have_count(0)
        expect(page.locator("#panel-queue")).to_contain_text("Nothing runs and nothing waits")
        assert ended(client, task)["reason"] == "cancelled_by_admin"


def test_a_login_that_ends_keeps_what_is_typed(server: Server, browsers: Browsers) -> None:
    with device(server, "127.0.0.45") as client:
        submit(client, "true")
    chromium = browsers.launch()
    chromium.expect("401")
    page = chromium.open(f"{server.url}/admin")
    log_in(page, server)
    page.get_by_role("button", name="Limits of 127_0_0_45").click()
    page.get_by_label("Tasks that run at once").fill("4")
    chromium.context.clear_cookies(name="lsm-admin")
    expect(page.get_by_role("dialog", name="Admin")).to_contain_text("Your login has ended")
    log_in(page, server)
    expect(page.get_by_role("dialog", name="Admin")).to_have_count(0)
    expect(page.get_by_label("Tasks that run at once")).to_have_value("4")
    page.get_by_role("button", name="Save limits").click()
    expect(page.locator('tr[data-session="127_0_0_45"]')).to_contain_text("of 4")


def test_what_is_old_says_so_and_the_focus_stays_on_updates(server: Server, browsers: Browsers) -> None:
    with device(server, "127.0.0.46") as client, device(server, "127.0.0.47") as other:
        submit(client, "true")
        chromium = browsers.launch()
        chromium.expect("ERR_INTERNET_DISCONNECTED")
        page = chromium.open(f"{server.url}/admin")
        log_in(page, server)
        button = page.get_by_role("button", name="Limits of 127_0_0_46")
        button.focus()
        submit(other, "true")
        expect(page.locator('tr[data-session="127_0_0_47"]')).to_be_visible()
        expect(button).to_be_focused()
        chromium.context.set_offline(True)
        expect(page.get_by_role("alert")).to_contain_text("What you see is from")
        expect(page.get_by_role("banner")).to_contain_text("No answer")
        chromium.context.set_offline(False)
        expect(page.get_by_role("banner")).to_contain_text("Polling")
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(button).to_be_focused()


def test_sessions_are_found_sorted_and_filtered(server: Server, browsers: Browsers) -> None:
    for number in (2, 10, 1):
        with device(server, f"127.0.5.{number}") as client:
            submit(client, "true")
            assert client.post("/api/device", json={"program": True, "name": f"={number}"}).status_code == 200
    with device(server, "127.0.0.9", server.admin_token) as owner:
        assert owner.post("/api/admin/session/127.0.5.10/end").status_code == 200
    page = browsers.launch().open(f"{server.url}/admin")
    log_in(page, server)
    rows = page.locator("tr[data-session]")
    expect(rows).to_have_count(3)

    def order() -> list[str | None]:
        return [row.get_attribute("data-session") for row in rows.all()]

    assert order() == ["127_0_5_1", "127_0_5_2", "127_0_5_10"]
    page.get_by_role("button", name="Address").click()
    expect(page.get_by_role("columnheader", name="Address")).to_have_attribute("aria-sort", "descending")
    assert order() == ["127_0_5_10", "127_0_5_2", "127_0_5_1"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    table = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert [row["workspace"] for row in table] == order()
    assert [row["devices"] for row in table] == ["'=10", "'=2", "'=1"], "no cell is a formula"
    page.get_by_role("button", name="Expired 1").click()
    expect(rows).to_have_count(1)
    page.get_by_label("Find a session").fill("nobody")
    expect(page.locator("#panel-sessions")).to_contain_text("No session fits")
    page.get_by_role("button", name="Show all").click()
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Put session 127_0_5_10 in the trash").click()
    page.get_by_role("dialog").get_by_role("button", name="Put in the trash").click()
    leaving = page.locator('tr[data-leaving="127_0_5_10"]')
    expect(leaving).to_contain_text("In the trash")
    leaving.get_by_role("button", name="Restore").click()
    expect(leaving).to_have_count(0)


def test_health_and_settings_are_read(server: Server, browsers: Browsers) -> None:
    page = browsers.launch().open(f"{server.url}/admin#health")
    log_in(page, server)
    expect(page.locator(".finding").first).to_be_attached()
    expect(page.get_by_role("button", name="Check again")).to_be_disabled()
    expect(page.locator("#panel-findings")).to_contain_text("Again in")
    expect(page.locator("#panel-server")).to_contain_text("Isolation")
    section(page, "Settings")
    expect(page).to_have_title(re.compile("^Settings"))
    token = page.locator('tr[data-setting="admin_token"]')
    expect(token).to_contain_text("shown to nobody")
    assert server.admin_token not in page.content()
    page.get_by_label("Find a setting").fill("half")
    expect(page.locator("tr[data-setting]")).to_have_count(1)
    page.reload()
    expect(page.locator('tr[data-setting="slots"]')).to_be_visible()


def test_a_section_that_was_left_before_its_answer_came_is_there_when_it_is_opened_again(
    server: Server, browsers: Browsers
) -> None:
    page = browsers.launch().open(f"{server.url}/admin")
    log_in(page, server)
    held: list[Route] = []
    page.route("**/admin/api/settings", lambda route: held.append(route))
    with page.expect_request("**/admin/api/settings"):
        section(page, "Settings")
    section(page, "Queue")
    expect(page.get_by_role("heading", name="Queue", exact=True).first).to_be_visible()
    for route in held:
        route.continue_()
    page.unroute("**/admin/api/settings")
    section(page, "Settings")
    expect(page.get_by_text("MAX_CONCURRENT_TASKS").first).to_be_visible()
