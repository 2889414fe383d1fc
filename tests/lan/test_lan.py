"""The network that the other tests stand on is itself what it says."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lan.lan import Host, Lan, remove_stale

pytestmark = pytest.mark.root

# Listens, says so, and prints the address of the one peer that comes.
_LISTEN = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.create_server((sys.argv[1], 7000), family=family) as listener:
    listener.settimeout(20)
    print("ready", flush=True)
    connection, peer = listener.accept()
    with connection:
        print(peer[0], flush=True)
"""
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 7000), 20).close()"


def _peer_seen(at: Host, address: str, by: Host) -> str:
    with at.popen([sys.executable, "-c", _LISTEN, address], stdout=subprocess.PIPE) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "ready\n"
        done = by.run([sys.executable, "-c", _CONNECT, address])
        assert done.returncode == 0, done.stderr
        return listener.stdout.readline().strip()


def _neighbour_mac(at: Host, address: str) -> str:
    [entry] = json.loads(at.run(["ip", "-json", "neigh", "show", address]).stdout)
    return str(entry["lladdr"])


def _is_in(namespace: str, pid: int) -> bool:
    done = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, timeout=20, check=True)
    return str(pid) in done.stdout.split()


def _wait_in(namespace: str, process: "subprocess.Popen[Any]") -> None:
    """Until the process is in the namespace; before, nobody knows that it belongs there."""
    while not _is_in(namespace, process.pid):
        assert process.poll() is None
        time.sleep(0.01)


def _left_behind(lan: Lan) -> Sequence[str]:
    stem = lan.server.namespace.removesuffix("server")
    return [entry.name for entry in Path("/run/netns").iterdir() if entry.name.startswith(stem)]


def test_every_machine_sees_the_real_address_and_hardware_address_of_the_other(lan: Lan) -> None:
    a, b = lan.host("a"), lan.host("b")
    for at, by in ((lan.server, a), (lan.server, b), (a, b), (b, lan.server)):
        assert _peer_seen(at, at.ip, by) == by.ip
        assert _neighbour_mac(at, by.ip) == by.mac


def test_ipv6_serves_at_once(lan: Lan) -> None:
    a, server = lan.host("a"), lan.server
    assert _peer_seen(server, server.ip6, a) == a.ip6
    assert _neighbour_mac(server, a.ip6) == a.mac


def test_each_interface_has_a_link_local_address_of_its_own(lan: Lan) -> None:
    addresses = set()
    for host in (lan.server, lan.host("a"), lan.host("b")):
        shown = host.run(["ip", "-6", "address", "show", "dev", host.interface, "scope", "link"]).stdout
        assert "tentative" not in shown
        addresses.update(re.findall(r"inet6 (fe80::\S+)/64", shown))
    assert len(addresses) == 3


def test_loopback_is_up_on_every_machine(lan: Lan) -> None:
    a = lan.host("a")
    assert _peer_seen(a, "127.0.0.1", a) == "127.0.0.1"


def test_a_host_that_changes_its_address_is_seen_at_the_new_one(lan: Lan) -> None:
    a, server = lan.host("a"), lan.server
    a.set_address("192.168.77.50")
    assert _peer_seen(server, server.ip, a) == "192.168.77.50"
    assert a.run(["ip", "route", "get", "8.8.8.8"]).stdout.startswith(f"8.8.8.8 via {server.ip}")


def test_another_device_at_the_same_address_shows_its_own_hardware_address(lan: Lan) -> None:
    a, b, server = lan.host("a"), lan.host("b"), lan.server
    address = a.ip
    assert _peer_seen(server, server.ip, a) == address
    a.set_address("192.168.77.50")
    b.set_address(address)
    server.run(["ip", "neigh", "flush", "dev", server.interface])
    assert _peer_seen(server, server.ip, b) == address
    assert _neighbour_mac(server, address) == b.mac


def test_a_hardware_address_can_be_taken_from_another(lan: Lan) -> None:
    a, server = lan.host("a"), lan.server
    a.set_mac("02:4c:53:4d:00:ee")
    assert _peer_seen(server, server.ip, a) == a.ip
    assert _neighbour_mac(server, a.ip) == "02:4c:53:4d:00:ee"


def test_the_machines_own_network_is_left_alone(lan: Lan) -> None:
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert not re.search(r"\bbr0\b|\bto-a\b", links)
    own = subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, timeout=20, check=True).stdout
    assert lan.server.ip not in own


def test_a_process_on_a_host_still_sees_the_machines_cgroups(lan: Lan) -> None:
    listing = lan.server.run(["ls", "/sys/fs/cgroup"]).stdout.split()
    assert listing == sorted(os.listdir("/sys/fs/cgroup"))
    assert listing


def test_nothing_stays_when_a_test_fails_with_processes_running() -> None:
    lan = Lan(hosts=("a",))
    sleepers = []

    def fail() -> None:
        with lan:
            sleepers.append(lan.host("a").popen(["sleep", "60"]))
            _wait_in(lan.host("a").namespace, sleepers[0])
            assert len(_left_behind(lan)) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [sleeper.wait(timeout=5) for sleeper in sleepers] == [-9]
    assert _left_behind(lan) == []


def test_what_a_killed_run_left_is_removed_and_what_a_living_one_has_is_not(lan: Lan) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    stale = f"lsm-{ended.pid}-1-1-a"
    subprocess.run(["ip", "netns", "add", stale], timeout=20, check=True)
    with subprocess.Popen(["nsenter", f"--net=/run/netns/{stale}", "sleep", "60"]) as sleeper:
        _wait_in(stale, sleeper)
        remove_stale()
    assert sleeper.returncode == -9
    assert not Path("/run/netns", stale).exists()
    assert len(_left_behind(lan)) == 3
