"""Who asks: the peer of the socket, or whom a trusted proxy names, and what a token says it may do besides."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.identity.decide import Seen
from lan_session_manager.identity.forwarded import Headers, peer_of
from lan_session_manager.store.records import DeviceRecord, SessionRecord


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    address: Address
    is_admin: bool = False
    is_worker: bool = False
    session: SessionRecord | None = None  # whom the request is of, perhaps expired; None: nobody known yet
    device: DeviceRecord | None = None  # that has proven itself
    needs_device: bool = False  # nobody can say who it is until a device has proven itself
    must_wait: bool = False  # nobody can say who it is at this moment
    is_settled: bool = False  # nothing has to be written down for it
    is_shared: bool = False  # its address names nobody
    seen: Seen | None = None  # what was seen of it, to decide again


@dataclass(frozen=True)
class Tokens:
    """The owner's token and the swarm workers' token."""

    admin: str
    worker: str


def parse_proxies(texts: Iterable[str]) -> frozenset[Address]:
    """The configured proxies. Raises AddressError."""
    return frozenset(parse_address(text) for text in texts)


def identify(peer: str, headers: Headers, proxies: frozenset[Address], tokens: Tokens) -> Caller:
    """Who asks, from the socket's peer address and the request's headers.

    Raises AddressError when the socket has no address, ForwardedError when a trusted proxy sends headers that name
    nobody, or several.
    """
    address = peer_of(peer, headers, proxies)
    said = next((value for name, value in headers if name == b"authorization"), b"")
    kind, _, token = said.decode("latin-1").partition(" ")
    given = token.strip() if kind.lower() == "bearer" else ""
    is_admin = _same(given, tokens.admin)
    return Caller(address, is_admin, is_admin or _same(given, tokens.worker))


def _same(given: str, token: str) -> bool:
    return bool(token) and hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())
