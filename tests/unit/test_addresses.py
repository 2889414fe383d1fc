"""Two addresses never share a name, and what is no address has none."""

import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.addresses import parse_address
from lan_session_manager.errors import AddressError

zones = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:@~-]{0,14}", fullmatch=True)
link_locals = st.integers(0, 2**64 - 1).map(lambda low: ipaddress.IPv6Address((0xFE80 << 112) | low))
addresses = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str),
    st.tuples(link_locals, zones).map(lambda pair: f"{pair[0]}%{pair[1]}"),
)


@given(addresses, addresses)
def test_two_addresses_share_a_name_only_if_they_are_one(one: str, other: str) -> None:
    first, second = parse_address(one), parse_address(other)
    assert (first.name == second.name) == (first == second)


@given(addresses)
def test_a_name_is_one_plain_path_component(text: str) -> None:
    name = parse_address(text).name
    assert re.fullmatch(r"[A-Za-z0-9_~]{1,200}", name)
    assert name != "shared"


@given(addresses)
def test_the_canonical_form_is_its_own_canonical_form(text: str) -> None:
    address = parse_address(text)
    assert parse_address(str(address)) == address


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_an_ipv6_one_is_the_ipv4_address(ip: ipaddress.IPv4Address) -> None:
    assert parse_address(f"::ffff:{ip}") == parse_address(str(ip))


def test_names_are_those_that_clients_know() -> None:
    assert parse_address("192.168.1.100").name == "192_168_1_100"
    assert parse_address("2001:DB8:0::1").name == "v6_2001_db8__1"


def test_zones_are_kept_apart() -> None:
    names = {parse_address(text).name for text in ("fe80::1", "fe80::1%eth0", "fe80::1%eth1", "fe80::1%eth0.1")}
    assert len(names) == 4


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", "1.2.3.4/24", "1.2.3.4%eth0",
        "..", "../../etc", "fe80::1%", "fe80::1%a/b", "fe80::1%a b", "fe80::1%" + "e" * 16, "fe80::1%eth0%eth1",
        "::ffff:1.2.3.4%eth0", "1.2.3.4\x00", "1.2.3.4\n", "\u0661.2.3.4", "1" * 1_000_000, "[::1]", "::1]:5000",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert address.name
