"""The owner's page in a real browser: log in, see everybody, change a limit, end a session, read what happened."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Dialog, expect

from tests.browser.browser import Browsers
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, start_server

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as server:
        yield server


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
        expect(page.locator("#audit")).to_contain_text("<img src=x>\\u001b[31m\\u202egnp")
        assert page.locator("img").count() == 0

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

        rows = page.locator("#audit tbody tr")
        expect(rows.filter(has_text="End the session 127_0_0_41")).to_contain_text("Allowed")
        page.get_by_role("button", name="Refused").click()
        expect(rows.filter(has_text="Log in on the admin page")).to_contain_text("Refused")
        expect(rows.filter(has_text="Allowed")).to_have_count(0)
        page.get_by_role("button", name="All", exact=True).click()
        page.get_by_role("button", name="Audit log of 127_0_0_42").click()
        expect(rows.filter(has_text="127.0.0.41")).to_have_count(0)
        expect(rows.filter(has_text="Submit a task")).to_have_count(1)

        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_label("Admin token")).to_be_visible()
        page.reload()
        expect(page.get_by_label("Admin token")).to_be_visible()
    assert dialogs == []


@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_the_page_fits_its_window(server: Server, browsers: Browsers, width: int) -> None:
    with device(server, "127.0.0.43") as client:
        submit(client, "true")
    page = browsers.launch(width=width).open(f"{server.url}/admin")
    page.get_by_label("Admin token").fill(server.admin_token)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator('tr[data-session="127_0_0_43"]')).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
