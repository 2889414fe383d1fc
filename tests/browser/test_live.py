"""What is shown is what is so: in every tab and on every device of a session, over a cut, and without a socket."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.browser import Browsers, Chromium
from tests.relay import Relay
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

_SUBMIT = """async command => {
    const headers = {"Content-Type": "application/json"};
    const body = JSON.stringify({description: command, command, runner: "shell"});
    const answer = await fetch("/api/task/submit", {method: "POST", headers, body});
    return (await answer.json()).task_id;
}"""
_ROWS = "() => [...document.querySelectorAll('.task')].map(row => [row.dataset.id, row.dataset.status])"
_TOLD = """() => {
    window.told = [];
    new MutationObserver(() => told.push(document.getElementById("said").textContent))
        .observe(document.getElementById("said"), {childList: true, characterData: true, subtree: true});
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server"), env={"LSM_SLOTS": "4"}) as server:
        yield server


def _opened(chromium: Chromium, port: int) -> Page:
    page = chromium.open(f"http://127.0.0.1:{port}/")
    expect(page.locator("[data-connection=live]")).to_be_attached()
    return page


def _has_ended(page: Page, task_id: str) -> None:
    expect(page.locator(f".task[data-id='{task_id}'][data-status=completed]")).to_be_visible()


def test_two_tabs_agree_without_being_touched(server: Server, browsers: Browsers) -> None:
    chromium = browsers.launch()
    one, two = _opened(chromium, server.port), _opened(chromium, server.port)
    task_id = one.evaluate(_SUBMIT, "echo for both")
    for page in (one, two):
        _has_ended(page, task_id)
    one.locator(f".task[data-id='{task_id}']").get_by_role("button", name=re.compile("Delete")).click()
    one.get_by_role("dialog").get_by_role("button", name=re.compile("Delete")).click()
    for page in (one, two):
        expect(page.locator(f".task[data-id='{task_id}']")).to_have_count(0)


def test_where_sockets_are_blocked_the_page_says_so_and_goes_on(server: Server, browsers: Browsers) -> None:
    page = browsers.launch().open(server.url, without_sockets=True)
    expect(page.locator("[data-connection=polling]")).to_be_visible()
    first = page.evaluate(_SUBMIT, "echo first")
    _has_ended(page, first)
    _has_ended(page, page.evaluate(_SUBMIT, "echo second"))


def test_over_a_cut_no_event_is_lost_and_none_is_told_twice(server: Server, browsers: Browsers, tmp_path: Path) -> None:
    with Relay(server.port) as relay:
        chromium = browsers.launch()
        chromium.allow(r"ERR_|WebSocket|socket")
        page = _opened(chromium, relay.port)
        outside = _opened(chromium, server.port)  # the same device past the relay
        page.evaluate(_TOLD)
        ids = []
        for n in range(12):
            ids.append(outside.evaluate(_SUBMIT, f"echo {n}"))
            if n % 3 == 1:
                relay.cut()
        for task_id in ids:
            _has_ended(page, task_id)
        expect(page.locator("[data-connection=live]")).to_be_visible()
        assert page.evaluate(_ROWS) == outside.evaluate(_ROWS)
        told = [words for words in page.evaluate("told") if words]
        assert len(told) == len(set(told)), "an end was told twice"


def test_an_answer_that_is_no_answer_is_asked_for_again(server: Server, browsers: Browsers) -> None:
    chromium = browsers.launch()
    times = 0

    def once(route: Route) -> None:
        nonlocal times
        times += 1
        if times == 1:
            route.fulfill(status=200, content_type="text/html", body="<h1>a proxy's page</h1>")
        else:
            route.continue_()

    chromium.context.route("**/api/dashboard/*", once)
    page = chromium.open(server.url)
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.locator("[data-connection=live]")).to_be_attached()
    assert times > 1


def test_what_was_deleted_while_the_page_was_away_is_gone_and_what_came_after_is_not(
    server: Server, browsers: Browsers
) -> None:
    page = browsers.launch().open(server.url)
    found = page.evaluate(
        """async () => {
            const { applyMessage } = await import("/static/js/store.js");
            const task = (id, created_at) => [id, { task_id: id, created_at, status: "completed" }];
            const state = {
                tasks: new Map([task("old", "2026-01-01T00:00:00Z"), task("anew", "2026-01-03T00:00:00Z")]),
                order: ["anew", "old"], selectedId: null, picked: null, eventId: 9, told: [], skew: 0,
            };
            const gone = (id) => ({ event: "task_deleted", id: 5, task_id: id, timestamp: "2026-01-02T00:00:00Z" });
            return ["old", "anew"].map((id) => {
                const after = { ...state, ...applyMessage(state, gone(id), 0) };
                return [[...after.tasks.keys()].join(), after.order.join(), after.eventId];
            });
        }"""
    )
    assert found == [["anew", "anew", 9], ["old,anew", "anew,old", 9]]
