"""What a Host or an Origin header says: hosts and ports in one canonical form. Pure.

>>> parse_authority("[FE80::1%25eth0]:5000")
Authority(host=Host(text='fe80::1', is_address=True, zone='eth0'), port=5000)
>>> parse_authority("Lab-PC.local.").host.text
'lab-pc.local'
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.errors import AddressError

DEFAULT_PORTS = {"http": 80, "https": 443}
_LONGEST = 253  # characters of a name (RFC 1035, section 2.3.4, without the length bytes)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"  # as in DNS; "_" besides, which machines' names have
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_AUTHORITY = re.compile(r"(\[[^\[\]]{2,64}\]|[^\[\]:]{1,254})(?::([0-9]{0,5}))?")


@dataclass(frozen=True)
class Host:
    """An address, or a name in lower case without the dot at its end.

    `zone` is the link by which the client reaches a link-local address, a name of the client's own.
    """

    text: str
    is_address: bool = False
    zone: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether it is a literal loopback address: a name is none, whatever it says."""
        return self.is_address and Address(self.text).is_loopback


@dataclass(frozen=True)
class Authority:
    """A host and the port that stands behind it, if one does."""

    host: Host
    port: int | None = None


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port: who a page is (RFC 6454)."""

    scheme: str
    host: Host
    port: int


def parse_host(text: str) -> Host:
    """A name, or an address with or without the brackets of IPv6. Raises ValueError."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
        if ":" not in text:
            raise ValueError("only an IPv6 address has brackets")
    if ":" in text:
        return _address(text.replace("%25", "%", 1))  # the "%" of a zone in a URL (RFC 6874)
    name = text.lower().removesuffix(".")
    # What ends in a number is an address or nothing: no client may take it for the one and we for the other.
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _address(name)
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise ValueError("that is no host name")
    return Host(name)


def _address(text: str) -> Host:
    try:
        address = parse_address(text)
    except AddressError:
        raise ValueError("that is no IP address") from None
    host, _, zone = str(address).partition("%")
    return Host(host, is_address=True, zone=zone)


@lru_cache(256)  # clients send the same few with every request
def parse_authority(text: str) -> Authority:
    """The value of a Host header (RFC 9110, section 7.2). Raises ValueError."""
    found = _AUTHORITY.fullmatch(text)
    if not found:
        raise ValueError("that is no host with a port")
    port = int(found[2]) if found[2] else None
    if port is not None and not 0 < port < 65536:
        raise ValueError("there is no such port")
    return Authority(parse_host(found[1]), port)


@lru_cache(256)
def parse_origin(text: str) -> Origin:
    """The value of an Origin header. Raises ValueError, also for "null" and for what no page of a web server has."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in DEFAULT_PORTS:
        raise ValueError("that is no web page's origin")
    return origin_of(scheme, parse_authority(rest))


def origin_of(scheme: str, authority: Authority) -> Origin:
    """The origin of pages that are served at `authority`; `scheme` is http or https."""
    return Origin(scheme, authority.host, authority.port or DEFAULT_PORTS[scheme])
