"""What the dashboard costs a browser: its weight, the time to its first paint, and from an event to the screen.

The times are those of Chromium's own tracing. On the machine of the server, so that both have one clock.
"""

import json
import statistics
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser.browser import ARGUMENTS, find_chromium
from tests.integration.clients import device, submit
from tests.server import Server, start_server

_LOADS = 9
_TASKS = 50
_EVENTS = 40
_PATIENCE_MS = 60_000
_CATEGORIES = ("loading", "devtools.timeline", "blink.user_timing")
_ENV = {"LSM_SLOTS": str(_TASKS + 8), "MAX_CONCURRENT_TASKS": str(_TASKS + 8)}
_PRINTS = "while sleep 1; do echo a line; done"
# Tells, on the clock of the trace and on that of the server, one moment; and notes when each event's message came.
_NOTES = """() => {
    performance.mark('lsm-clock', { detail: performance.timeOrigin + performance.now() });
    window.lsmClock = performance.timeOrigin + performance.getEntriesByName('lsm-clock')[0].startTime;
}"""


@dataclass(frozen=True)
class _Load:
    first_paint_ms: float
    first_contentful_ms: float
    usable_ms: float
    requests: int
    kb: float


def page(directory: Path) -> dict[str, Any]:
    """Kilobytes over the wire and requests; ms to the first paint and to the tasks; ms from an event to its paint."""
    with start_server(directory, env=_ENV) as server, sync_playwright() as playwright, device(server) as client:
        browser = playwright.chromium.launch(executable_path=find_chromium(playwright), args=list(ARGUMENTS))
        submit(client, "echo so that there is a list")
        _load(browser, server)  # warms the browser and the server, as for the second person of a room
        cold = [_load(browser, server) for _ in range(_LOADS)]
        for _ in range(_TASKS):
            submit(client, _PRINTS, limits={"time_s": 600, "memory_mb": 64})
        _until_running(client, _TASKS)
        busy = [_load(browser, server) for _ in range(_LOADS)]
        painted = _events(browser, server)
        browser.close()
        return {
            "kb": round(cold[0].kb, 1),
            "requests": cold[0].requests,
            **_times("", cold),
            **_times(f"_with_{_TASKS}_running", busy),
            f"event_to_paint_ms_median_with_{_TASKS}_running": round(statistics.median(painted), 1),
            f"event_to_paint_ms_most_with_{_TASKS}_running": round(max(painted), 1),
            "events": len(painted),
        }


def _times(name: str, loads: list[_Load]) -> dict[str, float]:
    def median(of: list[float]) -> float:
        return round(statistics.median(of), 1)

    return {
        f"first_paint_ms{name}": median([load.first_paint_ms for load in loads]),
        f"first_contentful_paint_ms{name}": median([load.first_contentful_ms for load in loads]),
        f"tasks_on_screen_ms{name}": median([load.usable_ms for load in loads]),
    }


def _until_running(client: Any, wanted: int) -> None:
    end = time.monotonic() + _PATIENCE_MS / 1000
    while client.get("/api/system/health").json()["active_tasks"] < wanted:
        assert time.monotonic() < end, "the tasks did not start"
        time.sleep(0.2)


def _load(browser: Browser, server: Server) -> _Load:
    """Open the page with nothing in the browser's cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    shown = context.new_page()
    cdp = context.new_cdp_session(shown)
    cdp.send("Network.enable")
    sizes: list[float] = []
    cdp.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    shown.add_init_script(
        """new MutationObserver((_, watch) => {
            if (!document.querySelector('.task')) return;
            watch.disconnect();
            requestAnimationFrame(() => setTimeout(() => performance.mark('lsm-tasks')));
        }).observe(document, { subtree: true, childList: true });"""
    )
    browser.start_tracing(page=shown, categories=list(_CATEGORIES))
    shown.goto(server.url)
    shown.locator(".task").first.wait_for()
    shown.wait_for_timeout(300)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    begun = max(
        (one for one in events if one["name"] == "navigationStart" and server.url in json.dumps(one.get("args", {}))),
        key=lambda one: float(one["ts"]),
    )["ts"]

    def after(name: str) -> float:
        return min(float(one["ts"] - begun) for one in events if one["name"] == name and one["ts"] > begun) / 1000

    load = _Load(after("firstPaint"), after("firstContentfulPaint"), after("lsm-tasks"), len(sizes), sum(sizes) / 1024)
    context.close()
    return load


def _events(browser: Browser, server: Server) -> list[float]:
    """Milliseconds from the moment that the server gives an event to the first frame that shows it."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    shown = context.new_page()
    shown.set_default_timeout(_PATIENCE_MS)
    cdp = context.new_cdp_session(shown)
    cdp.send("Network.enable")
    said: dict[str, float] = {}

    def on_frame(event: dict[str, Any]) -> None:
        message = json.loads(event["response"]["payloadData"])
        if message.get("event") == "task_started":
            said[message["task_id"]] = _ms(message["timestamp"])

    cdp.on("Network.webSocketFrameReceived", on_frame)
    shown.goto(server.url)
    shown.locator("[data-connection=live]").wait_for()
    shown.evaluate(
        """() => new MutationObserver((changes) => {
            for (const { target, addedNodes } of changes)
                for (const node of [target, ...addedNodes]) {
                    const row = node.closest?.('.task[data-status=running]');
                    if (!row || row.dataset.seen) continue;
                    row.dataset.seen = 'yes';
                    performance.mark('lsm-shown:' + row.dataset.id);
                }
        }).observe(document, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-status'] })"""
    )
    browser.start_tracing(page=shown, categories=list(_CATEGORIES))
    shown.evaluate(_NOTES)
    clock = float(shown.evaluate("window.lsmClock"))
    ids: list[str] = []
    with device(server) as client:
        for _ in range(_EVENTS):
            ids.append(submit(client, "true"))
            time.sleep(0.15)
    shown.wait_for_timeout(1_000)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    context.close()
    offset = clock - next(float(one["ts"]) for one in events if one["name"] == "lsm-clock") / 1000
    paints = sorted(float(one["ts"] + one.get("dur", 0)) / 1000 + offset for one in events if one["name"] == "Paint")
    marks = {
        one["name"][10:]: float(one["ts"]) / 1000 + offset for one in events if one["name"].startswith("lsm-shown:")
    }
    return [
        next(at for at in paints if at >= marks[task_id]) - said[task_id]
        for task_id in ids
        if task_id in marks and task_id in said
    ]


def _ms(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).timestamp() * 1000
