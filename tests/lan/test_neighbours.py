"""What the kernel knows of a peer is told, whoever asks and from wherever, and a fault is never the request's."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lan.lan import Lan

pytestmark = pytest.mark.root

# Answers one question a line, as a user without rights, inside of a running event loop.
_ANSWER = """
import asyncio, json, logging, os, resource, socket, sys, uvloop
from dataclasses import asdict
from lan_session_manager.addresses import parse_address
from lan_session_manager.identity.neighbours import Neighbours

def break_it(how):
    if how == "closed":
        os.close(neighbours._socket.fileno())
    elif how == "overflowing":
        neighbours._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        ask = bytes.fromhex("1c0000001a0001000000000000000000") + bytes([2, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        for _ in range(100):
            neighbours._socket.send(ask)
    elif how == "out of descriptors":
        neighbours.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    elif how == "mended":
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

async def main():
    while line := sys.stdin.readline():
        name, *words = json.loads(line)
        if name == "look":
            here = neighbours.look(parse_address(words[0]), words[1])
            there = await asyncio.to_thread(neighbours.look, parse_address(words[0]), words[1])
            assert here == there, (here, there)
            answer = asdict(here)
        elif name == "addresses_of":
            answer = sorted(map(str, neighbours.addresses_of(*words)))
        else:
            answer = break_it(*words)
        print(json.dumps(answer), flush=True)

logging.basicConfig()
os.setresuid(65534, 65534, 65534)
neighbours = Neighbours()
neighbours.check()
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
neighbours.close()
"""

# Has the two machines find each other.
_KNOCK = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], 9), 20)
except ConnectionRefusedError:
    print("refused")
"""


@dataclass
class Asker:
    """Asks on the server's machine."""

    lan: Lan
    process: "subprocess.Popen[str]"

    def ask(self, *words: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def look(self, peer: str, local: str = "") -> tuple[str | None, bool]:
        found = self.ask("look", peer, local)
        return found["mac"], found["is_on_link"]

    def ip(self, *arguments: str) -> None:
        done = self.lan.server.run(["ip", *arguments])
        assert done.returncode == 0, done.stderr

    def set_neighbour(self, address: str, mac: str, state: str) -> None:
        self.ip("neigh", "replace", address, "dev", "br0", "lladdr", mac, "nud", state)


@pytest.fixture(scope="module")
def asker() -> Iterator[Asker]:
    with Lan(hosts=("a", "b")) as lan:
        command = [sys.executable, "-W", "error", "-c", _ANSWER]
        with lan.server.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            yield Asker(lan, process)
            process.communicate(timeout=20)
            assert process.returncode == 0


def test_a_peer_on_a_link_has_its_hardware_address(asker: Asker) -> None:
    a, b, server = asker.lan.host("a"), asker.lan.host("b"), asker.lan.server
    for host in (a, b):
        for address in (server.ip, server.ip6):
            assert host.run([sys.executable, "-S", "-c", _KNOCK, address]).stdout == "refused\n"
        assert asker.look(host.ip) == asker.look(host.ip, server.ip) == (host.mac, True)
        assert asker.look(host.ip6) == asker.look(host.ip6, server.ip6) == (host.mac, True)


def test_a_link_local_peer_is_looked_for_on_its_own_link(asker: Asker) -> None:
    asker.set_neighbour("fe80::77", "02:00:00:00:00:77", "reachable")
    assert asker.look("fe80::77%br0") == ("02:00:00:00:00:77", True)
    assert asker.look("fe80::77%nosuch0") == (None, True)


def test_a_peer_that_the_table_does_not_have_is_on_a_link_all_the_same(asker: Asker) -> None:
    assert asker.look("192.168.77.200") == (None, True)
    assert asker.look("fd77::200") == (None, True)


@pytest.mark.parametrize("address", ["192.168.77.201", "fd77::201"])
@pytest.mark.parametrize(
    ("state", "counts"),
    [
        ("reachable", True), ("stale", True), ("delay", True), ("probe", True), ("permanent", True),
        ("failed", False), ("incomplete", False), ("noarp", False), ("none", False),
    ],
)  # fmt: skip
def test_only_an_entry_that_is_known_counts(asker: Asker, address: str, state: str, counts: bool) -> None:
    mac = "02:00:00:00:02:01"
    asker.set_neighbour(address, mac, state)
    assert asker.look(address) == (mac if counts else None, True)
    asker.ip("neigh", "delete", address, "dev", "br0")


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff"])
def test_a_hardware_address_of_no_single_device_is_none(asker: Asker, mac: str) -> None:
    asker.set_neighbour("192.168.77.202", mac, "permanent")
    assert asker.look("192.168.77.202") == (None, True)


def test_a_peer_behind_a_gateway_has_none_not_even_the_gateways(asker: Asker) -> None:
    a = asker.lan.host("a")
    asker.ip("route", "add", "10.9.0.0/24", "via", a.ip)
    asker.ip("-6", "route", "add", "fd99::/64", "via", a.ip6)
    asker.ip("route", "add", "10.10.0.0/24", "via", "inet6", a.ip6, "dev", "br0")
    for peer in ("10.9.0.5", "fd99::5", "10.10.0.5"):
        assert asker.look(peer) == (None, False)


def test_a_peer_at_a_tunnel_has_none_and_never_will(asker: Asker) -> None:
    # As a tunnel has it: nobody is asked for a hardware address.
    asker.ip("link", "add", "tunnel0", "type", "veth", "peer", "name", "tunnel1")
    asker.ip("link", "set", "tunnel0", "arp", "off")
    asker.ip("address", "add", "10.8.0.1/24", "dev", "tunnel0")
    asker.ip("link", "set", "tunnel0", "up")
    assert asker.look("10.8.0.2") == (None, False)


def test_this_machine_is_on_no_link(asker: Asker) -> None:
    server = asker.lan.server
    for own in ("127.0.0.1", "127.8.8.8", "::1", server.ip, server.ip6):
        assert asker.look(own) == (None, False)


def test_the_way_back_is_the_one_from_the_address_that_the_peer_came_to(asker: Asker) -> None:
    asker.ip("address", "add", "192.168.78.1/24", "dev", "br0")
    asker.ip("route", "add", "192.168.77.210", "via", "192.168.77.10", "table", "77")
    asker.ip("rule", "add", "from", "192.168.78.1", "lookup", "77")
    asker.set_neighbour("192.168.77.210", "02:00:00:00:02:10", "permanent")
    assert asker.look("192.168.77.210", "192.168.77.1") == ("02:00:00:00:02:10", True)
    assert asker.look("192.168.77.210", "192.168.78.1") == (None, False)


def test_an_own_address_that_has_gone_is_no_fault(asker: Asker) -> None:
    assert asker.look("192.168.77.200", "192.168.99.1") == (None, True)


def test_another_device_at_an_address_shows_at_once(asker: Asker) -> None:
    for mac in ("02:00:00:00:02:03", "02:00:00:00:02:04"):
        asker.set_neighbour("192.168.77.203", mac, "reachable")
        assert asker.look("192.168.77.203") == (mac, True)


def test_all_addresses_of_a_hardware_address_are_told_by_version(asker: Asker) -> None:
    mac, other = "02:00:00:00:03:01", "02:00:00:00:03:02"
    asker.set_neighbour("192.168.77.220", mac, "stale")
    asker.set_neighbour("192.168.77.221", mac, "permanent")
    asker.set_neighbour("192.168.77.222", mac, "failed")
    asker.set_neighbour("192.168.77.223", other, "permanent")
    asker.set_neighbour("fe80::220", mac, "permanent")
    asker.set_neighbour("fd77::220", mac, "permanent")
    assert asker.ask("addresses_of", mac, 4) == ["192.168.77.220", "192.168.77.221"]
    assert asker.ask("addresses_of", mac, 6) == ["fd77::220", "fe80::220%br0"]
    assert asker.ask("addresses_of", "02:00:00:00:03:99", 4) == []


def test_a_large_table_is_read_whole(asker: Asker) -> None:
    mac = "02:00:00:00:04:01"
    lines = "".join(
        f"neigh replace 192.168.77.{last} dev br0 lladdr {mac if last % 2 else '02:00:00:00:04:02'} nud permanent\n"
        f"neigh replace fd77::4:{last} dev br0 lladdr {mac} nud permanent\n"
        for last in range(100, 200)
    )
    asker.lan.server.popen(["ip", "-batch", "-"], stdin=subprocess.PIPE).communicate(lines, timeout=20)
    assert len(asker.ask("addresses_of", mac, 4)) == 50
    assert len(asker.ask("addresses_of", mac, 6)) == 100


@pytest.mark.parametrize("how", ["closed", "overflowing"])
def test_a_socket_that_fails_is_opened_again_unseen(asker: Asker, how: str) -> None:
    asker.set_neighbour("192.168.77.204", "02:00:00:00:02:04", "permanent")
    assert asker.look("192.168.77.204") == ("02:00:00:00:02:04", True)
    asker.ask("break", how)
    assert asker.look("192.168.77.204") == ("02:00:00:00:02:04", True)


def test_without_netlink_nobody_has_a_hardware_address_and_nothing_fails(asker: Asker) -> None:
    asker.set_neighbour("192.168.77.205", "02:00:00:00:02:05", "permanent")
    asker.ask("break", "out of descriptors")
    assert asker.look("192.168.77.205") == (None, True)
    assert asker.look("127.0.0.1") == (None, False)
    asker.ask("break", "mended")
    assert asker.look("192.168.77.205") == ("02:00:00:00:02:05", True)
