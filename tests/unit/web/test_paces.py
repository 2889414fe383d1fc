"""What a client does not go on with ends, what goes on slowly stays: with real sockets, and shorter times."""

import asyncio
import contextlib
import functools
import itertools
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from lan_session_manager.web import protocols
from lan_session_manager.web.pace import Pace
from lan_session_manager.web.protocols import AbortableWebSocketProtocol, BoundedHttpProtocol
from lan_session_manager.web.seats import Seats

_WINDOW_S = 0.3
_PATIENCE_S = 20.0
_HEAD = b"HTTP/1.1\r\nHost: a\r\n"
_LARGE = b"x" * 4_000_000


class _App:
    """Reads each request's body to its end; answers /large with more than the kernel takes, all else with 2 bytes."""

    def __init__(self) -> None:
        self.messages = 0
        self.bodies = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(receive, send)
            return
        while (message := await receive())["type"] == "http.request" and message["more_body"]:
            pass
        if message["type"] == "http.disconnect":
            return
        self.bodies += 1
        body = _LARGE if scope["path"] == "/large" else b"ok"
        length = str(len(body)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})

    async def _socket(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            self.messages += 1
            await asyncio.sleep(0)


class _Served:
    def __init__(self, port: int, app: _App, seats: Seats) -> None:
        self.port = port
        self.app = app
        self.seats = seats

    @contextlib.asynccontextmanager
    async def client(self, sent: bytes, receive_buffer: int = 0) -> AsyncIterator[socket.socket]:
        loop = asyncio.get_running_loop()
        with socket.socket() as connection:
            connection.setblocking(False)
            if receive_buffer:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            await loop.sock_connect(connection, ("127.0.0.1", self.port))
            await loop.sock_sendall(connection, sent)
            yield connection

    async def empties(self) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while len(self.seats):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def _with_server(use: Callable[[_Served], Awaitable[None]]) -> None:
    async def serve() -> None:
        app, seats = _App(), Seats(frozenset())
        config = uvicorn.Config(
            app,
            interface="asgi3",
            log_config=None,
            ws=AbortableWebSocketProtocol,
            ws_max_size=100_000,
            timeout_keep_alive=1,
        )
        config.load()
        state = ServerState()
        make = functools.partial(BoundedHttpProtocol, config=config, server_state=state, app_state={}, seats=seats)
        server = await asyncio.get_running_loop().create_server(lambda: make(), "127.0.0.1", 0)
        try:
            await use(_Served(server.sockets[0].getsockname()[1], app, seats))
            await asyncio.gather(*state.tasks, return_exceptions=True)
        finally:
            server.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "BODY_S", _WINDOW_S)
    monkeypatch.setattr(protocols, "UNREAD_S", _WINDOW_S)
    monkeypatch.setattr(protocols, "HEADER_S", _WINDOW_S)


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / " + _HEAD + b"Content-Length: 100\r\n\r\nbegun",
        b"POST / " + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n",
        b"GET / " + _HEAD,
        b"GET / " + _HEAD + b"\r\n\r\n\r\n",
        b"GET / " + _HEAD + b"\r\nGET / ",
        b"",
    ],
    ids=["body", "chunked body", "headers", "line feeds between requests", "second headers", "silence"],
)
def test_what_is_begun_and_not_gone_on_with_ends(sent: bytes) -> None:
    async def use(served: _Served) -> None:
        async with served.client(sent):
            await served.empties()

    _with_server(use)


@pytest.mark.parametrize("path", [b"/large", b"/large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /"])
def test_an_answer_that_nobody_takes_ends_also_when_it_is_written_and_its_window_is_acknowledged(path: bytes) -> None:
    async def use(served: _Served) -> None:
        async with served.client(b"GET " + path + b" " + _HEAD + b"\r\n", receive_buffer=4096):
            await served.empties()

    _with_server(use)


def test_who_takes_a_byte_now_and_then_does_not_keep_an_answer_waiting_for_ever() -> None:
    async def use(served: _Served) -> None:
        async with served.client(b"GET /large " + _HEAD + b"\r\n", receive_buffer=4096) as connection:
            with pytest.raises(ConnectionResetError):
                await _sip(connection)

    async def _sip(connection: socket.socket) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while await asyncio.get_running_loop().sock_recv(connection, 100):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    _with_server(use)


def test_a_body_that_comes_slowly_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "BODY_S", 2.0)

    async def use(served: _Served) -> None:
        size = 5 * protocols.BODY_BYTES
        async with served.client(b"POST / " + _HEAD + b"Content-Length: %d\r\n\r\n" % size) as connection:
            loop = asyncio.get_running_loop()
            for _ in range(20):
                await loop.sock_sendall(connection, bytes(size // 20))
                await asyncio.sleep(0.12)
            assert (await loop.sock_recv(connection, 100)).startswith(b"HTTP/1.1 200")

    _with_server(use)


def test_an_answer_that_is_taken_slowly_is_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "UNREAD_S", 2.0)

    async def use(served: _Served) -> None:
        async with served.client(b"GET /large " + _HEAD + b"\r\n", receive_buffer=16_384) as connection:
            loop, got, pauses = asyncio.get_running_loop(), 0, 0
            while got < len(_LARGE):
                part = await loop.sock_recv(connection, 65_536)
                assert part
                got += len(part)
                if got > pauses * 200_000:
                    pauses += 1
                    await asyncio.sleep(0.15)

    _with_server(use)


def test_more_pipelined_requests_than_a_few_end_the_connection() -> None:
    async def use(served: _Served) -> None:
        async with served.client((b"GET / " + _HEAD + b"\r\n") * 5_000):
            await served.empties()
        assert served.app.bodies <= protocols.MOST_PIPELINED + 1

    _with_server(use)


def _frame(opcode: int, payload: bytes, *, is_last: bool = True) -> bytes:
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([is_last << 7 | opcode]) + size + bytes(4) + payload


_HANDSHAKE = (
    b"GET / " + _HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


async def _open(served: _Served, connection: socket.socket) -> None:
    await asyncio.get_running_loop().sock_recv(connection, 4096)
    assert len(served.seats) == 1, "a dashboard keeps its place"


@pytest.mark.parametrize(
    "flood",
    [_frame(9, b""), _frame(10, b"x"), _frame(1, b"", is_last=False) + _frame(0, b"", is_last=False) * 200],
    ids=["pings", "pongs", "crumbs"],
)
def test_control_frames_without_end_end_a_websocket(flood: bytes) -> None:
    async def use(served: _Served) -> None:
        async with served.client(_HANDSHAKE) as connection:
            await _open(served, connection)
            with contextlib.suppress(ConnectionError):
                await asyncio.get_running_loop().sock_sendall(connection, flood * 200)
            await served.empties()

    _with_server(use)


def test_messages_that_come_at_once_are_all_read_and_others_have_turns_between_them() -> None:
    async def use(served: _Served) -> None:
        loop = asyncio.get_running_loop()
        async with served.client(_HANDSHAKE) as connection:
            await _open(served, connection)
            long = os.urandom(30_000).hex().encode()
            sending = asyncio.create_task(
                loop.sock_sendall(connection, (_frame(1, b"{}") * 1_000 + _frame(1, long)) * 5)
            )
            seen = []
            async with asyncio.timeout(_PATIENCE_S):
                while served.app.messages < 5_005:
                    seen.append(served.app.messages)
                    await asyncio.sleep(0)
            await sending
            assert max(after - before for before, after in itertools.pairwise(seen)) < 1_000
            await loop.sock_sendall(connection, _frame(8, (1000).to_bytes(2, "big")))
            await served.empties()

    _with_server(use)


def test_a_pace_is_looked_at_only_while_there_is_something_to_wait_for() -> None:
    async def use() -> None:
        late: list[str] = []
        moved: list[int | None] = [0, 10, 20, None, 0, 10, 15]
        pace = Pace(lambda: moved.pop(0), lambda: late.append("late"), window_s=0.01, least=10)
        pace.begin()
        pace.begin()
        while len(moved) > 3:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert len(moved) == 3
        assert late == []
        pace.begin()
        while moved:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert late == ["late"]
        pace.end()

    asyncio.run(use())
