"""Who is at the other end of a TCP connection, while it lasts: the host, and who asks for something over it."""

import weakref
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from starlette.types import Scope

from lan_session_manager.addresses import Address
from lan_session_manager.feed import Feed
from lan_session_manager.identity import Caller
from lan_session_manager.identity.neighbours import Link, Neighbours
from lan_session_manager.store.records import EventKind, EventRecord

CONNECTION = "lsm.connection"  # the extension under which a scope has the Peer


@dataclass(eq=False)
class Peer:
    """The other end of one TCP connection."""

    abort: Callable[[], None]  # ends the connection at once
    link: Link | None = None  # when it connected; None: nobody looked
    caller: Caller | None = None  # of the request that goes on, or was the last one


class Peers:
    """Those who have asked for something by HTTP."""

    def __init__(self) -> None:
        self._known: weakref.WeakSet[Peer] = weakref.WeakSet()

    def attach(self, feed: Feed) -> None:
        """Hear of devices that are forgotten: what they still receive ends."""
        feed.listen(self._on_events)

    def note(self, scope: Scope, caller: Caller) -> None:
        """Who asks. A WebSocket is ended by the hub, which tells its client why."""
        peer = peer_of(scope)
        if peer is not None and scope["type"] == "http":
            peer.caller = caller
            self._known.add(peer)

    def _on_events(self, events: Sequence[EventRecord]) -> None:
        for event in events:
            if event.kind is EventKind.DEVICE_FORGOTTEN:
                for peer in list(self._known):
                    if peer.caller is not None and is_gone(peer.caller, event):
                        self._known.discard(peer)
                        peer.abort()


def peer_of(scope: Scope) -> Peer | None:
    """Who is at the other end of a request; None where there is no network, as in a test."""
    peer = scope.get("extensions", {}).get(CONNECTION)
    return peer if isinstance(peer, Peer) else None


def link_of(scope: Scope, address: Address, neighbours: Neighbours) -> Link:
    """What is between the peer and us: as it was when it connected, or where there is no connection, as it is now."""
    peer = peer_of(scope)
    if peer is not None and peer.link is not None:
        return peer.link
    return neighbours.look(address, (scope.get("server") or ("", 0))[0])


def is_gone(caller: Caller, event: EventRecord) -> bool:
    """Whether that event, DEVICE_FORGOTTEN, takes the session from this caller."""
    if caller.session is not None and caller.session.id != event.session_id:
        return False
    if caller.device is not None:
        return caller.device.id == event.data.get("device_id")
    addresses: Collection[object] = event.data.get("addresses", ())
    return str(caller.address) in addresses
