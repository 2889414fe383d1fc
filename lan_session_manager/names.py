"""The names and the addresses that this machine has on its networks, by its own word.

No name server is asked: its answer would come from the network, and late. Besides, a name that somebody else can give
to this machine is what a rebinding attack is made of.
"""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from lan_session_manager.hosts import parse_host


@dataclass(frozen=True)
class Own:
    """Names in lower case; addresses canonical, without a zone."""

    names: frozenset[str]
    addresses: frozenset[str]


def look() -> Own:
    """The names and addresses at this moment. Reads some small files and asks the kernel; takes about a millisecond."""
    names = host_names(socket.gethostname(), _lines("/etc/hosts"), _lines("/etc/resolv.conf"))
    addresses = set()
    for interface in psutil.net_if_addrs().values():
        for entry in interface:
            if entry.family in (socket.AF_INET, socket.AF_INET6):
                addresses.add(parse_host(entry.address).text)
    return Own(names, frozenset(addresses))


def host_names(hostname: str, hosts: Iterable[str], resolv: Iterable[str]) -> frozenset[str]:
    """The names of a machine that calls itself `hostname`, given the lines of hosts(5) and of resolv.conf(5).

    These are the host name, its first label alone and as the name of multicast DNS, and its full names: the first label
    in a domain that one of the files gives it. A machine that has no name but "localhost" has none.
    """
    full = hostname.lower().removesuffix(".")
    short = full.partition(".")[0]
    if short == "localhost":
        return frozenset()
    names = {full, short, f"{short}.local"}
    for line in hosts:
        of_one_address = line.partition("#")[0].lower().split()[1:]
        if full in of_one_address or short in of_one_address:
            # Only full names of its own: other names on the line may be anybody's.
            names.update(name for name in of_one_address if name.startswith(f"{short}."))
    for line in resolv:
        keyword, *domains = line.lower().split() or [""]
        if keyword in ("domain", "search"):
            names.update(f"{short}.{domain}" for domain in domains)
    return frozenset(host for name in names if (host := _name(name)))


def _name(text: str) -> str:
    try:
        host = parse_host(text)
    except ValueError:
        return ""
    return "" if host.is_address else host.text


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(errors="replace").splitlines()
    except OSError:
        return []
