"""Names are asked for by the machine's own resolver, and its own networks are closed even where they are public."""

import asyncio
import ipaddress
import socket
import threading
from types import SimpleNamespace

import psutil
import pytest

from lan_session_manager.destinations import Ip
from lan_session_manager.egress.resolver import Closed, addresses_of, own_networks


def test_a_name_without_an_address_has_none() -> None:
    async def main() -> list[Ip]:
        return await addresses_of("no-such-name.invalid")

    assert asyncio.run(main()) == []


def test_the_event_loop_goes_on_while_a_name_server_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def never(*_: object, **__: object) -> list[object]:
        asked.set()
        answer.wait(20)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)

    async def main() -> list[Ip]:
        found = addresses_of("slow.example")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(found), 0.1)
        answer.set()
        return await found

    assert asyncio.run(main()) == []
    assert asked.is_set()


def _interface(family: int, address: str, netmask: str | None, peer: str | None = None) -> object:
    return SimpleNamespace(family=family, address=address, netmask=netmask, ptp=peer)


def test_the_networks_of_an_interface_are_closed_even_where_they_are_public(monkeypatch: pytest.MonkeyPatch) -> None:
    def addresses() -> dict[str, list[object]]:
        return {
            "eth0": [
                _interface(socket.AF_INET, "5.6.7.8", "255.255.255.0"),
                _interface(socket.AF_INET6, "2a00:1:2:3::8", "ffff:ffff:ffff:ffff::"),
                _interface(socket.AF_INET6, "fe80::1%eth0", "ffff:ffff:ffff:ffff::"),
            ],
            "tun0": [_interface(socket.AF_INET, "9.9.9.1", None, "9.9.9.5")],
        }

    monkeypatch.setattr(psutil, "net_if_addrs", addresses)
    closed = Closed()
    for text in ("5.6.7.8", "5.6.7.1", "2a00:1:2:3::1", "9.9.9.1", "9.9.9.5", "10.0.0.1"):
        assert closed(ipaddress.ip_address(text)), text
    for text in ("5.6.8.1", "2a00:1:2:4::1", "9.9.9.2"):
        assert not closed(ipaddress.ip_address(text)), text


def test_this_machines_networks_are_read() -> None:
    assert ipaddress.ip_network("127.0.0.0/8") in own_networks()
