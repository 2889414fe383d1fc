"""What a page of another site tries in the browser of somebody who uses the server: nothing happens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Browsers, Chromium
from tests.browser.hostile import hostile_page
from tests.integration.clients import device
from tests.server import Server, start_server

pytestmark = pytest.mark.browser

_PATIENCE_MS = 30_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with start_server(tmp_path) as running:
        yield running


@pytest.fixture
def chromium(server: Server, browsers: Browsers) -> Chromium:
    return browsers.launch()


def _attack(chromium: Chromium, url: str) -> Page:
    chromium.expect(".")  # it is meant to be full of problems
    page = chromium.open(url)
    page.wait_for_function("document.title === 'done'", timeout=_PATIENCE_MS)
    assert len(page.evaluate("window.tried")) > 15
    return page


@pytest.mark.parametrize("address", ["127.0.0.77", "127.0.0.1"], ids=["another address", "another port"])
def test_a_stranger_who_visits_a_hostile_page_stays_a_stranger(
    server: Server, chromium: Chromium, address: str
) -> None:
    with hostile_page(address, server.url, server.ws_port, victim="127.0.0.1") as url:
        assert _attack(chromium, url).evaluate("window.got") == []
    with device(server, "127.0.0.9", server.admin_token) as admin:
        assert admin.get("/api/sessions/all").json()["sessions"] == {}
    assert not (server.data_dir / "127_0_0_1").exists()
    assert " ERROR " not in server.output


def test_a_hostile_page_changes_nothing_for_somebody_whose_dashboard_is_open(
    server: Server, chromium: Chromium
) -> None:
    with device(server) as client:
        client.put("/api/workspace/127.0.0.1/files/inputs/mine.txt", content=b"mine")
        dashboard = chromium.open(server.url + "/")
        expect(dashboard.get_by_role("banner").get_by_text("Live", exact=True)).to_be_visible(timeout=_PATIENCE_MS)
        with hostile_page("127.0.0.77", server.url, server.ws_port, victim="127.0.0.1") as url:
            assert _attack(chromium, url).evaluate("window.got") == []
        board = client.get("/api/dashboard/127.0.0.1").json()
        assert board["my_tasks"] == []
        files = client.get("/api/workspace/127.0.0.1/files?path=inputs").json()["entries"]
        assert [entry["name"] for entry in files] == ["mine.txt"]
    assert " ERROR " not in server.output


def test_the_same_tries_do_succeed_from_the_own_page(server: Server, chromium: Chromium) -> None:
    page = chromium.open(server.url + "/")
    submit = """async () => (await fetch("/api/task/submit", {method: "POST",
        headers: {"Content-Type": "application/json"}, body: JSON.stringify({description: "mine", runner: "swarm"})
    })).status"""
    assert page.evaluate(submit) == 200
    upload = 'async () => (await fetch("/api/workspace/127.0.0.1/files/inputs/a", {method: "PUT", body: "x"})).status'
    assert page.evaluate(upload) == 201
    listen = """(port) => new Promise((resolve) => {
      const socket = new WebSocket(`ws://${location.hostname}:${port}/ws/dashboard/127.0.0.1`);
      socket.onmessage = () => resolve("open");
      socket.onclose = () => resolve("closed");
    })"""
    assert page.evaluate(listen, server.port) == "open"


def test_a_file_of_a_task_is_no_page_of_ours(server: Server, chromium: Chromium) -> None:
    script = b"<script>fetch('/api/task/submit', {method: 'POST'}); document.title = 'ran'</script>"
    with device(server) as client:
        for name in ("page.html", "picture.svg", "text.txt"):
            client.put(f"/api/workspace/127.0.0.1/files/outputs/{name}", content=script)
    page = chromium.open(server.url + "/")
    for name in ("page.html", "picture.svg", "text.txt"):
        with page.expect_download() as download:
            page.evaluate(f"() => {{ location.href = '/api/workspace/127.0.0.1/files/outputs/{name}'; }}")
        assert download.value.suggested_filename == name
    assert "LAN Session Manager" in page.title()
