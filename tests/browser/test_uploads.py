"""A large upload of the page comes through whatever is cut on its way; a person can hold it, go on and give it up."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.browser import Browsers, Chromium
from tests.relay import Relay
from tests.server import Server, start_server

pytestmark = [pytest.mark.browser, pytest.mark.root]

SIZE = 24 << 20
PATIENCE_MS = 60_000
# What a browser says of a connection that is cut, and of an offset that what was on its way has moved on.
CUT = r"ERR_|WebSocket|socket|409 \(Conflict\) .*/uploads/"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with start_server(tmp_path) as running:
        yield running


@pytest.fixture
def relay(server: Server) -> Iterator[Relay]:
    with Relay(server.port) as relay:
        yield relay


@pytest.fixture
def chromium(browsers: Browsers) -> Chromium:
    return browsers.launch()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large.bin"
    file.write_bytes(os.urandom(SIZE))
    return file


def _opened(chromium: Chromium, relay: Relay) -> Page:
    page = chromium.open(f"http://127.0.0.1:{relay.port}/")
    expect(page.locator("#pane-files [data-dropzone=inputs]")).to_be_visible()
    return page


def _choose(page: Page, path: Path, *, is_folder: bool = False) -> None:
    page.locator(
        f"#pane-files [data-dropzone=inputs] input[type=file]{'[webkitdirectory]' if is_folder else ''}"
    ).first.set_input_files(path)


def _wait_until_sent(page: Page, relay: Relay, least: int) -> None:
    end = time.monotonic() + PATIENCE_MS / 1000
    while relay.sent < least:
        assert time.monotonic() < end, relay.sent
        page.wait_for_timeout(50)


def _wait_for_file(page: Page, path: Path) -> bytes:
    end = time.monotonic() + PATIENCE_MS / 1000
    while not path.exists():
        assert time.monotonic() < end
        page.wait_for_timeout(100)
    return path.read_bytes()


def _is_same(found: bytes, sent: Path) -> bool:
    return hashlib.sha256(found).digest() == hashlib.sha256(sent.read_bytes()).digest()


def test_an_upload_goes_on_by_itself_after_a_cut_and_after_a_killed_server(
    tmp_path: Path, server: Server, relay: Relay, chromium: Chromium, large: Path
) -> None:
    chromium.expect(CUT)
    page = _opened(chromium, relay)
    relay.pause_s = 0.02  # some 3 MB a second, so that there is a middle
    _choose(page, large)
    _wait_until_sent(page, relay, 4 << 20)
    relay.cut()
    _wait_until_sent(page, relay, 10 << 20)
    server.kill9()
    with start_server(tmp_path) as second:
        relay.cut()
        relay.target = second.port
        relay.pause_s = 0
        found = _wait_for_file(page, second.data_dir / "127_0_0_1" / "inputs" / "large.bin")
        assert _is_same(found, large)
        # It went on, and was not sent again as a whole: what is lost is what was on its way.
        assert relay.sent < 2 * SIZE
        expect(page.get_by_role("button", name="Download large.bin")).to_have_count(0)
        expect(page.get_by_role("link", name="Download large.bin")).to_be_visible(timeout=PATIENCE_MS)
        page.close()


def test_an_upload_is_held_goes_on_and_is_given_up(
    server: Server, relay: Relay, chromium: Chromium, large: Path
) -> None:
    page = _opened(chromium, relay)
    relay.pause_s = 0.02
    _choose(page, large)
    _wait_until_sent(page, relay, 4 << 20)
    page.get_by_role("button", name="Pause the upload of large.bin").click()
    expect(page.locator("#pane-files .upload")).to_contain_text("Paused at")
    before = relay.sent
    page.get_by_role("button", name="Resume the upload of large.bin").click()
    _wait_until_sent(page, relay, before + (2 << 20))
    page.get_by_role("button", name="Cancel the upload of large.bin").click()
    expect(page.locator("#pane-files .upload")).to_have_count(0)
    uploads = server.data_dir / ".lan_session_manager" / "uploads"
    end = time.monotonic() + PATIENCE_MS / 1000
    while any(not path.is_dir() for path in uploads.rglob("*")):
        assert time.monotonic() < end
        page.wait_for_timeout(50)
    assert not (server.data_dir / "127_0_0_1" / "inputs" / "large.bin").exists()


def test_a_folder_keeps_its_structure(server: Server, relay: Relay, chromium: Chromium, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    (folder / "src" / "deep").mkdir(parents=True)
    for name in ("readme.txt", "src/a.py", "src/deep/b.py"):
        (folder / name).write_text(name)
    page = _opened(chromium, relay)
    _choose(page, folder, is_folder=True)
    inputs = server.data_dir / "127_0_0_1" / "inputs"
    for name in ("readme.txt", "src/a.py", "src/deep/b.py"):
        assert _wait_for_file(page, inputs / "project" / name) == name.encode()
