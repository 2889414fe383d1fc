"""Which hardware address stands at the other end: the kernel's routes and its neighbour tables, over netlink.

Two questions a look: by which interface, and whether through a gateway, the kernel would answer the peer; and what that
interface's table holds of the peer. A TCP connection exists because our answer to it has gone that same way, so the
table knows the peer when there is something to know. Both are asked for one address alone (`RTM_GETNEIGH` for one
address: Linux 5.0); nothing is dumped for a request.

The messages are pyroute2's, the socket is our own. pyroute2's `IPRoute` runs an event loop of its own for every call,
which cannot be done inside of a running one; its `AsyncIPRoute` would have every look wait for the loop, and keeps
sockets and queues for each thread. The kernel answers such a question before `send` returns, so that there is nothing
to wait for, and one socket with a lock serves the loop and all threads.
"""

import contextlib
import errno
import fcntl
import ipaddress
import logging
import os
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from pyroute2.netlink.exceptions import NetlinkDecodeError  # type: ignore[import-untyped]
from pyroute2.netlink.rtnl.ndmsg import (  # type: ignore[import-untyped]
    NUD_DELAY,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    ndmsg,
)
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # type: ignore[import-untyped]

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.errors import AddressError

_log = logging.getLogger(__name__)

# linux/rtnetlink.h, linux/netlink.h, linux/if.h; the standard library has none of them.
_RTM_NEWNEIGH, _RTM_GETNEIGH, _RTM_GETROUTE = 28, 30, 26
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_RTN_UNICAST = 1
_SIOCGIFFLAGS, _IFF_LOOPBACK, _IFF_POINTOPOINT, _IFF_NOARP = 0x8913, 0x8, 0x10, 0x80

_HEADER = struct.Struct("=LHHLL")  # length, type, flags, sequence number, port (netlink(7))
_KNOWN = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT
_MOST_BYTES = 65536
_WAIT_S = 1.0  # of a dump, and of an answer that should have been there at once
_PASSING = (errno.ENODEV, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL)  # a link or an own address has just gone
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@dataclass(frozen=True)
class Link:
    """What is between a peer and us.

    `mac` is its hardware address (`02:4c:53:4d:00:0a`), if the neighbour table has it. `is_on_link` says that the peer
    is on a link of ours where devices have one; it is False for this machine itself, behind a gateway and in a tunnel.
    """

    mac: str | None
    is_on_link: bool


_HERE = Link(None, is_on_link=False)
_UNSEEN = Link(None, is_on_link=True)  # as for a neighbour that the table has lost for a moment


class Neighbours:
    """The kernel's answers about peers, from any thread, inside of a running event loop or not. Needs no rights."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._sequence = 0
        self._works = True

    def close(self) -> None:
        """Give the socket back; a later look opens another."""
        with self._lock:
            self._shut()

    def look(self, peer: Address, local: str = "") -> Link:
        """What is between `peer` and us; `local` is the address of ours at which it came in. Never raises.

        What cannot be asked is answered as for a neighbour that is not in the table now.
        """
        if peer.is_loopback:
            return _HERE
        try:
            link = self._asked(peer, local)
        except (OSError, NetlinkDecodeError) as error:
            if self._works and error.args[0] not in _PASSING:
                _log.warning("The neighbour table cannot be read, so devices are not told apart by it: %s", error)
                self._works = False
            return _UNSEEN
        self._works = True
        return link

    def addresses_of(self, mac: str, version: int) -> frozenset[Address]:
        """Every address of IP version 4 or 6 at which the tables have this hardware address now. Raises OSError.

        This reads the whole table; link-local addresses come with their zone.
        """
        wanted = bytes.fromhex(mac.replace(":", ""))
        found = set()
        for data in _dump(_FAMILIES[version]):
            if wanted not in data:  # reading a message takes a hundred times as long as this
                continue
            neighbour = ndmsg(data)
            neighbour.decode()
            if _mac(neighbour) == mac:
                with contextlib.suppress(AddressError, OSError):  # OSError: the interface has gone
                    found.add(_zoned(str(neighbour.get_attr("NDA_DST")), neighbour["ifindex"]))
        return frozenset(found)

    def check(self) -> None:
        """Whether the kernel answers both questions at all. Raises OSError, which says why it does not."""
        self._ask(_route_to(socket.AF_INET, "127.0.0.1", "", 0))
        self._neighbour(socket.AF_INET, "127.0.0.1", socket.if_nametoindex("lo"))

    def _asked(self, peer: Address, local: str) -> Link:
        host, _, zone = str(peer).partition("%")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        own = local.partition("%")[0]
        if (":" in own) != (family is socket.AF_INET6):
            own = ""
        route = rtmsg(self._ask(_route_to(family, host, own, _index(zone))))
        route.decode()
        index = route.get_attr("RTA_OIF")
        if route["type"] != _RTN_UNICAST or index is None:
            return _HERE
        if route.get_attr("RTA_GATEWAY") is not None or route.get_attr("RTA_VIA") is not None:
            return _HERE
        neighbour = self._neighbour(family, host, index)
        if neighbour is None or not neighbour["state"] & _KNOWN:
            return _UNSEEN if self._has_macs(index) else _HERE
        return Link(_mac(neighbour), is_on_link=True)

    def _neighbour(self, family: int, host: str, index: int) -> ndmsg | None:
        try:
            data = self._ask(_neighbour_at(family, host, index))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        neighbour = ndmsg(data)
        neighbour.decode()
        return neighbour

    def _has_macs(self, index: int) -> bool:
        """Whether the devices on an interface have hardware addresses: those at a tunnel have none."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
            request = struct.pack("16s16x", socket.if_indextoname(index).encode())
            (flags,) = struct.unpack_from("=H", fcntl.ioctl(plain, _SIOCGIFFLAGS, request), 16)
        return not flags & (_IFF_LOOPBACK | _IFF_POINTOPOINT | _IFF_NOARP)

    def _ask(self, question: rtmsg | ndmsg) -> bytes:
        """The one message that answers. Raises OSError, with the kernel's errno if it says no."""
        with self._lock:
            with contextlib.suppress(_NoAnswerError):
                return self._exchange(question)
            # The socket was closed, has overflowed, or holds an answer that came too late: another one is clean.
            return self._exchange(question)

    def _exchange(self, question: rtmsg | ndmsg) -> bytes:
        try:
            if self._socket is None:
                self._socket = _opened()
            self._sequence = (self._sequence + 1) & 0xFFFFFFFF
            self._socket.send(_encoded(question, _NLM_F_REQUEST, self._sequence))
            [(kind, sequence, data)] = _received(self._socket)
            if sequence != self._sequence:
                raise OSError(errno.EPROTO, "the kernel has answered another question")
        except (OSError, ValueError) as error:
            self._shut()
            raise _NoAnswerError(*error.args) from error
        if kind == _NLMSG_ERROR:
            (code,) = struct.unpack_from("=i", data, _HEADER.size)
            raise OSError(-code, os.strerror(-code))
        return data

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None


class _NoAnswerError(OSError):
    """The socket fails; what the kernel itself answers is an OSError of no such kind."""


def _opened() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    opened.settimeout(_WAIT_S)
    return opened


def _encoded(question: rtmsg | ndmsg, flags: int, sequence: int) -> bytes:
    question["header"]["flags"] = flags
    question["header"]["sequence_number"] = sequence
    question.encode()
    return bytes(question.data)


def _route_to(family: int, host: str, own: str, index: int) -> rtmsg:
    bits = 32 if family == socket.AF_INET else 128
    attributes: list[tuple[str, str | int]] = [("RTA_DST", host)]
    if own:
        attributes.append(("RTA_SRC", own))
    if index:
        attributes.append(("RTA_OIF", index))
    question = rtmsg()
    question["family"], question["dst_len"], question["src_len"] = family, bits, bits if own else 0
    question["attrs"] = attributes
    question["header"]["type"] = _RTM_GETROUTE
    return question


def _neighbour_at(family: int, host: str, index: int) -> ndmsg:
    question = ndmsg()
    question["family"], question["ifindex"] = family, index
    question["attrs"] = [("NDA_DST", host)]
    question["header"]["type"] = _RTM_GETNEIGH
    return question


def _received(source: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """The messages of one datagram from the kernel: type, sequence number, bytes. Raises OSError."""
    data, _, flags, sender = source.recvmsg(_MOST_BYTES)
    if flags & socket.MSG_TRUNC or sender[0] != 0:
        raise OSError(errno.EPROTO, "that is no message of the kernel's")
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        if not _HEADER.size <= length <= len(data) - offset:
            raise OSError(errno.EPROTO, "the kernel's message is cut off")
        yield kind, sequence, data[offset : offset + length]
        offset += (length + 3) & ~3


def _dump(family: int) -> Iterator[bytes]:
    question = ndmsg()
    question["family"] = family
    question["header"]["type"] = _RTM_GETNEIGH
    with _opened() as own:  # one of its own: looks do not wait for it
        own.send(_encoded(question, _NLM_F_REQUEST | _NLM_F_DUMP, 1))
        while True:
            for kind, _, data in _received(own):
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):  # an error: a kernel without this family
                    return
                if kind == _RTM_NEWNEIGH:
                    yield data


def _mac(neighbour: ndmsg) -> str | None:
    """The hardware address of an entry; None for one that is of no single device."""
    mac = neighbour.get_attr("NDA_LLADDR") if neighbour["state"] & _KNOWN else None
    if not isinstance(mac, str) or len(mac) != 17 or mac == "00:00:00:00:00:00" or int(mac[:2], 16) & 1:
        return None
    return mac


def _index(zone: str) -> int:
    """The number of the interface that a zone names; 0 for none. Raises OSError."""
    if not zone:
        return 0
    try:
        return int(zone) if zone.isdigit() else socket.if_nametoindex(zone)
    except OSError:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None


def _zoned(text: str, index: int) -> Address:
    parsed = ipaddress.ip_address(text)
    zone = f"%{socket.if_indextoname(index)}" if parsed.version == 6 and parsed.is_link_local else ""
    return parse_address(text + zone)
