"""The page and its device: names, codes, what is forgotten, programs, and browsers without cookies."""

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.browser import Browsers, Chromium
from tests.browser.elsewhere import browser_at
from tests.integration.clients import device
from tests.server import Server, start_server

pytestmark = pytest.mark.browser

_PATIENCE_MS = 30_000
_HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all: each test has addresses of its own."""
    with start_server(tmp_path_factory.mktemp("devices")) as running:
        yield running
        assert " ERROR " not in running.output


def _opened(chromium: Chromium, server: Server) -> Page:
    page = chromium.open(f"{server.url}/")
    _wait_live(page)
    return page


def _wait_live(page: Page) -> None:
    expect(page.locator("[data-connection=live]")).to_have_count(1)


def _second_browser(chromium: Chromium, server: Server) -> Page:
    """Another profile in the same browser: another device at the same address."""
    context = chromium.context.browser.new_context() if chromium.context.browser else None
    assert context is not None
    context.set_default_timeout(_PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{server.url}/")
    _wait_live(page)
    return page


def _menu_button(page: Page) -> Locator:
    return page.get_by_role("banner").get_by_role("button", name=re.compile("^This device: "))


def _menu(page: Page) -> Locator:
    _menu_button(page).click()
    return page.get_by_role("dialog", name="Device and session")


def _session(page: Page) -> str:
    found = re.search(r"session\s+(\w+)", _menu_button(page).text_content() or "")
    assert found
    return found[1]


def _expect_session(page: Page, session: str) -> None:
    expect(_menu_button(page)).to_have_text(re.compile(rf"session\s+{session}"))


def _carry(page: Page) -> dict[str, Any]:
    """Ask for a code in the menu; what the server has answered."""
    with page.expect_response("**/api/device/carry") as answer:
        _menu(page).get_by_role("button", name="Carry to another device").click()
    made: dict[str, Any] = answer.value.json()
    expect(page.get_by_role("dialog")).to_contain_text(f"{made['code'][:3]} {made['code'][3:]}")
    expect(page.get_by_role("img", name="QR code")).to_be_visible()
    return made


def _ask(server: Server, token: str, path: str, body: object = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30, source_address=("127.0.0.82", 0))
    with contextlib.closing(connection):
        headers = {"LSM-Device": token, "Content-Type": "application/json"}
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
        return json.load(connection.getresponse())


def test_a_device_is_named_by_keyboard_alone_and_a_hostile_name_is_text(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.21") as chromium:
        page = _opened(chromium, server)
        _menu_button(page).focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        pen = page.get_by_role("button", name="Rename")
        expect(pen).to_be_focused()
        page.keyboard.press("Enter")
        field = page.get_by_role("textbox", name="Name of this device")
        expect(field).to_be_focused()
        page.keyboard.type(" ")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("A name has 1 to 40 characters.")
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type(_HOSTILE)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=_HOSTILE)).to_be_visible()
        expect(pen).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(_menu_button(page)).to_be_focused()
        page.reload()
        _wait_live(page)
        expect(_menu(page).get_by_role("heading", name=_HOSTILE)).to_be_visible()
        assert page.locator("img[src=x]").count() == 0


def test_a_code_carries_a_session_to_another_address_and_both_agree(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.31") as first, browser_at(server, browsers, "127.0.0.32") as second:
        a, b = _opened(first, server), _opened(second, server)
        carried, own = _session(a), _session(b)
        assert carried != own
        made = _carry(a)
        second.expect("404.*/api/device/claim")
        _menu(b).get_by_role("button", name="I have a code").click()
        field = b.get_by_role("textbox", name="Code from the other device")
        expect(field).to_be_focused()
        b.keyboard.type("12345")
        b.keyboard.press("Enter")
        expect(b.get_by_role("alert")).to_have_text("A code has 6 digits.")
        wrong = f"{(int(made['code']) + 1) % 10**6:06d}"
        field.fill(wrong)
        b.keyboard.press("Enter")
        expect(b.get_by_role("alert")).to_contain_text("code")
        expect(field).to_be_focused()
        field.fill(f"{made['code'][:3]} {made['code'][3:]}")
        b.keyboard.press("Enter")
        _expect_session(b, carried)
        expect(a.get_by_role("dialog").get_by_role("status")).to_contain_text("opens this session now")
        expect(a.get_by_role("dialog")).not_to_contain_text(made["code"][:3] + " ")
        a.keyboard.press("Escape")
        expect(_menu_button(a)).to_be_focused()

        with device(server, "127.0.0.31") as program:
            program.post("/api/task/submit", json={"description": "seen by both", "runner": "swarm"}).raise_for_status()
        for page in (a, b):
            expect(page.get_by_role("main").get_by_text("seen by both").first).to_be_visible()

        menu = _menu(b)
        expect(menu).to_contain_text("127.0.0.31")
        menu.get_by_role("button", name="Back to this device's own session").click()
        _expect_session(b, own)
        expect(_menu(a)).to_contain_text("No other device opens this session.")


def test_a_link_asks_once_leaves_no_trace_and_a_guest_is_sent_home(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.41") as first, browser_at(server, browsers, "127.0.0.42") as second:
        a, b = _opened(first, server), _opened(second, server)
        carried, own = _session(a), _session(b)
        secret = _carry(a)["secret"]
        a.keyboard.press("Escape")
        b.goto("about:blank")
        b.goto(f"{server.url}/#carry={secret}")
        dialog = b.get_by_role("dialog", name="Open the session of another device here?")
        expect(dialog.get_by_role("button", name="Open the session")).to_be_focused()
        assert b.url == f"{server.url}/"
        assert b.evaluate("location.hash + JSON.stringify(history.state)") == "null"
        dialog.get_by_role("button", name="Not now").click()
        expect(dialog).to_have_count(0)
        assert _session(b) == own
        # The same in a page that is open already.
        b.evaluate("secret => { location.hash = `#carry=${secret}`; }", secret)
        dialog.get_by_role("button", name="Open the session").click()
        _expect_session(b, carried)
        assert b.url == f"{server.url}/"

        menu = _menu(a)
        menu.get_by_role("list", name="Other devices").get_by_role("button", name="Forget").click()
        question = a.get_by_role("dialog", name="Forget")
        expect(question).to_contain_text("It goes back to its own session")
        question.get_by_role("button", name="Forget").click()
        _expect_session(b, own)
        expect(_menu(a)).to_contain_text("No other device opens this session.")


def test_a_device_that_another_one_forgets_is_told_and_starts_anew(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.51") as chromium:
        a = _opened(chromium, server)
        b = _second_browser(chromium, server)
        carried = _session(a)
        assert _session(b) == carried
        b.get_by_role("textbox", name="Command").fill("a secret draft")
        _menu(a).get_by_role("list", name="Other devices").get_by_role("button", name="Forget").click()
        a.get_by_role("dialog", name="Forget").get_by_role("button", name="Forget").click()
        expect(b.get_by_role("heading", name="This device was forgotten")).to_be_visible()
        expect(b.get_by_role("button", name="Start anew")).to_be_focused()
        assert b.evaluate("localStorage.getItem('lsm.draft')") is None
        assert b.get_by_text(carried).count() == 0
        expect(_menu_button(a)).to_be_focused()
        b.keyboard.press("Enter")
        _wait_live(b)
        assert _session(b) != _session(a)
        a.reload()
        _wait_live(a)
        assert _session(a) == carried
        b.context.close()


def test_this_device_is_forgotten_after_a_question(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.61") as chromium:
        page = _opened(chromium, server)
        before = _session(page)
        for answer in ("Keep it", "Forget this device"):
            _menu(page).get_by_role("button", name="Forget this device").click()
            question = page.get_by_role("dialog", name="Forget this device?")
            expect(question).to_contain_text("nobody can reach its tasks and files any more")
            expect(question.get_by_role("button", name="Keep it")).to_be_focused()
            question.get_by_role("button", name=answer).click()
        expect(page.get_by_role("heading", name="This device is forgotten")).to_be_visible()
        assert chromium.context.cookies() == []
        page.get_by_role("button", name="Start anew").click()
        _wait_live(page)
        assert _session(page) != before


def test_not_my_session_gives_a_new_one_and_the_address_counts_as_shared(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.71") as chromium:
        a = _opened(chromium, server)
        b = _second_browser(chromium, server)
        theirs = _session(a)
        _menu(b).get_by_role("button", name="Not my session").click()
        question = b.get_by_role("dialog", name="Not your session?")
        expect(question).to_contain_text("Tasks and files stay for 1 other device. From then on this address counts")
        question.get_by_role("button", name="Start a new session").click()
        expect(b.get_by_role("banner").get_by_text("shared address")).to_be_visible()
        assert _session(b) != theirs
        menu = _menu(a)
        expect(menu).to_contain_text("Several devices with sessions of their own use the address 127.0.0.71.")
        assert _session(a) == theirs
        b.context.close()


def test_a_program_gets_a_token_that_works_until_it_is_forgotten(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.81") as chromium:
        # As over plain HTTP from another machine.
        chromium.context.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
        page = _opened(chromium, server)
        _menu(page).get_by_role("button", name="Token for a program").click()
        dialog = page.get_by_role("dialog", name="Token for a program")
        expect(dialog.get_by_role("textbox", name="Name of the program")).to_be_focused()
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type("nightly backup")
        page.keyboard.press("Enter")
        copy = dialog.get_by_role("button", name="Copy the token")
        expect(copy).to_be_focused()
        token = dialog.locator(".secret").first.inner_text()
        page.keyboard.press("Enter")
        expect(dialog.get_by_role("status")).to_have_text("Token copied")
        dialog.get_by_role("button", name="Done").click()
        command = page.get_by_role("textbox", name="Command")
        command.focus()
        page.keyboard.press("ControlOrMeta+v")
        expect(command).to_have_value(token)

        facts = _ask(server, token, "/api/device")
        assert facts["device"]["name"] == "nightly backup"
        assert facts["session"]["session_id"].startswith(_session(page))
        _ask(server, token, "/api/task/submit", {"description": "from a program", "runner": "swarm"})
        expect(page.get_by_role("main").get_by_text("from a program").first).to_be_visible()

        menu = _menu(page)
        expect(menu).to_contain_text("program")
        menu.get_by_role("button", name="Forget nightly backup").click()
        question = page.get_by_role("dialog", name="Forget nightly backup?")
        expect(question).to_contain_text("Its token stops working at once.")
        question.get_by_role("button", name="Forget nightly backup").click()
        expect(_menu(page)).to_contain_text("No other device opens this session.")
        assert _ask(server, token, "/api/device")["device"] is None


def test_too_many_wrong_codes_say_when_one_may_try_again(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.91") as chromium:
        chromium.expect("/api/device/claim")
        page = _opened(chromium, server)
        _menu(page).get_by_role("button", name="I have a code").click()
        field = page.get_by_role("textbox", name="Code from the other device")
        button = page.get_by_role("button", name="Open the session")
        waits = page.get_by_text("You can try again in")
        for number in range(20):
            field.fill(f"{number:06d}")
            with page.expect_response("**/api/device/claim") as answer:
                page.keyboard.press("Enter")
            if answer.value.status == 429:
                break
            expect(button).to_be_enabled()
        expect(waits).to_be_visible()
        expect(button).to_be_disabled()


def test_a_browser_without_cookies_goes_on_by_its_address_while_that_is_enough(
    server: Server, browsers: Browsers
) -> None:
    with browser_at(server, browsers, "127.0.0.101") as chromium:
        chromium.context.add_init_script("Object.defineProperty(navigator, 'cookieEnabled', {value: false})")
        page = _opened(chromium, server)
        menu = _menu(page)
        expect(menu).to_contain_text("This browser keeps no cookies")
        expect(menu.get_by_role("button", name="Carry")).to_have_count(0)
        assert chromium.context.cookies() == []

        other = _second_browser(chromium, server)
        _menu(other).get_by_role("button", name="Not my session").click()
        other.get_by_role("dialog").get_by_role("button", name="Start a new session").click()
        expect(other.get_by_role("banner").get_by_text("shared address")).to_be_visible()
        page.reload()
        expect(page.get_by_role("heading", name="This browser keeps no cookies")).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_be_focused()
        other.context.close()


def test_a_cookie_that_is_thrown_away_is_noticed(server: Server, browsers: Browsers) -> None:
    chromium = browsers.launch()

    def throw_away(route: Route) -> None:
        chromium.context.clear_cookies()
        route.continue_()

    chromium.context.route("**/api/**", throw_away)
    page = _opened(chromium, server)
    expect(_menu(page)).to_contain_text("This browser keeps no cookies")


def test_a_busy_server_is_asked_again_when_it_says(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.111") as chromium:
        chromium.expect("503")
        busy = {"error": "The server is busy.", "code": "busy"}
        chromium.context.route(
            "**/api/device",
            lambda route: route.fulfill(status=503, json=busy, headers={"Retry-After": "1"}),
            times=1,
        )
        page = chromium.open(f"{server.url}/")
        expect(page.get_by_role("alert")).to_contain_text("This page tries again by itself.")
        _wait_live(page)


def test_on_a_phone_the_device_is_below_the_swarm(server: Server, browsers: Browsers) -> None:
    with browser_at(server, browsers, "127.0.0.121", width=390, height=600) as chromium:
        page = _opened(chromium, server)
        page.get_by_role("link", name=re.compile("^This device: 127.0.0.121")).click()
        section = page.get_by_role("region", name="This device")
        expect(section.get_by_role("heading").first).to_be_in_viewport()
        carry = section.get_by_role("button", name="Carry to another device")
        carry.click()
        expect(page.get_by_role("img", name="QR code")).to_be_visible()
        page.keyboard.press("Escape")
        expect(carry).to_be_focused()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
