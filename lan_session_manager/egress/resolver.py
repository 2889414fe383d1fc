"""From a host to the addresses that are connected to: asked once, every answer checked."""

import asyncio
import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import psutil

from lan_session_manager.destinations import Ip, is_closed

Resolve = Callable[[str], Awaitable[list[Ip]]]
IsClosed = Callable[[Ip], bool]

_MOST_ANSWERS = 32
_FRESH_S = 1.0

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def addresses_of(name: str) -> "asyncio.Future[list[Ip]]":
    """The addresses of a host name by the machine's own resolver, in a thread; an empty list if it has none.

    It is done when the name servers have answered or the resolver has given them up, however long that takes.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[Ip]] = loop.create_future()

    def done(found: list[Ip]) -> None:
        if not answer.done():
            answer.set_result(found)

    def ask() -> None:
        found = _addresses_of(name)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(done, found)

    try:
        threading.Thread(target=ask, name="egress-resolver", daemon=True).start()
    except RuntimeError:  # the machine has no thread left
        done([])
    return answer


def _addresses_of(name: str) -> list[Ip]:
    try:
        # With the final dot no search domain of the machine is tried.
        found = socket.getaddrinfo(f"{name}.", None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    texts = dict.fromkeys(str(answer[4][0]) for answer in found[:_MOST_ANSWERS])
    return [ipaddress.ip_address(text) for text in texts]


class Closed:
    """Whether no task may reach an address: by its kind, or because it is this machine's or in one of its networks."""

    def __init__(self) -> None:
        self._read_at = -_FRESH_S
        self._own: list[_Network] = []

    def __call__(self, address: Ip) -> bool:
        """Whether it is closed."""
        if is_closed(address):
            return True
        if time.monotonic() - self._read_at >= _FRESH_S:
            self._own, self._read_at = own_networks(), time.monotonic()
        return any(address in network for network in self._own if network.version == address.version)


def own_networks() -> list[_Network]:
    """The networks of this machine's interfaces, its own addresses and those of direct peers among them."""
    networks: list[_Network] = []
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family in (socket.AF_INET, socket.AF_INET6):
                host = one.address.partition("%")[0]
                networks.append(ipaddress.ip_network(host))
                if one.netmask:
                    networks.append(_network(host, one.netmask))
                if one.ptp:
                    networks.append(ipaddress.ip_network(one.ptp.partition("%")[0]))
    return networks


def _network(host: str, netmask: str) -> _Network:
    # psutil gives an IPv6 netmask as an address; ipaddress takes its length only.
    length = int(ipaddress.ip_address(netmask)).bit_count()
    return ipaddress.ip_network(f"{host}/{length}", strict=False)
