"""The browser fixture sees what a page does wrong, and says nothing of a page that does nothing wrong."""

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.browser.browser import Browsers, Chromium

pytestmark = pytest.mark.browser


class _Site(http.server.BaseHTTPRequestHandler):
    pages: ClassVar[dict[str, str]] = {
        "/": "<h1>quiet</h1><script>fetch('/data').then(r => r.text()).then(t => document.title = t)</script>",
        "/data": "fetched",
        "/missing": "<script>fetch('/nothing').then(() => document.title = 'asked')</script>",
        "/throws": "<script>document.title = 'thrown'; throw new Error('of the page')</script>",
        "/elsewhere": "<script>fetch('http://127.0.0.1:9/').catch(() => document.title = 'refused')</script>",
        "/socket": "<script>new WebSocket('ws://' + location.host).onerror = () => document.title = 'lost'</script>",
    }

    def do_GET(self) -> None:
        text = self.pages.get(self.path)
        self.send_response(200 if text is not None or self.path == "/favicon.ico" else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<!doctype html><meta charset=utf-8>{text}".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def chromium(browsers: Browsers) -> Chromium:
    return browsers.launch()


@pytest.fixture
def see(site: str, chromium: Chromium) -> Callable[[str, str], None]:
    """Open a page of the site and wait for the title that it gives itself in the end."""

    def opened(path: str, title: str) -> None:
        chromium.open(site + path).wait_for_function("title => document.title.endsWith(title)", arg=title)

    return opened


def test_a_quiet_page_passes(see: Callable[[str, str], None], chromium: Chromium) -> None:
    see("/", "fetched")
    chromium.check()


@pytest.mark.parametrize(
    ("path", "title", "problem"),
    [
        ("/missing", "asked", "console error: .*404.*/nothing"),
        ("/throws", "thrown", "uncaught: .*of the page"),
        ("/elsewhere", "refused", "request to elsewhere: http://127.0.0.1:9/"),
        ("/elsewhere", "refused", "failed request: GET http://127.0.0.1:9/"),
        ("/socket", "lost", "socket error|WebSocket connection .* failed"),
    ],
)
def test_what_a_page_does_wrong_is_seen(
    see: Callable[[str, str], None], chromium: Chromium, path: str, title: str, problem: str
) -> None:
    see(path, title)
    with pytest.raises(AssertionError, match=problem):
        chromium.check()
    # All of it was meant to happen, so that the check after the test finds nothing new.
    chromium.expect(".")


def test_an_expected_problem_that_does_not_come_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="not seen"), Browsers(tmp_path) as browsers:
        browsers.launch().expect("never")
