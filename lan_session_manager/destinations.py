"""Where a task may go: hosts in one spelling, the rules of a network profile, and what no profile opens. Pure.

>>> profile = Profile("pypi", (parse_rule("lib.test:443"), parse_rule("*.example.org:443")))
>>> profile.allows(*parse_authority("Lib.Test.:443"))
True
"""

import re
import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import idna

Ip = IPv4Address | IPv6Address

NO_NETWORK = "none"
PROFILE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
ANY = "*"

_LONGEST_NAME = 253  # of a host name in text (RFC 1035, section 2.3.4)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# What inet_aton(3), and with it the system's resolver, may take for an IPv4 address: `127.1`, `0x7f000001`.
_NUMERIC = re.compile(r"(?:[0-9a-fx.]*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")

# From the registries of special-purpose addresses (RFC 6890 and its successors, kept by IANA).
_CLOSED_4 = tuple(
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure's metadata and agents: it looks public and is not
    )
)
# Outside of it are loopback, link-local, unique local (fd00:ec2::254 too), multicast, and the spellings of IPv4
# addresses ::ffff:0:0/96 (mapped), ::/96 (compatible), 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64).
_GLOBAL_6 = IPv6Network("2000::/3")
_CLOSED_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo (2001::/32) among them, which carries IPv4 addresses
        "2001:db8::/32",
        "2002::/16",  # 6to4, which carries IPv4 addresses
        "3fff::/20",
    )
)


class DestinationError(ValueError):
    """What was given is no host, no port or no rule; the text says why."""


@dataclass(frozen=True)
class Rule:
    """A host and a port that a profile opens. `host` is a canonical host, `*` for all, or `*.` and a domain.

    `*.example.org` stands for every name below example.org, and not for example.org itself.
    """

    host: str
    port: int

    def allows(self, host: str, port: int) -> bool:
        """Whether it opens a canonical host with a port."""
        if port != self.port:
            return False
        if self.host.startswith("*."):
            return address_in(host) is None and host.endswith(self.host[1:])
        return self.host in (ANY, host)


@dataclass(frozen=True)
class Profile:
    """A network profile: what a task that has it may reach. Without rules it opens nothing."""

    name: str
    rules: tuple[Rule, ...] = ()

    def allows(self, host: str, port: int) -> bool:
        """Whether one of the rules opens a canonical host with a port."""
        return any(rule.allows(host, port) for rule in self.rules)


def parse_host(text: str) -> str:
    """The one spelling of a host: lower case, IDNA, no final dot; an IP address in its usual form without brackets.

    Raises DestinationError.
    """
    if text.startswith("[") and text.endswith("]"):
        try:
            return str(IPv6Address("" if "%" in text else text[1:-1]))
        except ValueError:
            raise DestinationError("this is no IPv6 address") from None
    name = text
    if not text.isascii():
        try:
            name = idna.encode(text[: _LONGEST_NAME + 1], uts46=True).decode("ascii")
        except idna.IDNAError:
            raise DestinationError("this is no host name") from None
    name = name.lower().removesuffix(".")
    if _NUMERIC.fullmatch(name):
        try:
            return str(IPv4Address(socket.inet_aton(name)))
        except OSError:
            raise DestinationError("this is no IPv4 address") from None
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
        raise DestinationError("this is no host name")
    return name


def parse_authority(text: str, default_port: int | None = None) -> tuple[str, int]:
    """The canonical host and the port of `host:port`. Raises DestinationError, also for a user name before the host."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise DestinationError("this is not host:port")
    port = default_port if found[2] is None else int(found[2])
    if port is None or not 0 < port < 65536:
        raise DestinationError("the port is missing, or is not between 1 and 65535")
    return parse_host(found[1]), port


def parse_rule(text: str) -> Rule:
    """The rule that `host:port`, `*.domain:port` or `*:port` spells. Raises DestinationError."""
    host, _, port = text.rpartition(":")
    wild = "*." if host.startswith("*.") else ""
    if host == ANY:
        return Rule(ANY, parse_authority(f"any:{port}")[1])
    name, number = parse_authority(f"{host.removeprefix(wild)}:{port}")
    address = address_in(name)
    if address is not None and wild:
        raise DestinationError("an address has no names below it")
    if address is not None and is_closed(address):
        raise DestinationError("this address is one that tasks never reach, whatever is listed")
    return Rule(wild + name, number)


def address_in(host: str) -> Ip | None:
    """The address that a canonical host is, or None for a name."""
    try:
        return IPv6Address(host) if ":" in host else IPv4Address(host)
    except ValueError:
        return None


def is_closed(address: Ip) -> bool:
    """Whether no task may ever reach an address, by its kind alone.

    These are loopback, private, shared (RFC 6598), link-local, multicast, broadcast, reserved and unspecified
    addresses, those of cloud metadata, and IPv6 addresses that only spell or carry an IPv4 address.
    """
    if isinstance(address, IPv4Address):
        return any(address in network for network in _CLOSED_4)
    return address not in _GLOBAL_6 or any(address in network for network in _CLOSED_6)
