"""The list of tasks: however many there are, found by a filter or a word, walked by keys, and many of them at once."""

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.bench.filled import address_of, fill, task_of
from tests.browser.browser import Browsers, Chromium
from tests.browser.elsewhere import browser_at
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

TASKS = 10_000
MOST_ROWS = 80  # in the document
ADDRESS = address_of(0)
_TO = "(list, part) => { list.scrollTop = list.scrollHeight * part; }"


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Chromium]]:
    place = tmp_path_factory.mktemp("server")
    fill(place / "user_sessions", 1, TASKS)
    with ExitStack() as stack:
        server = stack.enter_context(
            start_server(place, env={"LSM_SLOTS": "2", "MAX_CONCURRENT_TASKS": "1", "LSM_IDENTITY": "address"})
        )
        browsers = stack.enter_context(Browsers(tmp_path_factory.mktemp("browsers")))
        yield server, stack.enter_context(browser_at(server, browsers, ADDRESS))


@pytest.fixture
def server(context: tuple[Server, Chromium]) -> Server:
    return context[0]


@pytest.fixture
def page(context: tuple[Server, Chromium]) -> Iterator[Page]:
    server, chromium = context
    page = chromium.open(server.url)
    expect(page.locator("[data-connection=live]")).to_be_attached()
    yield page
    page.close()


def _row(page: Page, task_id: str) -> Locator:
    return page.locator(f".task[data-id='{task_id}']")


def _link(page: Page, task_id: str) -> Locator:
    return _row(page, task_id).locator(".task-open")


def _count(page: Page, name: str) -> Locator:
    return (
        page.get_by_role("group", name="Filter tasks").get_by_role("button", name=re.compile(f"^{name}")).locator(".n")
    )


def _to_the_end(page: Page) -> None:
    scroller = page.locator(".tasks-list")
    for _ in range(60):
        scroller.evaluate(_TO, 1)
        page.wait_for_timeout(120)
        if _count(page, "All").inner_text() == f"{TASKS:,}":
            break
    scroller.evaluate(_TO, 1)


def test_ten_thousand_tasks_are_scrolled_through_with_few_rows_in_the_document(page: Page) -> None:
    expect(_count(page, "All")).to_have_text("100+")
    expect(_count(page, "Running")).to_have_text("0")
    rows = page.locator(".task")
    assert rows.count() <= MOST_ROWS
    _to_the_end(page)
    first = _row(page, task_of(0, 1))
    expect(first).to_be_in_viewport()
    expect(first).to_have_attribute("aria-posinset", str(TASKS))
    expect(first).to_have_attribute("aria-setsize", str(TASKS))
    assert rows.count() <= MOST_ROWS
    expect(_count(page, "Failed")).to_have_text(f"{TASKS // 10:,}")
    page.get_by_role("button", name=re.compile("^Failed")).click()
    page.locator(".tasks-list").evaluate(_TO, 0)
    expect(_row(page, task_of(0, TASKS))).to_be_visible()
    assert set(rows.evaluate_all("all => all.map(row => row.dataset.status)")) == {"failed"}


def test_what_is_read_stays_where_it_is_when_others_come(page: Page, server: Server) -> None:
    page.locator(".tasks-list").evaluate("list => { list.scrollTop = 57 * 40; }")
    shown = _row(page, task_of(0, TASKS - 42))
    expect(shown).to_be_in_viewport()
    before = shown.bounding_box()
    with device(server, ADDRESS) as client:
        ended(client, submit(client, "true"))
        ended(client, submit(client, "true"))
    expect(_count(page, "All")).to_have_text(re.compile(r"10[2-9]\+|\d{3}\+"))
    expect(shown).to_have_attribute("aria-posinset", re.compile(r"45|46|47|48"))
    assert shown.bounding_box() == before


def test_keys_walk_through_the_list_and_choose(page: Page) -> None:
    newest = page.locator(".task").first.get_attribute("data-id") or ""
    _link(page, newest).focus()
    page.keyboard.press("j")
    page.keyboard.press("ArrowDown")
    third = page.evaluate("document.activeElement.closest('.task').getAttribute('aria-posinset')")
    assert third == "3"
    page.keyboard.press("k")
    page.keyboard.press("x")
    page.keyboard.press("Shift+ArrowDown")
    expect(page.get_by_text("2 selected")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("selected")).to_have_count(0)
    page.keyboard.press("End")
    at = int(page.evaluate("document.activeElement.closest('.task').getAttribute('aria-posinset')"))
    assert at >= 100
    expect(page.locator(".task:focus-within")).to_be_in_viewport()
    page.keyboard.press("Home")
    expect(_link(page, newest)).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Select or leave out")
    page.keyboard.press("Escape")
    expect(_link(page, newest)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#task_"))


def test_a_search_finds_what_is_not_loaded(page: Page) -> None:
    page.locator("body").press("/")
    page.keyboard.type("inputs/123.CSV")
    expect(_row(page, task_of(0, 123))).to_be_visible()
    expect(page.locator(".task")).to_have_count(1)
    _link(page, task_of(0, 123)).click()
    expect(page.get_by_role("heading", name=re.compile(r"inputs.123\.csv"))).to_be_visible()
    page.get_by_role("searchbox", name="Search your tasks").fill("nothing has this")
    expect(page.get_by_text("No task has that")).to_be_visible()
    page.get_by_role("searchbox", name="Search your tasks").press("Escape")
    expect(page.locator(".task").nth(20)).to_be_attached()


def test_a_link_to_a_task_that_is_not_loaded_opens_it(context: tuple[Server, Chromium]) -> None:
    server, chromium = context
    page = chromium.open(f"{server.url}/#task_4321")
    expect(page.get_by_role("heading", name=re.compile(r"inputs.4321\.csv"))).to_be_visible()
    page.evaluate("location.hash = '#task_1234'")
    expect(page.get_by_role("heading", name=re.compile(r"inputs.1234\.csv"))).to_be_visible()
    page.close()


def test_many_are_cancelled_run_again_and_deleted_at_once(page: Page, server: Server) -> None:
    with device(server, ADDRESS) as client:
        running = submit(client, "sleep 600")
        wait_for(client, running, lambda task: task["status"] == "running")
        waiting = [submit(client, f"echo {n}") for n in range(3)]
        page.get_by_role("button", name="Select", exact=True).click()
        for task_id in (running, *waiting):
            _row(page, task_id).get_by_role("checkbox").check()
        page.get_by_role("button", name="Cancel 4").click()
        for task_id in (running, *waiting):
            assert ended(client, task_id)["status"] == "cancelled"
        expect(page.get_by_text("selected")).to_have_count(0)
        page.get_by_role("button", name="Select", exact=True).click()
        _row(page, waiting[0]).get_by_role("checkbox").check()
        _row(page, waiting[2]).get_by_role("checkbox").click(modifiers=["Shift"])
        expect(page.get_by_text("3 selected")).to_be_visible()
        page.get_by_role("button", name="Run 3 again").click()
        expect(page.locator(".task[data-status=completed]").first).to_contain_text("echo")
        page.get_by_role("button", name="Select", exact=True).click()
        for task_id in (running, *waiting):
            _row(page, task_id).get_by_role("checkbox").check()
        page.get_by_role("button", name="Delete 4").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete 4 tasks").click()
        for task_id in (running, *waiting):
            expect(_row(page, task_id)).to_have_count(0)
            assert client.get(f"/api/task/{task_id}").status_code == 404


def test_a_waiting_task_goes_before_the_others(page: Page, server: Server) -> None:
    with device(server, ADDRESS) as client:
        running = submit(client, "sleep 600")
        wait_for(client, running, lambda task: task["status"] == "running")
        one, two = submit(client, "echo one"), submit(client, "echo two")
        _row(page, two).get_by_role("button", name=re.compile("next$")).click()
        wait_for(client, two, lambda task: task["queue_position"] == 1)
        expect(_row(page, one).get_by_role("button", name=re.compile("next$"))).to_be_visible()
        client.post(f"/api/task/{running}/cancel").raise_for_status()
        assert ended(client, two)["started_at"] < ended(client, one)["started_at"]


def test_a_range_takes_what_is_shown_alone(page: Page) -> None:
    page.get_by_role("button", name=re.compile("^Failed")).click()
    page.locator(".tasks-list").evaluate(_TO, 0)
    page.get_by_role("button", name="Select", exact=True).click()
    boxes = page.locator(".task").get_by_role("checkbox")
    boxes.nth(0).check()
    boxes.nth(2).click(modifiers=["Shift"])
    expect(page.get_by_text("3 selected")).to_be_visible()
    expect(page.get_by_role("button", name="Delete 3")).to_be_enabled()
    page.locator(".task-open").nth(2).focus()
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    expect(page.get_by_text("4 selected")).to_be_visible()


def test_an_empty_filter_of_what_runs_says_so_and_loads_nothing(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/api/tasks?" in request.url else None)
    page.get_by_role("button", name=re.compile("^Running")).click()
    expect(page.get_by_text("No task is running.")).to_be_visible()
    assert asked == []
    page.get_by_role("button", name="Show all").click()
    expect(page.locator(".task").nth(20)).to_be_attached()


def test_a_deleted_task_at_the_end_of_the_list_hides_no_others(
    context: tuple[Server, Chromium], page: Page, server: Server
) -> None:
    context[1].expect("status of 404.*before=")
    page.goto(f"{server.url}/#{task_of(0, 3)[-8:]}")
    page.reload()
    expect(page.get_by_role("heading", name=re.compile(r"inputs.3\.csv"))).to_be_visible()
    with device(server, ADDRESS) as client:
        # The last one of the dashboard's, from where on older ones are asked for.
        shown = client.get(f"/api/dashboard/{ADDRESS}").json()["my_tasks"]
        over = sorted((one for one in shown if one["ended_at"]), key=lambda one: str(one["created_at"]))
        assert client.delete(f"/api/task/{over[0]['task_id']}").status_code == 204
    expect(_row(page, over[0]["task_id"])).to_have_count(0)
    page.locator(".tasks-list").evaluate(_TO, 1)
    expect(page.locator(".task").first).to_have_attribute("aria-setsize", re.compile(r"^[5-9]\d\d|^\d{4}"))
    newest = page.locator(".task").first
    assert int(newest.get_attribute("aria-posinset") or 0) > 0


def test_a_key_that_is_held_does_what_it_does_once(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/rerun") else None)
    _link(page, task_of(0, TASKS)).focus()
    with page.expect_response("**/rerun") as answer:
        for _ in range(10):
            page.keyboard.down("r")  # as the keyboard repeats it
        page.keyboard.up("r")
    expect(_row(page, answer.value.json()["task_id"])).to_have_attribute("data-status", "failed")  # no such program
    assert len(asked) == 1


def test_a_link_to_no_task_says_so_and_keeps_what_is_shown(context: tuple[Server, Chromium], page: Page) -> None:
    context[1].expect("status of 404.*task_99999")
    _link(page, task_of(0, TASKS - 1)).click()
    page.evaluate("location.hash = '#task_99999'")
    expect(page.get_by_text("leads to no task of this session")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile(rf"inputs.{TASKS - 1}\.csv"))).to_be_visible()
