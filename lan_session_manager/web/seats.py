"""Who may have a connection: so many for each peer and for all, and always a place for who has few.

A peer is an address. All addresses of an IPv6 /64 have half of the places at most: who is given one /64 has as many
addresses as it likes, and a whole network of honest devices has one too, so that a closer bound would be theirs.

A peer that is at its bound gets a new connection only for one of its own that waits for a request. When all places are
taken, who has more than the newcomer gives one up. So one address, or many together, cannot take the last place.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.errors import LSMError
from lan_session_manager.identity.neighbours import Link
from lan_session_manager.web.pace import cut
from lan_session_manager.web.rates import network_of

EACH = 256  # of one peer: a class of 40 behind one address, each with a dashboard and the six that a browser opens
SPARE = 16  # beyond, for those that are told so: a browser shows an answer, and of a closed connection only that
MOST = 10_000  # of all: each costs the kernel some kilobytes, and up to 0.6 MB if its client does not read
_LOOKED_AT = 16  # peers that are looked at for a connection that waits, among those that have the most


def most_connections(most_files: int) -> int:
    """How many connections leave enough descriptors for everything else, of so many that the process may have."""
    return max(1, min(MOST, max(most_files // 2, most_files - 4096)))


@dataclass(eq=False)
class Seat:
    """A connection's place. `is_spare`: it may only be told that there is none.

    `link` is what was between the peer and us when it connected; None: nobody looked. Who asks over the connection is
    who made it: by the time of a request the address may be another host's.
    """

    fd: int
    peer: "_Peer"
    transport: asyncio.Transport
    is_spare: bool = False
    link: Link | None = None


@dataclass(eq=False)
class _Peer:
    address: Address
    groups: "tuple[_Group, ...]"
    is_proxy: bool
    seats: dict[Seat, None] = field(default_factory=dict)
    waiting: dict[Seat, None] = field(default_factory=dict)  # for a request; who has waited longest comes first

    @property
    def name(self) -> str:
        return str(self.address)


class _Group:
    """Peers with a bound together. `ranks[n]` are those that have n seats."""

    def __init__(self, most: int, name: str = "") -> None:
        self.most = most
        self.name = name
        self.count = 0
        self.ranks: list[dict[_Peer, None]] = [{}]

    def move(self, peer: _Peer, by: int) -> None:
        """A peer, whose seats are counted anew already, has `by` more."""
        self.count += by
        if peer.is_proxy:
            return
        now = len(peer.seats)
        self.ranks[now - by].pop(peer, None)
        if now == len(self.ranks):
            self.ranks.append({})
        if now:
            self.ranks[now][peer] = None
        while len(self.ranks) > 1 and not self.ranks[-1]:
            self.ranks.pop()

    def victim(self, newcomer: _Peer) -> Seat | None:
        """Whose connection ends for one more of the newcomer's; None: nobody's, all have fewer."""
        top, mine = len(self.ranks) - 1, len(newcomer.seats) + 1
        if newcomer.is_proxy or top < mine:
            return next(iter(newcomer.waiting), None)
        for peer in islice(self.ranks[top], _LOOKED_AT):
            if peer.waiting:
                return next(iter(peer.waiting))
        return next(reversed(next(iter(self.ranks[top])).seats)) if top > mine else None


class Seats:
    """All connections of the server. For use on the event loop."""

    def __init__(
        self,
        proxies: frozenset[Address],
        most: int = MOST,
        each: int = EACH,
        spare: int = SPARE,
        look: Callable[[Address, str], Link] | None = None,
    ) -> None:
        """`proxies` are bounded only together with all others: everybody comes from them.

        `look` says what is between a peer and our address at which it has come.
        """
        self._proxies = proxies
        self._look = look
        self._each = each
        self._spare = spare
        self._all = _Group(most)
        self._networks: dict[str, _Group] = {}
        self._peers: dict[str, _Peer] = {}
        self._seats: dict[int, Seat] = {}

    def __len__(self) -> int:
        return self._all.count

    def enter(self, transport: asyncio.Transport) -> Seat | None:
        """A place for a connection, or the one that it has already; None: it has to end at once. `leave` it once."""
        fd: int = transport.get_extra_info("socket").fileno()
        if seat := self._seats.get(fd):
            if not seat.transport.is_closing():
                seat.transport = transport
                return seat
            self.leave(seat)  # TLS says that one has ended a moment after its descriptor is free for another
        try:
            peer = self._peer(transport.get_extra_info("peername"))
        except (LSMError, TypeError):  # it is gone already
            return None
        is_spare = False
        if len(peer.seats) >= self._each and not peer.is_proxy:
            if peer.waiting:
                self._end(next(iter(peer.waiting)))
            elif len(peer.seats) < self._each + self._spare:
                is_spare = True
            else:
                return None
        for group in peer.groups:
            if group.count >= group.most:
                victim = group.victim(peer)
                if victim is None:
                    return None
                self._end(victim)
        seat = self._seats[fd] = Seat(fd, peer, transport, is_spare)
        if self._look and not is_spare and not peer.is_proxy:
            local = transport.get_extra_info("sockname") or ("",)
            seat.link = self._look(peer.address, str(local[0]))
        self._peers[peer.name] = peer  # which it has left, if its only seat was what made room
        peer.seats[seat] = None
        peer.waiting[seat] = None
        for group in peer.groups:
            group.move(peer, 1)
            if group.name:
                self._networks[group.name] = group
        return seat

    def leave(self, seat: Seat) -> None:
        """The connection has ended; once more changes nothing."""
        if self._seats.get(seat.fd) is not seat:
            return
        del self._seats[seat.fd]
        peer = seat.peer
        del peer.seats[seat]
        peer.waiting.pop(seat, None)
        for group in peer.groups:
            group.move(peer, -1)
            if group.name and not group.count:
                self._networks.pop(group.name, None)
        if not peer.seats:
            self._peers.pop(peer.name, None)

    def waits(self, seat: Seat) -> None:
        """The connection waits for a request from here on."""
        if self._seats.get(seat.fd) is seat:
            seat.peer.waiting[seat] = None

    def works(self, seat: Seat) -> None:
        """The connection has one."""
        seat.peer.waiting.pop(seat, None)

    def _end(self, seat: Seat) -> None:
        self.leave(seat)
        cut(seat.transport)

    def _peer(self, name: Sequence[Any]) -> _Peer:
        zone = f"%{_link(name[3])}" if len(name) > 3 and name[3] and "%" not in name[0] else ""
        address = parse_address(name[0] + zone)
        if known := self._peers.get(str(address)):
            return known
        network = network_of(address)
        groups: tuple[_Group, ...] = (self._all,)
        if network != str(address):
            groups = (self._networks.get(network) or _Group(max(1, self._all.most // 2), network), *groups)
        return _Peer(address, groups, address in self._proxies)


def _link(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:  # the link has gone
        return str(index)
