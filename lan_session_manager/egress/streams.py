"""Bytes between two sockets, without a buffer of our own: a piece is read once the one before it is sent."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from typing import TypeVar

_T = TypeVar("_T")

_PIECE = 32 * 1024
_LINGER_BYTES = 1024 * 1024
_LINGER_S = 1.0
# What the kernel holds of a connection that one side does not read; left to itself it takes some 10 MB of memory that
# nobody's limit has. The window still lets 10 MB a second come from 100 ms away.
_UNSENT = 128 * 1024
_WINDOW = 1024 * 1024


class Pulse:
    """When a connection last moved a byte, in the time of the event loop."""

    def __init__(self) -> None:
        self.beat()

    def beat(self) -> None:
        """It moves now."""
        self.at = asyncio.get_running_loop().time()


class Stream:
    """One end of a connection, a socket that does not block. It counts what goes through it."""

    def __init__(self, sock: socket.socket, pulse: Pulse) -> None:
        with contextlib.suppress(OSError):  # it has broken off already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, _WINDOW)
        self._sock = sock
        self._pulse = pulse
        self._loop = asyncio.get_running_loop()
        self.sent = 0
        self.received = 0

    async def receive(self, most: int = _PIECE) -> bytes:
        """What comes next, `most` bytes at most; nothing at the end."""
        data = await self._loop.sock_recv(self._sock, most)
        self.received += len(data)
        self._pulse.beat()
        return data

    async def send(self, data: bytes) -> None:
        """Send all of it, however long the other end takes."""
        await self._loop.sock_sendall(self._sock, data)
        self.sent += len(data)
        self._pulse.beat()

    def end(self) -> None:
        """Say that nothing follows."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Have the close that follows tell the other end that something is missing."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def linger(self) -> None:
        """Say that nothing follows, and read on for a moment: a close over unread bytes would destroy what was sent."""
        self.end()
        end = self.received + _LINGER_BYTES
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                while self.received < end and await self.receive():
                    pass


async def tunnel(one: Stream, other: Stream) -> None:
    """Carry bytes both ways until both ends have said all; raises OSError where one breaks off."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(one, other))
            group.create_task(_pump(other, one))
    except* OSError as errors:
        raise ConnectionError from errors


async def _pump(source: Stream, target: Stream) -> None:
    while data := await source.receive():
        await target.send(data)
    target.end()


async def until_idle(work: Coroutine[object, object, _T], pulse: Pulse, idle_s: float) -> _T | None:
    """Do the work and give its result; None where it is given up because nothing has moved for `idle_s`."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)
    try:
        while not task.done() and (left := pulse.at + idle_s - loop.time()) > 0:
            await asyncio.wait([task], timeout=left)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # one that comes while it is given up is nobody's any more
