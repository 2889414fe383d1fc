"""Who is at the other end: the socket's peer, or whom a trusted proxy names. Pure.

A forwarding header is a claim of whoever wrote it, so it is read only when the socket's peer is a configured proxy.
`X-Forwarded-For` and `Forwarded` (RFC 7239) are lists to which each proxy appends the peer that it saw; they are read
from the right, element by element, and the first hop that is no proxy of ours is the peer. What stands to its left was
written by the peer itself and is not even looked at: an open quote there swallows nothing, since elements are divided
at every comma, and an element that needs a comma within quotes is malformed. `X-Real-IP`, `CF-Connecting-IP` and
`True-Client-IP` hold one address.
"""

import re
import time
from collections.abc import Callable, Collection, Container

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.errors import AddressError, ForwardedError

Headers = Collection[tuple[bytes, bytes]]  # as ASGI gives them: names in lower case, repeated as they came

_SINGLE = (b"x-real-ip", b"cf-connecting-ip", b"true-client-ip")
_NAMES = frozenset((b"x-forwarded-for", b"forwarded", *_SINGLE))
_MOST_PROXIES = 32  # of ours in a row; a client can repeat their addresses as often as a header is long
_DAY_S = 86_400.0
_MOST_TOLD = 32  # peers a day: anybody can send such a header from many addresses

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(rf'({_WORD})=(?:({_WORD})|"((?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)")')
_NODE = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\])(?::(?:[0-9]{1,5}|_[0-9A-Za-z._-]+))?")


def peer_of(peer: str, headers: Headers, proxies: Container[Address]) -> Address:
    """Who asks, given the socket's peer address.

    Raises AddressError when the socket has no address; ForwardedError when a trusted proxy's header is malformed, or
    when two of them name different peers.
    """
    address = parse_address(peer)
    if address not in proxies:
        return address
    said: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name in _NAMES:
            said.setdefault(name, []).append(value.decode("latin-1"))
    if not said:
        return address
    named = {_named(name, values, proxies) for name, values in said.items()}
    # A proxy behind another one that keeps X-Real-IP says only that the other one is its peer: no contradiction.
    named = {each for each in named if each not in proxies} or named
    if len(named) > 1:
        raise ForwardedError
    return named.pop()


def is_forwarded(headers: Headers) -> bool:
    """Whether there is a header that a proxy sends, whoever sent it."""
    return any(name in _NAMES for name, _ in headers)


class UnknownProxies:
    """Whether it is news that a peer looks like a proxy that is not configured: once a day each, and not for many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: set[Address] = set()
        self._since = clock()

    def is_news(self, peer: Address) -> bool:
        """True the first time, as long as not too many others were news on the same day."""
        if self._clock() - self._since >= _DAY_S:
            self._told.clear()
            self._since = self._clock()
        if peer in self._told or len(self._told) >= _MOST_TOLD:
            return False
        self._told.add(peer)
        return True


def _named(name: bytes, values: list[str], proxies: Container[Address]) -> Address:
    if name in _SINGLE:
        if len(values) > 1:
            raise ForwardedError
        return _plain(values[0])
    # Several lines are one list: a proxy may add a line of its own after its client's (RFC 9110, section 5.3).
    return _hop(",".join(values).split(","), _plain if name == b"x-forwarded-for" else _element, proxies)


def _hop(elements: list[str], read: Callable[[str], Address], proxies: Container[Address]) -> Address:
    """The right-most element that is no proxy of ours, or the left-most one if all are."""
    for element in elements[: -_MOST_PROXIES - 1 : -1]:
        address = read(element)
        if address not in proxies:
            return address
    if len(elements) > _MOST_PROXIES:
        raise ForwardedError
    return address


def _plain(text: str) -> Address:
    try:
        return parse_address(text.strip(" \t"))
    except AddressError:
        raise ForwardedError from None


def _element(text: str) -> Address:
    """The `for` of one element of Forwarded. An element without one, `unknown` or hidden (`_name`), names nobody."""
    found: dict[str, str] = {}
    for part in text.split(";"):
        pair = part.strip(" \t")
        if not pair:
            continue
        match = _PAIR.fullmatch(pair)
        if not match or match[1].lower() in found:
            raise ForwardedError
        found[match[1].lower()] = match[2] if match[2] is not None else match[3]
    node = _NODE.fullmatch(found.get("for", ""))
    if not node:
        raise ForwardedError
    return _plain(node[1] or node[2])
