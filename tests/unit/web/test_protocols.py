"""A peer is known by its whole address."""

import asyncio
import functools
import socket
from collections.abc import Callable

import pytest
import uvicorn
from uvicorn.server import ServerState

from lan_session_manager.web.protocols import AbortableWebSocketProtocol, BoundedHttpProtocol
from lan_session_manager.web.seats import Seats


async def _app(scope: object, receive: object, send: object) -> None:
    raise AssertionError("nothing is asked of it")


class _Socket:
    """A socket whose peer is at a link-local address, as getpeername(2) gives it."""

    def __init__(self, scope_id: int) -> None:
        self.scope_id = scope_id

    def getpeername(self) -> tuple[str, int, int, int]:
        return "fe80::99", 40000, 0, self.scope_id

    def fileno(self) -> int:
        return 7

    def getsockname(self) -> tuple[str, int, int, int]:
        return "fe80::1", 5000, 0, self.scope_id


class _Transport(asyncio.Transport):
    def __init__(self, scope_id: int) -> None:
        peer = _Socket(scope_id)
        super().__init__({"socket": peer, "peername": peer.getpeername()})

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "make", [functools.partial(BoundedHttpProtocol, seats=Seats(frozenset())), AbortableWebSocketProtocol]
)
def test_a_link_local_peer_has_the_zone_of_its_link(
    make: Callable[..., BoundedHttpProtocol | AbortableWebSocketProtocol],
) -> None:
    asyncio.run(_has_zone(make))


async def _has_zone(make: Callable[..., BoundedHttpProtocol | AbortableWebSocketProtocol]) -> None:
    config = uvicorn.Config(app=_app, interface="asgi3", log_config=None)
    config.load()
    for scope_id, client in (
        (socket.if_nametoindex("lo"), ("fe80::99%lo", 40000)),
        (2**31 - 1, ("fe80::99%2147483647", 40000)),
        (0, ("fe80::99", 40000)),
    ):
        protocol = make(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(_Transport(scope_id))
        assert protocol.client == client
        protocol.connection_lost(None)
