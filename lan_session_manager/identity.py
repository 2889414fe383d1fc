"""Whose session is this peer? The one place that says who is asking.

The peer is the address at the other end of the socket. Forwarding headers are read only when that address is one of the
configured proxies, and then the right-most hop that is no such proxy is the peer: everything to its left was written by
the peer itself.
"""

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.errors import AddressError, ForwardedError

_MOST_HOPS = 32


@dataclass(frozen=True)
class Caller:
    """Who asks: a device by its address, and what its token says it may do besides."""

    address: Address
    is_admin: bool = False
    is_worker: bool = False


@dataclass(frozen=True)
class Tokens:
    """The owner's token and the swarm workers' token."""

    admin: str
    worker: str


def parse_proxies(texts: Iterable[str]) -> frozenset[Address]:
    """The configured proxies. Raises AddressError."""
    return frozenset(parse_address(text) for text in texts)


def identify(peer: str, headers: Mapping[str, str], proxies: frozenset[Address], tokens: Tokens) -> Caller:
    """Who asks, from the socket's peer address and the request's headers (by lower-case name).

    Raises AddressError when the socket has no address, ForwardedError when a proxy sends a header that is none.
    """
    address = parse_address(peer)
    if address in proxies and "x-forwarded-for" in headers:
        address = _forwarded(headers["x-forwarded-for"], proxies, address)
    kind, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip() if kind.lower() == "bearer" else ""
    is_admin = _same(given, tokens.admin)
    return Caller(address, is_admin, is_admin or _same(given, tokens.worker))


def _same(given: str, token: str) -> bool:
    return bool(token) and hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _forwarded(header: str, proxies: frozenset[Address], peer: Address) -> Address:
    hops = header.split(",")
    if len(hops) > _MOST_HOPS:
        raise ForwardedError
    address = peer
    for hop in reversed(hops):
        try:
            address = parse_address(hop.strip())
        except AddressError:
            raise ForwardedError from None
        if address not in proxies:
            return address
    return address
