"""A browser at another loopback address: each address of 127.0.0.0/8 is a device of its own to the server.

A browser cannot be told which address to come from, so its connections to the server's port go through a relay that
does. The page, its Host header and its Origin stay as they are.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.browser.browser import Browsers, Chromium
from tests.proxies import target
from tests.server import Server

_PATIENCE_S = 30.0


@contextlib.contextmanager
def browser_at(
    server: Server, browsers: Browsers, address: str, *, width: int = 1440, height: int = 900
) -> Iterator[Chromium]:
    """A browser with a fresh profile whose requests to the server come from that address."""

    def relay(near: socket.socket) -> None:
        near.settimeout(None)  # an open dashboard may be quiet
        with socket.create_connection(("127.0.0.1", server.port), _PATIENCE_S, source_address=(address, 0)) as far:
            far.settimeout(None)
            back = threading.Thread(target=_pipe, args=(far, near), daemon=True)
            back.start()
            _pipe(near, far)
            back.join()

    with target(relay) as port:
        rule = f"MAP 127.0.0.1:{server.port} 127.0.0.1:{port}"
        yield browsers.launch(width=width, height=height, arguments=[f"--host-resolver-rules={rule}"])


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
