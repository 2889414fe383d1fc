"""Ten thousand tasks in the dashboard's list, scrolled through by a finger and by its bar, while tasks come and go.

A frame is late if the one before it was on the screen for more than one and a half periods of 60 a second. The work is
what Chromium says of the page's main thread: what is over a period of 16.7 ms cannot be on time.
"""

import itertools
import statistics
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page

from tests.bench.filled import address_of, fill
from tests.browser.browser import Browsers
from tests.browser.elsewhere import browser_at
from tests.integration.clients import device, submit
from tests.server import start_server

_TASKS = 10_000
_ADDRESS = address_of(0)
_SECONDS = 8
_FINGER_PX_S = 6_000  # about a hundred rows a second: faster than anybody reads
_PERIOD_MS = 1000 / 60
_LATE_MS = 1.5 * _PERIOD_MS
_PATIENCE_MS = 60_000

# Frames as they come, each with whether a row stands in the middle of the list.
_WATCH = """() => {
    window.lsmFrames = [];
    const list = document.querySelector('.tasks-list');
    const box = list.getBoundingClientRect();
    const look = (at) => {
        const there = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
        window.lsmFrames.push([at, Boolean(there?.closest('.task'))]);
        window.lsmWatch = requestAnimationFrame(look);
    };
    window.lsmWatch = requestAnimationFrame(look);
}"""
_STOP = "() => { cancelAnimationFrame(window.lsmWatch); return window.lsmFrames; }"
# The bar is dragged from one end to the other: every frame shows other rows, none of which were there before.
_DRAG = """seconds => new Promise(done => {
    const list = document.querySelector('.tasks-list');
    const began = performance.now();
    const step = () => {
        const part = (performance.now() - began) / seconds / 1000;
        list.scrollTop = Math.min(1, part) * (list.scrollHeight - list.clientHeight);
        if (part < 1) requestAnimationFrame(step);
        else done();
    };
    step();
})"""


def task_list(directory: Path) -> dict[str, Any]:
    """Frames a second, the share that is late, and the main thread's ms a frame: scrolled by finger and by the bar."""
    fill(directory / "user_sessions", 1, _TASKS)
    with ExitStack() as stack:
        server = stack.enter_context(start_server(directory, env={"LSM_SLOTS": "2", "LSM_IDENTITY": "address"}))
        browsers = stack.enter_context(Browsers(directory / "browsers"))
        page = stack.enter_context(browser_at(server, browsers, _ADDRESS)).open(server.url)
        page.set_default_timeout(_PATIENCE_MS)
        page.locator("[data-connection=live]").wait_for()
        _load_all(page)
        found: dict[str, Any] = {"tasks": _TASKS, "rows_in_the_document": page.locator(".task").count()}
        cdp = page.context.new_cdp_session(page)
        found["by_finger"] = _measured(page, cdp, lambda: _by_finger(page, cdp))
        found["by_the_bar"] = _measured(page, cdp, lambda: page.evaluate(_DRAG, _SECONDS))
        over = threading.Event()

        def come_and_go() -> None:
            with device(server, _ADDRESS) as client:
                while not over.wait(0.25):
                    submit(client, "true")

        others = threading.Thread(target=come_and_go)
        others.start()
        try:
            found["by_finger_while_tasks_come"] = _measured(page, cdp, lambda: _by_finger(page, cdp))
        finally:
            over.set()
            others.join()
        return found


def _load_all(page: Page) -> None:
    for _ in range(200):
        page.locator(".tasks-list").evaluate("list => { list.scrollTop = list.scrollHeight; }")
        page.wait_for_timeout(100)
        if page.locator(f".task[aria-setsize='{_TASKS}']").count():
            return
    raise AssertionError("the list did not load all tasks")


def _by_finger(page: Page, cdp: CDPSession) -> None:
    shown = page.locator(".tasks-list")
    shown.evaluate("list => { list.scrollTop = 0; }")
    box = shown.bounding_box()
    assert box
    cdp.send(
        "Input.synthesizeScrollGesture",
        {
            "x": box["x"] + box["width"] / 2,
            "y": box["y"] + box["height"] / 2,
            "yDistance": -_FINGER_PX_S * _SECONDS,
            "speed": _FINGER_PX_S,
            "gestureSourceType": "touch",
            "preventFling": True,
        },
    )


def _measured(page: Page, cdp: CDPSession, scroll: Callable[[], object]) -> dict[str, float]:
    cdp.send("Performance.enable")
    page.evaluate(_WATCH)
    before = _task_s(cdp)
    scroll()
    work_s = _task_s(cdp) - before
    frames: list[tuple[float, bool]] = page.evaluate(_STOP)
    gaps = [b[0] - a[0] for a, b in itertools.pairwise(frames)]
    return {
        "frames_per_s": round(1000 * len(gaps) / sum(gaps), 1),
        "late_percent": round(100 * sum(gap > _LATE_MS for gap in gaps) / len(gaps), 2),
        "longest_frame_ms": round(max(gaps), 1),
        "frame_ms_median": round(statistics.median(gaps), 1),
        "main_thread_ms_per_frame": round(1000 * work_s / len(gaps), 1),
        "empty_percent": round(100 * sum(not there for _, there in frames) / len(frames), 2),
    }


def _task_s(cdp: CDPSession) -> float:
    metrics = cdp.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))
