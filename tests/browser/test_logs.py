"""The page shows a log of any size: its end first, what stands before on request, a search over all of it, live output.

It also says why a task that waits has not started.
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.browser import Browsers, Chromium
from tests.relay import Relay
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

LINES = 200_000
MOST_ROWS = 5_200  # of a log in the document; the window holds 5,000 at most

_SUBMIT = """async task => {
    const headers = {"Content-Type": "application/json"};
    const answer = await fetch("/api/task/submit", {method: "POST", headers, body: JSON.stringify(task)});
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error);
    return body.task_id;
}"""
# Every task that has not ended.
_CANCEL = """async () => {
    const active = "[data-status=running], [data-status=queued]";
    const all = [...document.querySelectorAll(".task")].filter(row => row.matches(active));
    const body = JSON.stringify({action: "cancel", task_ids: all.map(row => row.dataset.id)});
    const headers = {"Content-Type": "application/json"};
    if (all.length) await fetch("/api/tasks/bulk", {method: "POST", headers, body});
}"""
# What the lines in the document say, without the frame's own rows.
_TEXTS = "all => all.map(row => row.querySelector('.tx').textContent)"


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsers]:
    """One for all tests here: to start a browser takes longer than most of them."""
    with Browsers(tmp_path_factory.mktemp("browsers")) as all_of_them:
        yield all_of_them


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, browsers: Browsers) -> Iterator[tuple[Server, Chromium]]:
    env = {"LSM_SLOTS": "4", "MAX_CONCURRENT_TASKS": "1", "LSM_LOG_MB": "512"}
    with start_server(tmp_path_factory.mktemp("server"), env=env) as server:
        chromium = browsers.launch()
        yield server, chromium
        chromium.context.close()


@pytest.fixture
def page(context: tuple[Server, Chromium]) -> Iterator[Page]:
    server, chromium = context
    page = _opened(chromium, server.port)
    yield page
    page.evaluate(_CANCEL)
    expect(page.locator(".task:is([data-status=running], [data-status=queued])")).to_have_count(0)
    page.close()


def _opened(chromium: Chromium, port: int) -> Page:
    page = chromium.open(f"http://127.0.0.1:{port}/")
    expect(page.locator("[data-connection=live]")).to_be_visible()
    return page


def _submit(page: Page, command: str, **more: Any) -> str:
    runner = {"runner": "python"}
    return str(page.evaluate(_SUBMIT, {"description": "of the test", "command": command, **runner, **more}))


def _slowly(route: Route) -> None:
    time.sleep(0.5)
    route.continue_()


def _row(page: Page, task_id: str) -> Locator:
    return page.locator(f".task[data-id={task_id}]")


def _show(page: Page, task_id: str) -> Locator:
    _row(page, task_id).get_by_role("link").click()
    return page.get_by_role("log")


def _wait_until(page: Page, task_id: str, status: str) -> None:
    expect(_row(page, task_id)).to_have_attribute("data-status", status)


def _rows(log: Locator) -> Locator:
    return log.locator("ol:nth-of-type(2) > li")


def _line(log: Locator, number: int) -> Locator:
    return log.locator(f"xpath=.//ol[2]/li[span[@class='ln' and text()='{number}']]")


def _numbers(log: Locator) -> list[int]:
    found: list[int] = _rows(log).evaluate_all("all => all.map(row => Number(row.querySelector('.ln').textContent))")
    return found


def _top(log: Locator) -> str:
    """The line at the top of what is in sight."""
    text: str = log.evaluate(
        """log => [...log.querySelectorAll("ol:nth-of-type(2) > li")]
            .find(row => row.getBoundingClientRect().bottom > log.getBoundingClientRect().top).textContent"""
    )
    return text


def test_a_long_log_opens_at_its_end_and_loads_what_stands_before(page: Page) -> None:
    task_id = _submit(page, f"for i in range(1, {LINES + 1}): print('line', i)")
    _wait_until(page, task_id, "completed")
    log = _show(page, task_id)
    expect(_line(log, LINES)).to_be_in_viewport()
    expect(_line(log, LINES)).to_have_text(f"{LINES}line {LINES}")
    expect(page.locator(".logfoot")).to_contain_text("200,000 lines")
    first = _numbers(log)[0]
    assert first > LINES - MOST_ROWS
    expect(log).to_contain_text(f"{first - 1:,} earlier lines")

    log.evaluate("log => log.scrollTop = 500")  # not yet where it loads by itself
    log.get_by_role("button", name="Show earlier").evaluate("button => button.click()")
    expect(_line(log, first - 1)).to_have_count(1)
    assert int(re.sub(r"line.*", "", _top(log))) >= first  # what was in sight has not moved away

    while _numbers(log)[-1] == LINES:  # until the end is given up for the beginning
        first = _numbers(log)[0]
        log.evaluate("log => log.scrollTop = 0")
        expect(_line(log, first - 1)).to_have_count(1)
    numbers = _numbers(log)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) <= MOST_ROWS
    assert _rows(log).evaluate_all(_TEXTS) == [f"line {number}" for number in numbers]

    page.get_by_role("button", name="Jump to newest").click()
    expect(_line(log, LINES)).to_be_in_viewport()
    expect(page.get_by_role("button", name="Jump to newest")).to_have_count(0)
    numbers = _numbers(log)
    assert numbers == list(range(numbers[0], LINES + 1))


def test_a_search_finds_what_is_not_loaded_and_goes_from_hit_to_hit(page: Page) -> None:
    places = (70, 90_000, 199_990)
    task_id = _submit(page, f"for i in range(1, {LINES + 1}): print('a Needle,' if i in {places} else 'hay', i)")
    _wait_until(page, task_id, "completed")
    log = _show(page, task_id)
    expect(_line(log, LINES)).to_be_in_viewport()
    field, hits = page.get_by_role("searchbox", name="Search the log"), page.locator(".hits")
    field.fill("needle")
    for n in (1, 2, 3, 1):
        expect(hits).to_have_text(f"{n} of 3")
        expect(log.locator("mark.now")).to_have_text("Needle")
        expect(log.locator("li", has=page.locator("mark.now"))).to_have_text(
            f"{places[n - 1]}a Needle, {places[n - 1]}"
        )
        expect(log.locator("mark.now")).to_be_in_viewport()
        field.press("Enter")
    expect(hits).to_have_text("2 of 3")
    expect(log.locator("mark.now")).to_be_in_viewport()
    # Back before the second one has come: what was on its way does not take the first one away.
    pages = re.compile("/log/lines")
    page.route(pages, _slowly)
    with page.expect_response(lambda answer: "after=" in answer.url and "/log/lines" in answer.url):
        field.press("Enter")
        expect(hits).to_have_text("3 of 3")
        field.press("Shift+Enter")
        expect(hits).to_have_text("2 of 3")
    page.unroute(pages)
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    expect(log.locator("mark.now")).to_be_in_viewport()
    field.press("Shift+Enter")
    expect(hits).to_have_text("1 of 3")
    expect(log.locator("mark.now")).to_be_in_viewport()
    field.fill("no such thing")
    expect(hits).to_have_text("No match")
    expect(log.locator("mark")).to_have_count(0)
    field.press("Escape")
    expect(hits).to_be_empty()


_OUTPUT = r"""
import sys, time
for percent in range(0, 101, 5):
    print(f"\rprogress {percent} %", end="", flush=True)
    time.sleep(0.01)
print()
print("\x1b[31mred\x1b[0m \x1b[1;32mstrong green\x1b[0m plain")
print("<img src=x onerror=alert(1)><b>no markup</b> &amp; \u202egnp")
sys.stdout.flush()
time.sleep(0.3)
print("this went wrong", file=sys.stderr)
"""


def test_progress_colours_markup_and_stderr_are_shown_as_what_they_are(page: Page) -> None:
    task_id = _submit(page, f"import time; time.sleep(1)\n{_OUTPUT}")
    _wait_until(page, task_id, "running")
    _check_output(page, _show(page, task_id))  # as it was printed
    _wait_until(page, task_id, "completed")
    page.reload()
    _check_output(page, page.get_by_role("log"))  # as it was kept


def _check_output(page: Page, log: Locator) -> None:
    expect(_rows(log)).to_have_count(4)
    expect(_line(log, 1).locator(".tx")).to_have_text("progress 100 %")
    expect(_line(log, 2).locator(".tx")).to_have_text("red strong green plain")
    expect(_line(log, 2).locator(".tx .r")).to_have_text("red")
    expect(_line(log, 2).locator(".tx .b.g")).to_have_text("strong green")
    expect(_line(log, 3).locator(".tx")).to_contain_text("<img src=x onerror=alert(1)><b>no markup</b> &amp; ")
    expect(_line(log, 3).locator(".tx")).not_to_contain_text("\u202e")
    expect(log.locator("img")).to_have_count(0)
    expect(_line(log, 4)).to_have_class("err")
    expect(_line(log, 4).locator(".src")).to_have_text("err")
    expect(_rows(log).locator("xpath=self::*[contains(@class, 'err')]")).to_have_count(1)
    expect(page.locator(".logfoot")).to_contain_text("4 lines")
    expect(page.locator(".logfoot")).to_contain_text("marks stderr")


# Some 25 MB, as fast as it can; then an end that is known.
_FLOOD = """
import sys, time
time.sleep(1)
for block in range(50):
    sys.stdout.write("".join(f"{block * 10_000 + i:09d} {'x' * 40}\\n" for i in range(1, 10_001)))
print("the last line", flush=True)
time.sleep(60)
"""


def test_the_page_keeps_up_with_a_task_that_prints_as_fast_as_it_can(page: Page) -> None:
    task_id = _submit(page, _FLOOD)
    _wait_until(page, task_id, "running")
    log = _show(page, task_id)
    expect(_rows(log).first).to_be_attached()
    # The page's own count at every change, as none that is too high may be missed.
    page.evaluate(
        """() => {
            const list = document.querySelector("[role=log] ol:nth-of-type(2)");
            window.mostRows = 0;
            new MutationObserver(() => { window.mostRows = Math.max(window.mostRows, list.children.length); })
                .observe(list, {childList: true});
        }"""
    )
    expect(_rows(log).filter(has_text="the last line")).to_be_in_viewport()
    assert page.evaluate("window.mostRows") <= MOST_ROWS
    expect(_line(log, 500_001)).to_have_text("500001the last line")  # counted again after what was passed over
    first = _numbers(log)[0]
    log.evaluate("log => log.scrollTop = 0")
    expect(_line(log, first - 1)).to_have_text(f"{first - 1}{first - 1:09d} {'x' * 40}")
    page.get_by_role("button", name="Jump to newest").click()
    expect(_rows(log).filter(has_text="the last line")).to_be_in_viewport()


def test_what_is_read_stays_while_a_task_prints_on(page: Page) -> None:
    task_id = _submit(page, "import time, itertools\nfor i in itertools.count(1): print('line', i); time.sleep(0.0002)")
    _wait_until(page, task_id, "running")
    log = _show(page, task_id)
    expect(_line(log, 400)).to_be_attached()
    log.hover()
    log.evaluate("log => log.scrollTop = 450")
    expect(page.get_by_role("button", name="Jump to newest")).to_be_visible()
    top = _top(log)
    # More than the window holds: what is read stays, and the window gives the newest up.
    expect(log).to_contain_text("More stands behind this")
    assert _top(log) == top
    assert _rows(log).count() <= MOST_ROWS
    page.get_by_role("button", name="Jump to newest").click()
    expect(page.get_by_role("button", name="Jump to newest")).to_have_count(0)
    numbers = _numbers(log)
    assert numbers[0] > 1
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_an_open_log_goes_on_after_a_killed_server_without_loss_or_repeat(tmp_path: Path, browsers: Browsers) -> None:
    with start_server(tmp_path) as server, Relay(server.port) as relay:
        chromium = browsers.launch()
        chromium.expect(r"ERR_|WebSocket|socket")
        page = _opened(chromium, relay.port)
        command = "import time\nfor i in range(1, 1501): print('line', i, flush=True); time.sleep(0.004)"
        task_id = _submit(page, command)
        _wait_until(page, task_id, "running")
        log = _show(page, task_id)
        expect(_line(log, 200)).to_be_attached()
        server.kill9()
        with start_server(tmp_path) as second:
            relay.cut()
            relay.target = second.port
            _wait_until(page, task_id, "completed")
            expect(page.locator(".logfoot")).to_contain_text("1,500 lines")
            expect(_line(log, 1_500)).to_be_in_viewport()
            assert _rows(log).evaluate_all(_TEXTS) == [f"line {number}" for number in range(1, 1501)]
            page.close()


def test_a_task_that_waits_says_why_and_one_starts_when_it_was_told_to(page: Page) -> None:
    first = _submit(page, "import time; time.sleep(600)")
    _wait_until(page, first, "running")
    second = _submit(page, "print('second')")
    expect(_row(page, second)).to_contain_text("1 of your 1 task is running")
    name = second.removeprefix("user_127_0_0_1_")
    third = _submit(page, "print('third')", depends_on=[second])
    expect(_row(page, third)).to_contain_text(f"Waits for {name}")
    fourth = _submit(page, "print('fourth')", depends_on=[second, third])
    expect(_row(page, fourth)).to_contain_text(f"Waits for {name} and 1 more task")
    expect(_show(page, third)).to_contain_text("The log starts when the task starts.")

    page.get_by_role("textbox", name="Command").fill("echo later")
    page.get_by_role("button", name="Options").click()
    at = page.evaluate(
        """() => {
            const at = new Date(Date.now() + 4000);
            return new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
        }"""
    )
    page.get_by_label("Not before").fill(at)
    expect(page.get_by_role("button", name="Options")).to_contain_text("not before")
    page.keyboard.press("Escape")
    page.get_by_role("form", name="New task").get_by_role("button", name="Run").click()
    later = page.locator(".task", has_text="echo later")
    expect(later).to_contain_text("Starts after")
    _row(page, first).get_by_role("button", name="Cancel").click()
    for task in (second, third, fourth):
        _wait_until(page, task, "completed")
    expect(later).to_have_attribute("data-status", "completed")
    expect(page.get_by_role("log")).to_contain_text("later")
    started = page.evaluate(
        "async id => (await (await fetch(`/api/task/${id}`)).json()).started_at", later.get_attribute("data-id")
    )
    assert page.evaluate("([started, at]) => new Date(started) >= new Date(at)", [started, at])
