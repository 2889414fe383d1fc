"""IP addresses as names: one canonical form for each, and one name that no other address has.

>>> parse_address("::ffff:192.168.1.100").name
'192_168_1_100'
>>> parse_address("2001:DB8::1").name
'v6_2001_db8__1'
"""

import ipaddress
import re
from dataclasses import dataclass

from lan_session_manager.errors import AddressError

_LONGEST = 64  # an IPv6 address (45 characters) with the longest zone that Linux has (15), and room
_ZONE = re.compile(
    r"[!-$&-.0-~]{1,15}"
)  # what Linux takes as an interface name: printable, no "/", no white space; no "%"


@dataclass(frozen=True, order=True)
class Address:
    """A peer's address in its canonical form; `str()` gives that form."""

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def name(self) -> str:
        """The workspace's name, unique to the address: a single path component of [A-Za-z0-9_~].

        IPv4 is its four numbers; IPv6 starts with `v6_`, its colons become underscores; a zone follows `_zone_`, with
        every other character than a letter or a digit as `~` and two hex digits. Hex digits never spell "zone".
        """
        if "." in self.text and ":" not in self.text:
            return self.text.replace(".", "_")
        host, _, zone = self.text.partition("%")
        name = "v6_" + host.replace(":", "_")
        if zone:
            name += "_zone_" + re.sub(r"[^A-Za-z0-9]", lambda m: f"~{ord(m[0]):02x}", zone)
        return name

    @property
    def is_loopback(self) -> bool:
        """Whether this is the machine itself."""
        return ipaddress.ip_address(self.text.partition("%")[0]).is_loopback

    @property
    def is_link_local(self) -> bool:
        """Whether this is an address of one link only, which a host has beside its other ones."""
        return ipaddress.ip_address(self.text.partition("%")[0]).is_link_local


def parse_address(text: str) -> Address:
    """The address that `text` spells, canonical: an IPv4-mapped IPv6 address is its IPv4, a zone id is kept.

    Raises AddressError for everything else, whatever it holds.
    """
    if not isinstance(text, str) or len(text) > _LONGEST or not text.isascii():
        raise AddressError
    host, percent, zone = text.partition("%")
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        raise AddressError from None
    if percent and (parsed.version == 4 or not _ZONE.fullmatch(zone)):
        raise AddressError
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            if percent:
                raise AddressError
            return Address(str(parsed.ipv4_mapped))
        return Address(f"{parsed.compressed}{percent}{zone}")
    return Address(str(parsed))
