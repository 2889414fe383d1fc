"""A real local network on one machine: network namespaces, cables between them and a bridge as the switch.

    with Lan(hosts=("a", "b")) as lan:
        server = lan.server.popen([sys.executable, "session_web_server.py", "--host", "0.0.0.0"])
        lan.host("a").run(["curl", f"http://{lan.server.ip}:5000/"])

Every host, the server's included, is a namespace of its own, so nothing touches the machine's own network. Only the
network namespace is entered (`nsenter --net`): `ip netns exec` would hide /sys/fs/cgroup too, which the server needs.
Needs root.
"""

import contextlib
import itertools
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_NETNS = Path("/run/netns")
_COMMAND_S = 20.0  # each of the commands below takes milliseconds; a host that hangs must not hang the tests
_SERVER_NUMBER = 1
_FIRST_HOST_NUMBER = 10

_counter = itertools.count(1)


@dataclass
class Host:
    """One machine of the network. `ip`, `ip6` and `mac` are what the others see of it now."""

    name: str
    namespace: str
    interface: str
    ip: str
    ip6: str
    mac: str

    def command(self, argv: Sequence[str]) -> list[str]:
        """`argv` such that it runs on this host."""
        return [*self.prefix, *argv]

    @property
    def prefix(self) -> tuple[str, ...]:
        """What stands before a command that runs on this host; the process id stays the command's own."""
        return ("nsenter", f"--net={_NETNS / self.namespace}")

    def run(self, argv: Sequence[str], *, timeout: float = _COMMAND_S) -> subprocess.CompletedProcess[str]:
        """Run to the end and give the result with its output as text; raises TimeoutExpired after `timeout` seconds."""
        return subprocess.run(self.command(argv), capture_output=True, text=True, timeout=timeout, check=False)

    def popen(self, argv: Sequence[str], **options: Any) -> "subprocess.Popen[str]":
        """Start and go on; whatever still runs on the host when the network is taken down is killed."""
        return subprocess.Popen(self.command(argv), text=True, **options)

    @property
    def link_local(self) -> str:
        """Its address of the link alone, without a zone."""
        shown = _ip("-n", self.namespace, "-6", "-brief", "address", "show", "dev", self.interface, "scope", "link")
        return shown.split()[2].partition("/")[0]

    def set_address(self, ip: str) -> None:
        """Give the host another IPv4 address, as a DHCP server that hands it out anew does."""
        _ip("-n", self.namespace, "-4", "address", "flush", "dev", self.interface)
        _ip("-n", self.namespace, "address", "add", f"{ip}/24", "dev", self.interface)
        # The flush has taken the route along.
        _ip("-n", self.namespace, "route", "replace", "default", "via", _ip4(_SERVER_NUMBER))
        self._forget_others()
        self.ip = ip

    def set_address6(self, ip6: str) -> None:
        """The same with its IPv6 address; the link-local one stays."""
        _ip("-n", self.namespace, "-6", "address", "flush", "dev", self.interface, "scope", "global")
        _ip("-n", self.namespace, "address", "add", f"{ip6}/64", "dev", self.interface)
        _ip("-n", self.namespace, "-6", "route", "replace", "default", "via", f"fd77::{_SERVER_NUMBER}")
        self._forget_others()
        self.ip6 = ip6

    def set_mac(self, mac: str) -> None:
        """Give the host another hardware address; the others find out when they next ask for it."""
        _ip("-n", self.namespace, "link", "set", self.interface, "address", mac)
        self._forget_others()
        self.mac = mac

    def move_behind(self, router: "Host", network: str) -> None:
        """Leave the network for one of its own, /24, such as 10.9.0.0, to which `router` passes packets on."""
        stem, inner = network.rpartition(".")[0], f"in-{self.name}"
        end = ("peer", "name", "far0", "netns", self.namespace)
        _ip("-n", router.namespace, "link", "add", inner, "type", "veth", *end)
        _ip("-n", router.namespace, "address", "add", f"{stem}.1/24", "dev", inner)
        _ip("-n", router.namespace, "link", "set", inner, "up")
        _ip("-n", self.namespace, "link", "set", self.interface, "down")
        self.interface, self.ip = "far0", f"{stem}.2"
        _ip("-n", self.namespace, "address", "add", f"{self.ip}/24", "dev", self.interface)
        _ip("-n", self.namespace, "link", "set", self.interface, "up")
        _ip("-n", self.namespace, "route", "add", "default", "via", f"{stem}.1")
        router.run(["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"])

    def _forget_others(self) -> None:
        # A host that joins a network asks for its neighbours, and by that they learn who it is now.
        _ip("-n", self.namespace, "neigh", "flush", "all")


class Lan:
    """The network 192.168.77.0/24 and fd77::/64: a server at .1 (::1), hosts from .10 (::10) on in the order given."""

    def __init__(self, hosts: Sequence[str] = ("a", "b")) -> None:
        self._stem = f"lsm-{os.getpid()}-{_started(os.getpid())}-{next(_counter)}"
        self.server = self._plan("server", _SERVER_NUMBER, "br0")
        self._hosts = {name: self._plan(name, number, "eth0") for number, name in enumerate(hosts, _FIRST_HOST_NUMBER)}

    def host(self, name: str) -> Host:
        """The host of that name; KeyError for another."""
        return self._hosts[name]

    def __enter__(self) -> Self:
        remove_stale()
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _plan(self, name: str, number: int, interface: str) -> Host:
        mac = f"02:4c:53:4d:00:{number:02x}"
        return Host(name, f"{self._stem}-{name}", interface, _ip4(number), f"fd77::{number}", mac)

    def _build(self) -> None:
        server = self.server
        _create(server)
        bridge = ("address", server.mac, "type", "bridge", "forward_delay", "0")
        _ip("-n", server.namespace, "link", "add", server.interface, *bridge)
        for host in self._hosts.values():
            _create(host)
            port = f"to-{host.name}"
            other_end = ("peer", "name", host.interface, "netns", host.namespace)
            _ip("-n", server.namespace, "link", "add", port, "type", "veth", *other_end)
            _ip("-n", server.namespace, "link", "set", port, "master", server.interface, "up")
            _ip("-n", host.namespace, "link", "set", host.interface, "address", host.mac)
        for host in (server, *self._hosts.values()):
            _ip("-n", host.namespace, "address", "add", f"{host.ip}/24", "dev", host.interface)
            _ip("-n", host.namespace, "address", "add", f"{host.ip6}/64", "dev", host.interface)
            _ip("-n", host.namespace, "link", "set", host.interface, "up")
        for host in self._hosts.values():
            _ip("-n", host.namespace, "route", "add", "default", "via", server.ip)
            _ip("-n", host.namespace, "route", "add", "default", "via", server.ip6)

    def _remove(self) -> None:
        for namespace in _namespaces():
            if namespace.startswith(f"{self._stem}-"):
                _destroy(namespace)


def remove_stale() -> None:
    """Take down what a run left that was killed: its namespaces carry its process id and start time."""
    for namespace in _namespaces():
        owner = re.fullmatch(r"lsm-(\d+)-(\d+)-\d+-\w+", namespace)
        if owner and _started(int(owner[1])) != int(owner[2]):
            _destroy(namespace)


def _create(host: Host) -> None:
    _ip("netns", "add", host.namespace)
    # Without duplicate address detection an IPv6 address serves at once instead of after a second or two.
    off = "for f in all default; do echo 0 >/proc/sys/net/ipv6/conf/$f/accept_dad; done"
    done = host.run(["sh", "-c", off])
    if done.returncode:
        raise RuntimeError(f"{host.namespace}: {done.stderr}")
    _ip("-n", host.namespace, "link", "set", "lo", "up")


def _destroy(namespace: str) -> None:
    # A namespace lives on as long as a process is in it; a killed one takes a moment to leave.
    deadline = time.monotonic() + _COMMAND_S
    try:
        while (pids := _ip("netns", "pids", namespace).split()) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.02)
        _ip("netns", "delete", namespace)
    except RuntimeError:
        # Another run that removes the same stale namespace may have been faster.
        if (_NETNS / namespace).exists():
            raise


def _namespaces() -> list[str]:
    return sorted(entry.name for entry in _NETNS.iterdir()) if _NETNS.is_dir() else []


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=_COMMAND_S, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _ip4(number: int) -> str:
    return f"192.168.77.{number}"


def _started(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (field 22 of /proc/PID/stat, proc(5)); None: there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None
