"""Two devices of a network come to a server that nobody has used before, each with a browser of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.browser import Browsers, Chromium
from tests.lan.lan import Host, Lan
from tests.server import ROOT, Server

pytestmark = [pytest.mark.root, pytest.mark.browser]

_PATIENCE_MS = 30_000
_ROWS = 400_000
_REGIONS = ("north", "south", "east", "west")

_SUMMARISE = """
import csv, sys
totals = {}
with open(sys.argv[1], newline="") as file:
    for row in csv.DictReader(file):
        totals[row["region"]] = totals.get(row["region"], 0) + int(row["amount"])
for region in sorted(totals):
    print(region, totals[region])
"""

# Writes down every state that the page shows of each task, and when it showed it first. A reload would lose the notes.
_NOTE_STATES = """
() => {
  window.noted = {};
  const look = () => {
    for (const row of document.querySelectorAll("li.task")) {
      const states = (window.noted[row.dataset.id] ??= []);
      if (states.at(-1)?.state !== row.dataset.status) states.push({ state: row.dataset.status, at: Date.now() });
    }
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
}
"""

_ASK = """
async (paths) => Promise.all(paths.map(async (path) => {
  const answer = await fetch(path);
  return { status: answer.status, text: await answer.text() };
}))
"""

# What a socket does: the words of its first message, or that it was closed without one.
_LISTEN = """
(path) => new Promise((resolve) => {
  const socket = new WebSocket(`ws://${location.host}${path}`);
  socket.onmessage = (message) => resolve(message.data);
  socket.onclose = () => resolve("closed");
})
"""


def _visit(browsers: Browsers, lan: Lan, server: Server, host: Host) -> tuple[Chromium, Page]:
    """The dashboard, live, in a browser on that host."""
    chromium = browsers.launch(prefix=host.prefix)
    page = chromium.open(f"http://{lan.server.ip}:{server.port}/")
    expect(page.get_by_role("banner").get_by_text("Live", exact=True)).to_be_visible(timeout=_PATIENCE_MS)
    page.evaluate(_NOTE_STATES)
    return chromium, page


def _upload(page: Page, *files: Path) -> None:
    field = "input[type=file]:not([webkitdirectory], [data-upload-here])"
    page.get_by_role("complementary").locator(field).set_input_files(files)
    for file in files:
        link = page.get_by_role("tree", name="Files").get_by_role("link", name=f"Download {file.name}")
        expect(link).to_be_visible(timeout=_PATIENCE_MS)


def _run(page: Page, command: str) -> None:
    composer = page.get_by_role("form", name="New task")
    composer.get_by_role("textbox", name="Command").fill(command)
    composer.get_by_role("button", name="Run").click()


def _row(page: Page, task_id: str) -> Locator:
    return page.locator(f'li.task[data-id="{task_id}"]')


def _expect_status(page: Page, task_id: str, status: str) -> None:
    expect(_row(page, task_id)).to_have_attribute("data-status", status, timeout=_PATIENCE_MS)


def _noted(page: Page, task_id: str) -> list[dict[str, Any]]:
    notes: list[dict[str, Any]] = page.evaluate("id => window.noted[id]", task_id)
    return notes


def _make_inputs(directory: Path) -> tuple[Path, Path, str]:
    """A CSV of at least 10 MB, a script that sums it up, and the right sum."""
    data, script = directory / "data.csv", directory / "summarise.py"
    totals = dict.fromkeys(_REGIONS, 0)
    with data.open("w") as file:
        file.write("order,region,amount,note\n")
        for number in range(_ROWS):
            region, amount = _REGIONS[number * 7 % 4], number * 31 % 997
            totals[region] += amount
            file.write(f"{number},{region},{amount},delivered\n")
    script.write_text(_SUMMARISE)
    assert data.stat().st_size >= 10_000_000
    return data, script, "".join(f"{region} {totals[region]}\n" for region in sorted(totals))


def test_a_device_that_opens_the_address_has_a_session_and_for_its_first_work_a_workspace(
    lan: Lan, server: Server, browsers: Browsers
) -> None:
    _, page = _visit(browsers, lan, server, lan.host("a"))
    banner = page.get_by_role("banner")
    expect(banner).to_contain_text("You are 192.168.77.10")
    expect(banner).to_contain_text("workspace 192_168_77_10")
    workspace = server.data_dir / "192_168_77_10"
    assert not workspace.exists()  # a visit alone makes nothing on the disk
    _run(page, "true")
    _expect_status(page, "user_192_168_77_10_task_001", "completed")
    assert sorted(os.listdir(workspace)) == ["inputs", "outputs", "session.json", "temp"]
    assert json.loads((workspace / "session.json").read_text())["ip"] == "192.168.77.10"


def test_two_devices_upload_run_and_download_at_the_same_time(
    lan: Lan, server: Server, browsers: Browsers, tmp_path: Path
) -> None:
    data, script, summary = _make_inputs(tmp_path)
    pages = {name: _visit(browsers, lan, server, lan.host(name))[1] for name in ("a", "b")}
    tasks = {"a": "user_192_168_77_10_task_001", "b": "user_192_168_77_11_task_001"}
    for page in pages.values():
        _upload(page, data, script)
    for page in pages.values():
        _run(page, "python3 inputs/summarise.py inputs/data.csv > outputs/summary.txt")
    for name, page in pages.items():
        _expect_status(page, tasks[name], "completed")
        states = [note["state"] for note in _noted(page, tasks[name])]
        assert states in (["queued", "running", "completed"], ["running", "completed"])
        page.get_by_role("tab", name="Outputs").click()
        with page.expect_download() as download:
            page.get_by_role("tabpanel").get_by_role("link", name="Download summary.txt").click()
        assert download.value.path().read_text() == summary


def test_the_log_grows_line_by_line_while_the_task_runs(lan: Lan, server: Server, browsers: Browsers) -> None:
    _, page = _visit(browsers, lan, server, lan.host("a"))
    _run(page, "for n in 1 2 3; do echo line $n; until [ -e inputs/go-$n ]; do sleep 0.05; done; done")
    log = page.get_by_role("log")
    for number in (1, 2, 3):
        expect(log).to_contain_text(f"line {number}", timeout=_PATIENCE_MS)
        expect(log).not_to_contain_text(f"line {number + 1}")
        _expect_status(page, "user_192_168_77_10_task_001", "running")
        (server.data_dir / "192_168_77_10/inputs" / f"go-{number}").touch()
    _expect_status(page, "user_192_168_77_10_task_001", "completed")
    expect(log).to_contain_text("Completed after")


def test_of_another_device_only_counts_are_shown(lan: Lan, server: Server, browsers: Browsers) -> None:
    _, a = _visit(browsers, lan, server, lan.host("a"))
    _, b = _visit(browsers, lan, server, lan.host("b"))
    _run(a, "echo secret-of-a >outputs/secret.txt; until [ -e inputs/go ]; do sleep 0.05; done")
    network = b.get_by_role("region", name="Network activity")
    expect(network).to_contain_text("1 other user active, 1 task running", timeout=_PATIENCE_MS)
    shown = b.content()
    for word in ("secret", "192.168.77.10", "192_168_77_10"):
        assert word not in shown
    (server.data_dir / "192_168_77_10/inputs/go").touch()
    expect(network).to_contain_text("1 other user active, no task running", timeout=_PATIENCE_MS)


def test_anothers_work_answers_as_what_does_not_exist(lan: Lan, server: Server, browsers: Browsers) -> None:
    _, a = _visit(browsers, lan, server, lan.host("a"))
    _run(a, "echo mine >outputs/mine.txt")
    _expect_status(a, "user_192_168_77_10_task_001", "completed")
    chromium, b = _visit(browsers, lan, server, lan.host("b"))
    chromium.expect("status of 404")
    real, invented = ("192.168.77.10", "user_192_168_77_10_task_001"), ("192.168.77.99", "user_192_168_77_99_task_001")
    answers = []
    for address, task_id in (real, invented):
        paths = [
            *(f"/api/dashboard/{address}", f"/api/session/{address}"),
            *(f"/api/task/{task_id}", f"/api/task/{task_id}/log", f"/api/task/{task_id}/log?follow=1"),
            *(f"/api/workspace/{address}/files?path=outputs", f"/api/workspace/{address}/archive?path=outputs"),
            f"/api/workspace/{address}/files/outputs/mine.txt",
        ]
        answers.append(b.evaluate(_ASK, paths))
    assert answers[0] == answers[1]
    assert {answer["status"] for answer in answers[0]} == {404}
    # The same questions have answers for the one whose work it is.
    own = a.evaluate(_ASK, [f"/api/task/{real[1]}", f"/api/workspace/{real[0]}/files/outputs/mine.txt"])
    assert [answer["status"] for answer in own] == [200, 200]


def test_anothers_live_connection_is_refused(lan: Lan, server: Server, browsers: Browsers) -> None:
    _, a = _visit(browsers, lan, server, lan.host("a"))
    chromium, b = _visit(browsers, lan, server, lan.host("b"))
    assert b.evaluate(_LISTEN, "/ws/dashboard/192.168.77.10") == "closed"
    assert "dashboard_update" in a.evaluate(_LISTEN, "/ws/dashboard/192.168.77.10")
    chromium.expect("/ws/dashboard/192.168.77.10")


def _tag(server: Server, task_id: str, address: str) -> float:
    """Tag a task as an orchestrator does, in another process, and give the time when that process began to."""
    code = """
import sys, time
from lan_session_manager import get_session_manager
manager = get_session_manager()
print(time.time())
manager.activity_tracker.tag_task(sys.argv[1], "USER_TRIGGERED", sys.argv[2])
"""
    environment = {"LSM_DATA_DIR": str(server.data_dir), "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-c", code, task_id, address]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_what_an_orchestrator_tags_is_on_the_open_dashboard(lan: Lan, server: Server, browsers: Browsers) -> None:
    _, page = _visit(browsers, lan, server, lan.host("a"))
    began = _tag(server, "nightly-report", "192.168.77.10")
    expect(_row(page, "nightly-report")).to_be_visible(timeout=_PATIENCE_MS)
    shown = _noted(page, "nightly-report")[0]["at"] / 1000
    print(f"tagged by another process, on the page after {shown - began:.3f} s")


def test_what_an_orchestrator_tags_can_be_opened(lan: Lan, server: Server, browsers: Browsers) -> None:
    _, page = _visit(browsers, lan, server, lan.host("a"))
    _run(page, "true")
    _expect_status(page, "user_192_168_77_10_task_001", "completed")
    _tag(server, "nightly-report", "192.168.77.10")
    _row(page, "nightly-report").get_by_role("link").click()
    expect(page.get_by_role("article")).to_contain_text("nightly-report")
    page.get_by_role("tab", name="Details").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Started by user 192.168.77.10")


def test_a_device_of_ipv6_works_as_any_other(lan: Lan, server: Server, browsers: Browsers) -> None:
    page = browsers.launch(prefix=lan.host("a").prefix).open(f"http://[{lan.server.ip6}]:{server.port}/")
    expect(page.get_by_role("banner")).to_contain_text("You are fd77::10", timeout=_PATIENCE_MS)
    _run(page, "echo over six >outputs/six.txt")
    _expect_status(page, "user_v6_fd77__10_task_001", "completed")
    link = page.get_by_role("tree", name="Files").get_by_role("link", name=re.compile("six.txt"))
    with page.expect_download() as download:
        link.click()
    assert download.value.path().read_text() == "over six\n"
    assert (server.data_dir / "v6_fd77__10/session.json").is_file()
