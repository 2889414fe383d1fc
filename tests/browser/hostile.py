"""A page of somebody else that tries everything that a browser lets it do to the server.

    with hostile_page("127.0.0.77", server_url, server.ws_port, victim="127.0.0.1") as url:
        page = chromium.open(url)
        page.wait_for_function("document.title === 'done'")
        assert page.evaluate("window.got") == []

`window.got` says what the page could read or open, `window.tried` what it has tried.
"""

import contextlib
import http.server
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.server import ROOT

_PAGE = Path(__file__).with_name("hostile.html")


@contextlib.contextmanager
def hostile_page(
    address: str, server: str, ws_port: int, *, victim: str, prefix: Sequence[str] = (), port: int = 0
) -> Iterator[str]:
    """Serve the page at that address, behind `prefix`, and give its URL."""
    sockets = f"{server.rpartition(':')[0].replace('http', 'ws')}:{ws_port}"
    command = [*prefix, sys.executable, "-m", "tests.browser.hostile", address, str(port), server, sockets, victim]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield f"http://{address}:{int(process.stdout.readline())}/"
        finally:
            process.kill()


class _Handler(http.server.BaseHTTPRequestHandler):
    page = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Say nothing."""


def _serve(address: str, port: str, server: str, sockets: str, victim: str) -> None:
    _Handler.page = _PAGE.read_text().replace("$PLACES", json.dumps([server, sockets, victim])).encode()
    with http.server.ThreadingHTTPServer((address, int(port)), _Handler) as listener:
        print(listener.server_address[1], flush=True)
        listener.serve_forever()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
