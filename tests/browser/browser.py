"""Real Chromium for the tests, and the proof that a page was quiet: no error, no lost request, nothing from elsewhere.

    with Browsers(tmp_path) as browsers:
        a = browsers.launch(prefix=lan.host("a").prefix)
        page = a.open("http://192.168.77.1:5000/")

With the prefix of a host the browser runs on that host: what it asks for comes from the host's address.
"""

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Request,
    WebError,
    WebSocket,
    sync_playwright,
)

ARGUMENTS = (
    "--no-sandbox",  # with its own it does not run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",  # /dev/shm is small in containers
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PATIENCE_MS = 20_000
_PLAIN = {"ws": "http", "wss": "https"}


class Chromium:
    """One browser with one profile: a device. `context` is Playwright's, for what is not here."""

    def __init__(self, browser: Browser, width: int, height: int, language: str) -> None:
        self._browser = browser
        self._problems: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        self._allowed: list[re.Pattern[str]] = []
        self._origins: set[str] = set()
        self.context: BrowserContext = browser.new_context(viewport={"width": width, "height": height}, locale=language)
        self.context.set_default_timeout(_PATIENCE_MS)
        self.context.on("console", self._on_console)
        self.context.on("weberror", self._on_error)
        self.context.on("request", self._on_request)
        self.context.on("requestfailed", self._on_failed)
        self.context.on("page", self._on_page)

    def open(self, url: str, *, without_sockets: bool = False) -> Page:
        """A new page at `url`, whose origin counts as the server from now on; `without_sockets`: none ever opens."""
        self._origins.add(_origin(url))
        page = self.context.new_page()
        if without_sockets:
            page.route_web_socket(re.compile(".*"), lambda socket: socket.close())
        page.goto(url)
        return page

    def expect(self, pattern: str) -> None:
        """Problems that the regular expression finds are part of the test: it provokes them. One has to come."""
        self._expected.append(re.compile(pattern))

    def allow(self, pattern: str) -> None:
        """The same with problems that may come or not, as the test has it with time."""
        self._allowed.append(re.compile(pattern))

    def check(self) -> None:
        """Raise AssertionError if a page had a problem that nobody expected, or an expected one did not come."""
        known = [*self._expected, *self._allowed]
        unexpected = [text for text in self._problems if not any(p.search(text) for p in known)]
        missing = [p.pattern for p in self._expected if not any(p.search(text) for text in self._problems)]
        assert not unexpected, "the page had problems:\n" + "\n".join(unexpected)
        assert not missing, f"expected of the page and not seen: {missing}"

    def close(self) -> None:
        """End the browser."""
        self._browser.close()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._problems.append(f"console error: {message.text} ({message.location.get('url', '')})")

    def _on_error(self, error: WebError) -> None:
        self._problems.append(f"uncaught: {error.error}")

    def _on_request(self, request: Request) -> None:
        self._check_origin(request.url)

    def _on_failed(self, request: Request) -> None:
        # Aborted is what a page gave up itself, and what became a download.
        if request.failure != "net::ERR_ABORTED":
            self._problems.append(f"failed request: {request.method} {request.url}: {request.failure}")

    def _on_page(self, page: Page) -> None:
        page.on("websocket", self._on_socket)

    def _on_socket(self, socket: WebSocket) -> None:
        self._check_origin(socket.url)
        socket.on("socketerror", lambda error: self._problems.append(f"socket error: {socket.url}: {error}"))

    def _check_origin(self, url: str) -> None:
        if urlsplit(url).scheme not in {"data", "blob", "about"} and _origin(url) not in self._origins:
            self._problems.append(f"request to elsewhere: {url}")


class Browsers:
    """All browsers of a test. Leaving the block without an error checks every one of them; all end in any case."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._launched: list[Chromium] = []
        self._manager = sync_playwright()
        self._playwright: Playwright | None = None

    def __enter__(self) -> Self:
        self._playwright = self._manager.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                for chromium in self._launched:
                    chromium.check()
        finally:
            for chromium in self._launched:
                chromium.close()
            self._manager.__exit__()

    def launch(
        self,
        *,
        prefix: Sequence[str] = (),
        width: int = 1440,
        height: int = 900,
        trusted_key: str = "",
        language: str = "en-GB",
        arguments: Sequence[str] = (),
    ) -> Chromium:
        """Start a browser with a fresh profile, behind `prefix`; its window measures `width` by `height` pixels,
        and it asks for pages in `language`.

        It takes a certificate whose public key has that SHA-256, in base64, for one that it trusts. `arguments`: more
        of its command line.
        """
        assert self._playwright is not None, "launch belongs into the with block"
        program = find_chromium(self._playwright)
        if prefix:
            program = self._wrapper([*prefix, program])
        arguments = [*ARGUMENTS, *arguments]
        if trusted_key:
            arguments.append(f"--ignore-certificate-errors-spki-list={trusted_key}")
        browser = self._playwright.chromium.launch(executable_path=program, args=arguments, timeout=3 * _PATIENCE_MS)
        chromium = Chromium(browser, width, height, language)
        self._launched.append(chromium)
        return chromium

    def _wrapper(self, command: Sequence[str]) -> str:
        # The driver talks to the browser through inherited pipes, which is why it may live on another network.
        script = self._scratch / f"chromium-{len(self._launched)}"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
        script.chmod(0o755)
        return str(script)


@pytest.fixture
def browsers(tmp_path: Path) -> Iterator[Browsers]:
    """Browsers that are checked and ended after the test. A test that also has a server names the server first."""
    with Browsers(tmp_path) as all_of_them:
        yield all_of_them


def find_chromium(playwright: Playwright) -> str:
    """The browser: the system's, else Playwright's own."""
    return shutil.which("chromium") or playwright.chromium.executable_path


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{_PLAIN.get(parts.scheme, parts.scheme)}://{parts.netloc}"
