"""Whether the network finds this machine by its `.local` name: asked as any other machine would ask (RFC 6762).

The name is only of use where a responder (Avahi, systemd-resolved) answers for it, and whether one does, and with which
of its names after a conflict, only an answer shows.
"""

import asyncio
import contextlib
import os
import secrets
import selectors
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, ip_address

from lan_session_manager.names import look

_GROUP = ("224.0.0.251", 5353)
_WAIT_S = 0.4  # a responder that is there answers within 120 ms (section 6)
_RESPONSE = 0x8000
_A_IN = struct.pack("!HH", 1, 1)
_LONGEST = 9000  # bytes of an answer (section 17)
_MOST_LABEL = 63
_KEPT_S = 60.0


def query(name: str, number: int) -> bytes:
    """A question for the IPv4 addresses of `name`. From any port but 5353 it is answered directly (section 6.7).

    Raises ValueError for a name with a label that is too long.
    """
    labels = [label.encode("idna" if not label.isascii() else "ascii") for label in name.split(".")]
    if any(not 0 < len(label) <= _MOST_LABEL for label in labels):
        raise ValueError(name)
    question = b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + _A_IN
    return struct.pack("!6H", number, 0, 1, 0, 0, 0) + question


def names(answer: bytes, number: int, addresses: Iterable[str]) -> bool:
    """Whether that is an answer to question `number` with one of our `addresses`."""
    if len(answer) < 12 or struct.unpack_from("!HH", answer)[0] != number:
        return False
    flags, _, answers = struct.unpack_from("!3H", answer, 2)
    if not flags & _RESPONSE or not answers:
        return False
    # The rest of a record with an address of four bytes: its length, and they.
    return any(b"\0\4" + IPv4Address(address).packed in answer[12:] for address in addresses)


def is_found(name: str, addresses: Sequence[str]) -> bool:
    """Whether somebody answers for `name` with one of our IPv4 `addresses`. Takes 0.4 s where nobody does."""
    number = secrets.randbelow(0xFFFF) + 1
    try:
        question = query(name, number)
    except ValueError:
        return False
    with contextlib.ExitStack() as opened:
        asked = opened.enter_context(selectors.DefaultSelector())
        for address in addresses:
            link = opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):  # an interface that is down, or that knows no multicast
                link.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, IPv4Address(address).packed)
                link.sendto(question, _GROUP)
                asked.register(link, selectors.EVENT_READ)
        end = time.monotonic() + _WAIT_S
        while asked.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in asked.select(left):
                with contextlib.suppress(OSError):
                    if names(os.read(key.fd, _LONGEST), number, addresses):
                        return True
    return False


class LocalName:
    """The `.local` name of this machine where the network knows it; asked for again after a minute."""

    def __init__(self) -> None:
        self._found = ""
        self._asked_at = -_KEPT_S
        self._turn = asyncio.Lock()

    async def find(self) -> str:
        """The name, or nothing."""
        async with self._turn:
            if time.monotonic() - self._asked_at >= _KEPT_S:
                self._asked_at = time.monotonic()
                self._found = ""
                with contextlib.suppress(OSError):  # such as no descriptor left: the address does without the name
                    self._found = await asyncio.to_thread(_own_name)
        return self._found


def _own_name() -> str:
    own = look()
    addresses = [address for address in own.addresses if _is_of_a_link(address)]
    of_link = [name for name in sorted(own.names) if name.endswith(".local") and name.count(".") == 1]
    return next((name for name in of_link if is_found(name, addresses)), "")


def _is_of_a_link(address: str) -> bool:
    ip = ip_address(address)
    return ip.version == 4 and not ip.is_loopback
