"""Ends what moves too slowly to be a client that wants something."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

_TCP_INFO_BYTES = 136
_BYTES_ACKED = 120  # where tcpi_bytes_acked stands in struct tcp_info, include/uapi/linux/tcp.h (Linux 4.1)


class Pace:
    """Looks, once in `window_s`, how far something has come, and calls `late` when that is less than `least` more.

    `moved` gives how far it is in all, or None when there is nothing to wait for: then it is not looked at any more.
    """

    def __init__(
        self, moved: Callable[[], int | None], late: Callable[[], object], *, window_s: float, least: int
    ) -> None:
        self._moved = moved
        self._late = late
        self._window_s = window_s
        self._least = least
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """There is something to wait for, perhaps for long."""
        if self._timer is None:
            self._look(None)

    def end(self) -> None:
        """There is nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, before: int | None) -> None:
        self._timer = None
        now = self._moved()
        if now is None:
            return
        if before is not None and now - before < self._least:
            self._late()
            return
        self._timer = asyncio.get_running_loop().call_later(self._window_s, self._look, now)


def cut(transport: asyncio.Transport) -> None:
    """End a connection at once, and have the kernel forget what waits for its client.

    It would else keep that, some 0.5 MB, until TCP_USER_TIMEOUT, which begins anew with each byte that it takes.
    """
    sock: socket.socket = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it is closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def unread(transport: asyncio.Transport) -> int | None:
    """How many bytes the client has taken, as its kernel says; None when nothing more waits for it here."""
    if transport.get_write_buffer_size() == 0:
        return None
    sock: socket.socket = transport.get_extra_info("socket")
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:  # it is closed in this moment
        return None
    if len(info) < _BYTES_ACKED + 8:
        return None
    acked: int = struct.unpack_from("=Q", info, _BYTES_ACKED)[0]
    return acked
