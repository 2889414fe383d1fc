"""A port that speaks TLS, and enough plain HTTP to say so.

Which of the two a client speaks is in its first byte: a handshake of TLS begins with 22 (RFC 8446, section 5.1), and no
method of HTTP does. asyncio has no way to look at a byte without taking it, so what has come is handed on to TLS
by the interface that every buffered protocol has. The order of the callbacks that this relies on is uvloop's, which is
pinned; tests/integration/test_tls.py holds it.
"""

import asyncio
import functools
import logging
import ssl
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from lan_session_manager.errors import TooManyRequestsError
from lan_session_manager.web.protocols import HEADER_S
from lan_session_manager.web.rates import Rate, Rates
from lan_session_manager.web.seats import Seat, Seats

_HANDSHAKE = 22
_WRITE_BUFFER = 64 * 1024  # as without TLS; uvloop would keep 512 KiB for each client that never reads

_log = logging.getLogger(__name__)


class TlsPort(asyncio.Protocol):
    """The first protocol of every connection: gives way to `inner`, over TLS or plain, once it is clear which.

    The first byte has to come within HEADER_S and the whole handshake within as long again, and its address must not
    have begun too many handshakes: else the connection ends.
    """

    def __init__(
        self,
        inner: Callable[..., asyncio.Protocol],
        context: Callable[[], ssl.SSLContext],
        seats: Seats,
        rates: Rates,
        *,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._make_inner: Callable[[], asyncio.Protocol] = functools.partial(
            inner, config=config, server_state=server_state, app_state=app_state, _loop=_loop
        )
        self._context = context
        self._seats = seats
        self._rates = rates
        self._seat: Seat | None = None
        self._loop = _loop or asyncio.get_running_loop()
        self._connections: set[Any] = server_state.connections
        self._deadline: asyncio.TimerHandle | None = None
        self._handshake: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first byte."""
        self.transport = transport
        self._connections.add(self)  # a server that stops ends it
        self._seat = self._seats.enter(transport)
        if self._seat is None:
            transport.abort()
        self._deadline = self._loop.call_later(HEADER_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended before it was clear, or in the handshake."""
        self._end()

    def data_received(self, data: bytes) -> None:
        """The first bytes: hand over to whom they are for."""
        if self._deadline:
            self._deadline.cancel()
        if data[0] == _HANDSHAKE:
            if not self._may_shake_hands():
                self.transport.abort()  # in TLS there is no way to say why
                return
            self.transport.pause_reading()
            self._handshake = self._loop.create_task(self._speak_tls())
            self._loop.call_soon(self._feed_soon, data)  # behind the first step of that task
        else:
            self._hand_over(self.transport).data_received(data)

    def _may_shake_hands(self) -> bool:
        if self._seat is None or self._seat.peer.is_proxy:
            return self._seat is not None
        try:
            self._rates.take(Rate.HANDSHAKE, self._seat.peer.name)
        except TooManyRequestsError:
            return False
        return True

    def shutdown(self) -> None:
        """The server stops, and nothing has been asked for yet."""
        self.transport.abort()

    async def _speak_tls(self) -> None:
        secured: asyncio.Transport | None = None
        try:
            secured = await self._loop.start_tls(
                self.transport, self, self._context(), server_side=True, ssl_handshake_timeout=HEADER_S
            )
        except (OSError, RuntimeError) as error:  # RuntimeError: the connection is gone already
            _log.debug("no TLS with %s: %s", self.transport.get_extra_info("peername"), error)
        if secured is None or secured.is_closing():
            self.transport.abort()
            self._end()
            return
        secured.set_write_buffer_limits(_WRITE_BUFFER)
        self._hand_over(secured)

    def _feed_soon(self, data: bytes) -> None:
        # TLS has been called for by now, and begins before this does: both wait in one queue.
        self._loop.call_soon(self._feed, data)

    def _feed(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        protocol: Any = self.transport.get_protocol()
        left = memoryview(data)
        while left:
            buffer = memoryview(protocol.get_buffer(len(left)))
            size = min(len(buffer), len(left))
            buffer[:size] = left[:size]
            protocol.buffer_updated(size)
            left = left[size:]

    def _hand_over(self, transport: asyncio.Transport) -> asyncio.Protocol:
        self._leave()
        inner = self._make_inner()
        transport.set_protocol(inner)
        inner.connection_made(transport)
        return inner

    def _end(self) -> None:
        self._leave()
        if self._seat:
            self._seats.leave(self._seat)

    def _leave(self) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._connections.discard(self)
