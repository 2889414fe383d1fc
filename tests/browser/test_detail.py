"""The pane of a task: what it uses while it runs and after, why it waits, lines that have an address."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.browser import Browsers, Chromium
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

_BUSY = "x = bytearray(60 << 20)\nwhile True: pass"


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browsers]:
    with Browsers(tmp_path_factory.mktemp("browsers")) as all_of_them:
        yield all_of_them


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def chromium(server: Server, browsers: Browsers) -> Iterator[Chromium]:
    chromium = browsers.launch()
    yield chromium
    chromium.context.close()


@pytest.fixture
def busy(server: Server) -> Iterator[str]:
    """The hash of a task that runs and uses a core and 60 MB."""
    with device(server) as client:
        task_id = submit(client, _BUSY, runner="python", limits={"memory_mb": 256, "time_s": 300}, description="Busy")
        task = wait_for(client, task_id, lambda task: task["usage"] and task["usage"].get("memory_mb", 0) > 50)
        yield f"#task_{task['number']:03}"
        client.post(f"/api/task/{task_id}/cancel")
        ended(client, task_id)


def test_a_row_tells_what_its_task_uses_now_and_does_not_move(server: Server, chromium: Chromium, busy: str) -> None:
    page = chromium.open(f"{server.url}/{busy}")
    meta = page.locator(".task[data-status=running] .meta")
    expect(meta).to_contain_text("%")
    expect(meta).to_contain_text("MB")
    before = meta.bounding_box()
    expect(meta.locator("svg.spark path")).to_have_count(4)
    assert meta.bounding_box() == before
    assert page.locator(".spark").first.get_attribute("aria-hidden") == "true"


@pytest.mark.parametrize(("width", "sparks", "figures"), [(1440, 2, 2), (1024, 1, 2), (820, 1, 1), (390, 1, 2)])
def test_a_narrow_row_has_fewer_pictures_and_never_half_a_word(
    server: Server, browsers: Browsers, busy: str, width: int, sparks: int, figures: int
) -> None:
    chromium = browsers.launch(width=width)
    page = chromium.open(f"{server.url}/")
    row = page.locator(".task[data-status=running]").first
    expect(row.locator(".sparkv").first).to_be_visible()
    assert row.locator(".spark:visible").count() == sparks
    assert row.locator(".sparkv:visible").count() == figures
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    chromium.context.close()


def test_the_pictures_of_a_task_are_live_and_can_be_read_without_seeing_them(
    server: Server, chromium: Chromium, busy: str
) -> None:
    page = chromium.open(f"{server.url}/{busy}/details")
    memory = page.get_by_role("slider", name="Memory over the time of the task")
    expect(memory.locator("canvas")).to_be_visible()
    figure = page.locator("figure").filter(has=page.get_by_role("heading", name="Memory"))
    expect(figure).to_contain_text("peak")
    before = memory.get_attribute("aria-valuemax") or ""
    expect(memory).not_to_have_attribute("aria-valuemax", before)
    memory.focus()
    page.keyboard.press("Home")
    expect(memory).to_have_attribute("aria-valuenow", "0")
    page.keyboard.press("ArrowRight")
    expect(memory).to_have_attribute("aria-valuenow", "1")
    assert " MB at 0:0" in (memory.get_attribute("aria-valuetext") or "")
    page.set_viewport_size({"width": 1300, "height": 800})
    page.wait_for_function(
        "() => Math.abs(document.querySelector('.plotbox canvas').getBoundingClientRect().width"
        " - document.querySelector('.plotbox').clientWidth) < 2"
    )


def test_the_picture_stays_after_the_end(server: Server, chromium: Chromium) -> None:
    with device(server) as client:
        task_id = submit(client, "sleep 4", limits={"memory_mb": 64, "time_s": 60})
        task = ended(client, task_id)
        quick = ended(client, submit(client, "true"))
    page = chromium.open(f"{server.url}/#task_{task['number']:03}/details")
    expect(page.get_by_role("slider", name="CPU over the time of the task").locator("canvas")).to_be_visible()
    page.goto(f"{server.url}/#task_{quick['number']:03}/details")
    expect(page.get_by_text("too short for a picture")).to_be_visible()


def test_who_waits_is_told_why(server: Server, chromium: Chromium) -> None:
    with device(server) as client:
        body = {"start_after": (datetime.now(UTC) + timedelta(days=30)).isoformat()}
        task = client.get(f"/api/task/{submit(client, 'true', **body)}").json()
        page = chromium.open(f"{server.url}/#task_{task['number']:03}/details")
        waits = page.get_by_role("region", name="Why it waits")
        expect(waits).to_contain_text("Starts after")
        expect(waits).to_contain_text("It was asked to start no earlier.")
        client.post(f"/api/task/{task['task_id']}/cancel")


def test_a_line_of_a_log_has_an_address(server: Server, chromium: Chromium) -> None:
    with device(server) as client:
        task = ended(client, submit(client, "seq -f 'this is line %g' 3000"))
    key = f"#task_{task['number']:03}/log"
    page = chromium.open(f"{server.url}/{key}:L120")
    expect(page.locator(".log .aim .tx")).to_have_text("this is line 120")
    expect(page.locator(".log .aim")).to_be_in_viewport()
    page.get_by_role("searchbox", name="Search the log").fill(":2500")
    page.keyboard.press("Enter")
    expect(page.locator(".log .aim .tx")).to_have_text("this is line 2500")
    assert page.evaluate("location.hash") == f"{key}:L2500"
    page.locator(".log li", has_text="this is line 2503").locator(".ln").click()
    expect(page.locator(".log .aim .tx")).to_have_text("this is line 2503")


def test_what_is_copied_of_a_log_is_its_text_alone(server: Server, chromium: Chromium) -> None:
    with device(server) as client:
        task = ended(client, submit(client, "echo one; echo two >&2; sleep 0.2; echo three"))
    page = chromium.open(f"{server.url}/#task_{task['number']:03}/log")
    expect(page.locator(".log .tx").filter(has_text=re.compile("^three$"))).to_be_visible()
    copied = page.evaluate(
        """() => {
          const lines = [...document.querySelectorAll(".log li")].filter((li) => /^(one|two|three)$/.test(
            li.querySelector(".tx")?.textContent));
          getSelection().setBaseAndExtent(lines[0], 0, lines[2], lines[2].childNodes.length);
          return getSelection().toString();
        }"""
    )
    assert [line.strip() for line in copied.splitlines() if line.strip()] == ["one", "two", "three"]


def test_a_progress_bar_is_its_last_state_with_how_often_it_changed(server: Server, chromium: Chromium) -> None:
    with device(server) as client:
        command = "for i in $(seq 1 50); do printf '\\rdone %s' $i; done; echo; printf 'plain\\r\\n'"
        task = ended(client, submit(client, command))
    page = chromium.open(f"{server.url}/#task_{task['number']:03}/log")
    line = page.locator(".log li", has_text="done 50")
    expect(line.locator(".tx")).to_have_text("done 50")
    expect(line).to_contain_text("50 updates")
    expect(page.locator(".log li", has_text="plain").locator(".upd")).to_have_count(0)


def test_on_a_phone_a_task_has_its_actions_under_the_thumb(server: Server, browsers: Browsers, busy: str) -> None:
    chromium = browsers.launch(width=390, height=844)
    page = chromium.open(f"{server.url}/{busy}/details")
    actions = page.get_by_role("group", name="Actions")
    expect(actions.get_by_role("button", name="Cancel")).to_be_in_viewport()
    box = actions.get_by_role("button", name="Cancel").bounding_box()
    assert box is not None
    assert box["height"] >= 44
    assert box["y"] > 600
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    chromium.context.close()


def test_the_library_of_the_pictures_is_fetched_when_they_are_looked_at(
    server: Server, chromium: Chromium, busy: str
) -> None:
    asked: list[str] = []
    chromium.context.on("request", lambda request: asked.append(request.url))
    page = chromium.open(f"{server.url}/{busy}/log")
    expect(page.locator(".log")).to_be_visible()
    assert not any(Path(url).name in ("uplot.js", "marked.js") for url in asked)
    page.get_by_role("tab", name="Details").click()
    expect(page.locator(".plotbox canvas").first).to_be_visible()
    assert any(Path(url).name == "uplot.js" for url in asked)


def test_a_long_command_that_failed_comes_back_whole_with_its_options(server: Server, chromium: Chromium) -> None:
    command = "".join(f"number = {n}\n" for n in range(200)) + "raise SystemExit(3)"
    with device(server) as client:
        task = ended(client, submit(client, command, runner="python", limits={"memory_mb": 256, "time_s": 300}))
    page = chromium.open(f"{server.url}/#task_{task['number']:03}/details")
    page.get_by_role("button", name="Edit command").click()
    expect(page.get_by_role("textbox", name="Command")).to_have_value(command)
    expect(page.get_by_role("radio", name="Python")).to_be_checked()
    expect(page.get_by_role("button", name=re.compile("^Options"))).to_contain_text("5 min · 256 MB")
