"""uvicorn's two protocols with the bounds that it leaves open.

They reach into uvicorn 0.54, which is therefore pinned exactly; tests/integration/test_protocols.py holds what is
relied on. Source of the figures: a browser's headers stay below 16 KiB and come in one or two packets.
"""

import asyncio
import functools
import json
import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request
from websockets.server import ServerProtocol

from lan_session_manager.errors import (
    HandshakeError,
    HeadersTooLargeError,
    LSMError,
    RequestError,
    TooManyConnectionsError,
)
from lan_session_manager.identity.neighbours import Link
from lan_session_manager.web.headers import HEADERS
from lan_session_manager.web.pace import Pace, cut, unread
from lan_session_manager.web.peers import CONNECTION, Peer
from lan_session_manager.web.seats import Seat, Seats

HEADER_BYTES = 64 * 1024
HEADER_S = 5.0
BODY_S, BODY_BYTES = 30.0, 8 * 1024  # a body goes on by so much in so long: a bad Wi-Fi does, pauses and all
UNREAD_S, UNREAD_BYTES = 30.0, 8 * 1024  # and so much of an answer is taken, while there is more of it here
MOST_PIPELINED = 16  # requests that wait for the answer of an earlier one: browsers send none
_AGAIN_S = 5  # for whom there is no place now
_FLUSH_S = 2.0  # how long a closing connection may take to deliver what is on its way
_PIECE = 4096  # of what a WebSocket's client sends, between two turns of the others: some 700 of the smallest frames
_CONTROL_S, _CONTROLS = 0.1, 64  # one control frame, or crumb of a message, in so long; and so many at once
_CRUMB = 256

ABORT = "lsm.abort"  # the extension under which a WebSocket's scope has the function that ends its connection at once


class BoundedHttpProtocol(HttpToolsProtocol):
    """HTTP with at most HEADER_BYTES of headers (else 431), which are complete within HEADER_S (else it is closed).

    So is a connection for which there is no place, whose body does not go on, or whose answer is not taken.
    """

    def __init__(self, *args: Any, seats: Seats, **facts: Any) -> None:
        super().__init__(*args, **facts)
        self._seats = seats
        self._seat: Seat | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, and start the clock for the first request's headers."""
        self._seat = self._seats.enter(transport)
        if self._seat is None:  # as soon as can be: there may be a thousand of them
            self._refused = True
            transport.abort()
            return
        super().connection_made(transport)
        self.client = _with_zone(transport, self.client)
        self._peer = Peer(transport.abort, self._seat.link)
        self._in_headers = True
        self._in_body = False
        self._header_bytes = 0
        self._bare_bytes = 0
        self._refused = False
        self._is_upgraded = False
        self._deadline: asyncio.TimerHandle | None = None
        self._body_bytes = 0
        self._body_pace = Pace(self._body_moved, transport.abort, window_s=BODY_S, least=BODY_BYTES)
        self._read_pace = _read_pace(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks, and give the place back."""
        if self._seat is None:
            return
        self._stop_clock()
        self._body_pace.end()
        self._read_pace.end()
        self._seats.leave(self._seat)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More waits for the client than it takes."""
        super().pause_writing()
        self._read_pace.begin()

    def on_response_complete(self) -> None:
        """An answer is written, of which the client may not have taken all; the next one may be asked for."""
        super().on_response_complete()
        self._read_pace.begin()
        self._wait_if_done()

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
            self._abort()
        if self._in_body:
            self._body_pace.begin()
        elif self._is_done() and self.timeout_keep_alive_task is None:
            self._start_clock()  # line feeds between requests, which are none

    def handle_websocket_upgrade(self) -> None:
        """The connection is the WebSocket protocol's from here on, if that takes the handshake."""
        self._stop_clock()
        if self._refused:
            return
        if self._is_handshake():
            self._in_body, self._is_upgraded = False, True
            self._read_pace.end()
            make: Any = self.config.ws_protocol_class
            self.ws_protocol_class = cast(Any, functools.partial(make, leave=self._leave, link=self._peer.link))
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
        self.scope["extensions"] = {CONNECTION: self._peer}  # type: ignore[dict-item]
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
        if self._refused:
            return
        if self._seat:
            self._seats.works(self._seat)
        if self._seat is None or self._seat.is_spare:
            self._refuse(TooManyConnectionsError())
            return
        if len(self.pipeline) >= MOST_PIPELINED:
            self._abort()
            return
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEADER_BYTES:
            self._refuse(HeadersTooLargeError())
            return
        self._take_host_of_target()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Some of the body has come."""
        self._bare_bytes = 0
        self._body_bytes += len(body)
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._in_body = False
        self._body_pace.end()
        if not self._refused:
            super().on_message_complete()
            self._wait_if_done()

    def _is_done(self) -> bool:
        """Whether the last request has come and is answered, and the next one has not begun to come."""
        answered = self.cycle is not None and self.cycle.response_complete
        return answered and not (self._in_body or self._in_headers or self._refused or self._is_upgraded)

    def _wait_if_done(self) -> None:
        if self._seat and self._is_done():
            self._seats.waits(self._seat)

    def _body_moved(self) -> int | None:
        if not self._in_body:
            return None
        if self.flow.read_paused:  # the server has not taken what is there: that time is its own
            self._body_bytes += BODY_BYTES
        return self._body_bytes

    def _leave(self) -> None:
        if self._seat:
            self._seats.leave(self._seat)

    def _abort(self) -> None:
        self._refused = True
        self.transport.abort()

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
        if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["retry-after"] = str(_AGAIN_S)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body)
        self.transport.close()
        self.loop.call_later(_FLUSH_S, self.transport.abort)

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
    """WebSocket whose connection really ends, also when its client never reads.

    What it sends is looked at a piece at a time, and only so far as the application takes it.
    """

    def __init__(
        self, *args: Any, leave: Callable[[], object] = lambda: None, link: Link | None = None, **facts: Any
    ) -> None:
        """`leave` gives the connection's place back; `link` is what the connection came in by."""
        super().__init__(*args, **facts)
        self._leave = leave
        self._link = link
        self._unfed = bytearray()
        self._is_feeding = False
        self._quiet_at = 0.0  # when as many control frames as may come at once may come again

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Know the peer by its whole address."""
        super().connection_made(transport)
        self.client = _with_zone(transport, self.client)
        self._read_pace = _read_pace(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._read_pace.end()
        self._unfed.clear()
        self._leave()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More waits for the client than it takes."""
        super().pause_writing()
        self._read_pace.begin()

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        """The application is done; the client may not have taken all."""
        super().on_task_complete(task)
        self._read_pace.begin()

    def data_received(self, data: bytes) -> None:
        """Something has come, perhaps a thousand frames."""
        if len(data) <= _PIECE and not self._unfed:
            super().data_received(data)
            return
        self._unfed += data
        self.transport.pause_reading()
        self._feed_soon()

    async def receive(self) -> ASGIReceiveEvent:
        """The next message; when it was the last one of those that are here, the next piece is looked at."""
        message = await super().receive()
        if self._unfed and not self.read_paused:
            self.transport.pause_reading()
            self._feed_soon()
        return message

    def handle_ping(self) -> None:
        """Answer; who never takes an answer, or does nothing else, is let go."""
        self._count_control()
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take an answer, or what is none."""
        self._count_control()
        super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a part of a message."""
        if len(event.data) < _CRUMB:
            self._count_control()
        super().handle_cont(event)

    def _count_control(self) -> None:
        now = self.loop.time()
        self._quiet_at = max(self._quiet_at, now) + _CONTROL_S
        if self._quiet_at - now > _CONTROLS * _CONTROL_S:
            self.transport.abort()

    def _feed_soon(self) -> None:
        if not self._is_feeding:
            self._is_feeding = True
            self.loop.call_soon(self._feed)

    def _feed(self) -> None:
        self._is_feeding = False
        if self.read_paused or self.disconnected or self.transport.is_closing():
            return
        piece = bytes(self._unfed[:_PIECE])
        del self._unfed[:_PIECE]
        super().data_received(piece)
        if self._unfed:
            self._feed_soon()
        elif not self.read_paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def handle_connect(self, event: Request) -> None:
        """Give the application a way to end the connection at once."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[Any, Any] = self.scope["extensions"]
            extensions[ABORT] = self.transport.abort
            extensions[CONNECTION] = Peer(self.transport.abort, self._link)

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


def _read_pace(transport: asyncio.Transport) -> Pace:
    return Pace(lambda: unread(transport), lambda: cut(transport), window_s=UNREAD_S, least=UNREAD_BYTES)


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
