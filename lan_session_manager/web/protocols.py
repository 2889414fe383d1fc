"""uvicorn's two protocols with the bounds that it leaves open.

They reach into uvicorn 0.54, which is therefore pinned exactly; tests/integration/test_protocols.py holds what is
relied on. Source of the figures: a browser's headers stay below 16 KiB and come in one or two packets.
"""

import asyncio
import json
import re
import socket
from http import HTTPStatus
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from lan_session_manager.errors import HandshakeError, HeadersTooLargeError, LSMError, RequestError
from lan_session_manager.web.headers import HEADERS

HEADER_BYTES = 64 * 1024
HEADER_S = 5.0
_FLUSH_S = 2.0  # how long a closing connection may take to deliver what is on its way

ABORT = "lsm.abort"  # the extension under which a WebSocket's scope has the function that ends its connection at once


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP with at most HEADER_BYTES of headers (else 431), which are complete within HEADER_S (else it is closed)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock for the first request's headers."""
        super().connection_made(transport)
        self.client = _with_zone(transport, self.client)
        self._in_headers = True
        self._in_body = False
        self._header_bytes = 0
        self._bare_bytes = 0
        self._refused = False
        self._deadline: asyncio.TimerHandle | None = None
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and count what belongs to headers that are not complete."""
        if self._refused:
            return
        self._bare_bytes += len(data)
        super().data_received(data)
        if self._in_headers and not self._refused:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES:
                self._refuse(HeadersTooLargeError())
        elif self._in_body and not self._refused and self._bare_bytes > HEADER_BYTES:
            # Trailers, or a chunk that only has extensions: the parser keeps them until they are complete.
            self._refused = True
            self.transport.abort()

    def handle_websocket_upgrade(self) -> None:
        """The connection is the WebSocket protocol's from here on, if that takes the handshake."""
        self._stop_clock()
        if self._refused:
            return
        if self._is_handshake():
            super().handle_websocket_upgrade()
        else:  # here, as that protocol answers some with words of its own, and some never
            self._refuse(HandshakeError())

    def send_400_response(self, msg: str) -> None:
        """What has come is not HTTP."""
        if not self._refused:
            self._refuse(RequestError())

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_headers = True
        self._header_bytes = 0
        self._start_clock()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody here asks for: it must not come to stand among the headers."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The headers are complete: run the request, or refuse it."""
        self._stop_clock()
        self._in_headers = False
        self._in_body = True
        self._bare_bytes = 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEADER_BYTES:
            self._refuse(HeadersTooLargeError())
            return
        self._take_host_of_target()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body has come."""
        self._bare_bytes = 0
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._in_body = False
        if not self._refused:
            super().on_message_complete()

    def _refuse(self, error: LSMError) -> None:
        self._refused = True
        body = json.dumps({"error": error.message, "code": error.code}).encode()
        status = f"{error.status} {HTTPStatus(error.status).phrase}"
        headers = {
            **HEADERS,
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)
        self.transport.close()

    def _take_host_of_target(self) -> None:
        """A target such as http://host/path says the host, and not the header (RFC 9112, section 3.2.2)."""
        scheme, separator, rest = self.url.partition(b"://")
        if separator and b"/" not in scheme:
            host = re.split(rb"[/?#]", rest, maxsplit=1)[0]
            self.headers[:] = [*(header for header in self.headers if header[0] != b"host"), (b"host", host)]

    def _is_handshake(self) -> bool:
        conn = ServerProtocol()
        lines = [b"%s %s HTTP/1.1\r\n" % (self.scope["method"].encode(), self.url)]
        lines += [b"%s: %s\r\n" % header for header in self.headers]
        conn.receive_data(b"".join(lines) + b"\r\n")
        return any(
            isinstance(event, Request) and conn.accept(event).status_code == HTTPStatus.SWITCHING_PROTOCOLS
            for event in conn.events_received()
        )

    def _start_clock(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_S, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class AbortableWebSocketProtocol(WebSocketsSansIOProtocol):
    """WebSocket whose connection really ends, also when its client never reads."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Know the peer by its whole address."""
        super().connection_made(transport)
        self.client = _with_zone(transport, self.client)

    def handle_connect(self, event: Request) -> None:
        """Give the application a way to end the connection at once."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[Any, Any] = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort

    def send_receive_event_to_app(self) -> None:
        """Hand a message on. A text that is none ends the connection, which uvicorn would log as an error of ours."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.fail(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """End a connection that broke the rules; what the application still sends has nobody to go to."""
        super().handle_parser_exception()
        self.disconnected = True

    async def send(self, message: ASGISendEvent) -> None:
        """Send; a refusal is an end of the handshake too, which uvicorn would log as an error of ours."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def keepalive_timeout(self) -> None:
        """The client has not answered a ping: what is in its buffer will never be read."""
        super().keepalive_timeout()
        self.transport.abort()

    def shutdown(self) -> None:
        """The server stops: say so (1012), and do not wait for one who does not read."""
        super().shutdown()
        self.loop.call_later(_FLUSH_S, self.transport.abort)


def _with_zone(transport: asyncio.Transport, client: tuple[str, int] | None) -> tuple[str, int] | None:
    """The peer with the zone of a link-local address, which two devices on two links may both have."""
    peer = transport.get_extra_info("peername")
    if client is None or not isinstance(peer, tuple) or len(peer) < 4 or not peer[3] or "%" in client[0]:
        return client
    try:
        zone = socket.if_indextoname(peer[3])
    except OSError:  # the link has gone
        zone = str(peer[3])
    return f"{client[0]}%{zone}", client[1]
