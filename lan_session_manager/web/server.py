"""The process that serves: its sockets, and uvicorn over them."""

import contextlib
import errno
import functools
import logging
import os
import resource
import signal
import socket
import threading
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from lan_session_manager.errors import PortError
from lan_session_manager.tls.keeper import Tls
from lan_session_manager.web.drain import Drain
from lan_session_manager.web.protocols import AbortableWebSocketProtocol, BoundedHttpProtocol
from lan_session_manager.web.seats import Seats, most_connections
from lan_session_manager.web.services import Services
from lan_session_manager.web.tls_port import TlsPort

_log = logging.getLogger(__name__)

_SEND_BUFFER = 256 * 1024  # of the kernel for each client: one that never reads costs no more than about twice this
_UNREAD_MS = 60_000  # a client that takes nothing for so long is gone
_MESSAGE_BYTES = 512 * 1024
_GRACE_S = 2
_LONGEST_STOP_S = 2.8
_BOTH = {  # hosts that mean an address of each family
    "0.0.0.0": ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")),  # noqa: S104 - serving the network is the point
    "localhost": ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")),
}


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets that listen at that address; for 0.0.0.0 at every address of the machine, IPv6 too, for localhost at both
    loopback addresses.

    Raises PortError, which says what is in the way.
    """
    wanted = list(_BOTH.get(host, ()))
    if not wanted:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError:
            raise PortError(host=host, port=port, why="this machine has no such address") from None
        wanted = [(found[0][0], str(found[0][4][0]))]
    sockets: list[socket.socket] = []
    for family, address in wanted:
        try:
            sockets.append(_listen(family, address, port))
        except OSError as error:
            if family is socket.AF_INET6 and sockets and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue  # a machine without IPv6
            for listener in sockets:
                listener.close()
            why = "another program uses it" if error.errno == errno.EADDRINUSE else (error.strerror or "it is refused")
            raise PortError(host=host, port=port, why=why) from None
    return sockets


def _listen(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        if family is socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def serve(app: FastAPI, sockets: list[socket.socket], *, debug: bool, tls: Tls | None = None) -> None:
    """Serve the application at the sockets until SIGTERM or SIGINT.

    Open connections get two seconds to end. Whatever is still waited for then, such as a database that another program
    has locked, is left as a crash would leave it: the process ends within three seconds.
    """
    most_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    services: Services = app.state.services
    seats = Seats(services.proxies, most_connections(most_files), look=services.neighbours.look)
    http: Any = functools.partial(BoundedHttpProtocol, seats=seats)
    if tls:
        http = functools.partial(TlsPort, http, lambda: tls.context, seats, services.rates)
    config = uvicorn.Config(
        app,
        http=http,
        ws=AbortableWebSocketProtocol,
        loop="uvloop",
        lifespan="on",
        proxy_headers=False,  # identity.py alone decides whom to believe
        server_header=False,
        date_header=True,
        access_log=debug,
        log_config=None,
        ws_max_size=_MESSAGE_BYTES,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_GRACE_S,
    )
    with contextlib.suppress(KeyboardInterrupt):
        _Server(config, services.drain).run(sockets=sockets)


class _Server(uvicorn.Server):
    """A server that SIGTERM may first have wait for the tasks. A signal while it stops ends it at once."""

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What uvicorn does at a signal."""
        if self.should_exit:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        if sig == signal.SIGTERM and self._drain.begin(self._stop):
            return
        super().handle_exit(sig, frame)
        self._stop()

    def _stop(self) -> None:
        self.should_exit = True
        limit = threading.Timer(_LONGEST_STOP_S, _end)
        limit.daemon = True
        with contextlib.suppress(RuntimeError):  # there can be no thread: then it ends when it ends
            limit.start()


def _end() -> None:
    _log.warning("The server could not end in order, and ends now. Tasks go on; what was answered is on disk.")
    os._exit(0)
