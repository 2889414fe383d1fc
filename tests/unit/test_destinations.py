"""Hosts have one spelling, rules open what they say, and the addresses that are near stay closed in every one."""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.destinations import (
    DestinationError,
    Profile,
    address_in,
    is_closed,
    parse_authority,
    parse_host,
    parse_rule,
)

_NEAR = (
    *("127.0.0.1", "127.255.255.255", "0.0.0.0", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1"),
    *("169.254.169.254", "100.64.0.1", "100.127.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", "198.51.100.1"),
    *("203.0.113.1", "192.88.99.1"),
    *("::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "2001::1", "2002::1"),
    *("::ffff:8.8.8.8", "::8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::808:808", "2001:0:808:808::1", "2002:808:808::1"),
    *("100::1", "3fff::1", "5f00::1", "4000::1"),
)
_FAR = ("1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "11.0.0.1", "193.0.0.1", "2606:4700::1111", "2a00:1450::1")


@pytest.mark.parametrize("text", _NEAR)
def test_what_is_near_is_closed(text: str) -> None:
    assert is_closed(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", _FAR)
def test_what_is_far_is_not(text: str) -> None:
    assert not is_closed(ipaddress.ip_address(text))


@given(st.ip_addresses())
def test_what_the_library_calls_private_is_closed(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    kinds = (address.is_private, address.is_loopback, address.is_link_local, address.is_multicast)
    if any(kinds) or address.is_reserved or address.is_unspecified:
        assert is_closed(address)


@given(st.ip_addresses(v=4))
def test_an_address_that_only_spells_another_is_closed(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    mapped, sixtofour, nat64 = (0xFFFF << 32) | number, (0x2002 << 112) | (number << 80), (0x64FF9B << 96) | number
    teredo = (0x20010000 << 96) | (number ^ 0xFFFFFFFF)
    assert all(is_closed(ipaddress.IPv6Address(one)) for one in (mapped, sixtofour, nat64, teredo, number))


@given(st.ip_addresses(v=4), st.sampled_from(["{0}", "{0:#x}", "0{0:o}", "{1}.{2}", "{3}.{4:#x}.0{5:o}.{6}"]))
def test_every_spelling_of_an_ipv4_address_is_that_address(address: ipaddress.IPv4Address, way: str) -> None:
    number = int(address)
    text = way.format(number, number >> 24, number & 0xFFFFFF, *address.packed)
    assert parse_host(text) == parse_host(text + ".") == str(address)


@given(st.text(max_size=300))
def test_a_host_is_in_its_one_spelling_or_refused(text: str) -> None:
    try:
        host = parse_host(text)
    except DestinationError:
        return
    assert host == (f"{address_in(host)}" if address_in(host) else host.lower())
    assert host.isascii()
    assert parse_host(f"[{host}]" if ":" in host else host) == host


@given(st.text(alphabet="0123456789abcdefx.", max_size=20))
def test_what_the_resolver_takes_for_an_address_is_never_taken_for_a_name(text: str) -> None:
    try:
        address = ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, UnicodeError):
        return
    assert parse_host(text) == str(address)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Lib.Test", "lib.test"),
        ("lib.test.", "lib.test"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("１２７.0.0.1", "127.0.0.1"),
        ("[2606:4700:0::1]", "2606:4700::1"),
        ("a_b.example", "a_b.example"),
    ],
)
def test_hosts_in_their_spelling(text: str, host: str) -> None:
    assert parse_host(text) == host


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a..b",
        "-a",
        "a b",
        "a/b",
        "a@b",
        "a%00b",
        "[::1%eth0]",
        "[127.0.0.1]",
        "::1",
        "*",
        "256.1.1.1.1",
        "a" * 64,
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(DestinationError):
        parse_host(text)


@pytest.mark.parametrize("text", ["a", "a:", "a:0", "a:65536", "a:+1", "a:080x", "a:1:2", "u@a:1", "[::1:80", "a:٣"])
def test_what_is_no_host_and_port_is_refused(text: str) -> None:
    with pytest.raises(DestinationError):
        parse_authority(text)


def _profile(*rules: str) -> Profile:
    return Profile("some", tuple(parse_rule(rule) for rule in rules))


@pytest.mark.parametrize(
    ("rule", "opened", "not_opened"),
    [
        ("lib.test:443", ["lib.test:443", "LIB.TEST.:443"], ["lib.test:80", "a.lib.test:443", "lib.test.evil:443"]),
        (
            "*.lib.test:443",
            ["a.lib.test:443", "a.b.lib.test:443"],
            ["lib.test:443", "alib.test:443", "a.lib.test:80", "1.1.1.1:443"],
        ),
        ("*:443", ["a:443", "1.1.1.1:443", "[2606::1]:443"], ["a:80"]),
        ("1.1.1.1:53", ["1.1.1.1:53", "0x01010101:53"], ["1.1.1.2:53", "one.one.one.one:53"]),
        ("[2606:0::1]:1", ["[2606::1]:1"], ["[2606::2]:1"]),
    ],
)
def test_a_rule_opens_what_it_says(rule: str, opened: list[str], not_opened: list[str]) -> None:
    profile = _profile(rule)
    assert [text for text in (*opened, *not_opened) if profile.allows(*parse_authority(text))] == opened


def test_a_profile_without_rules_opens_nothing() -> None:
    assert not _profile().allows("lib.test", 443)


@pytest.mark.parametrize(
    "text", ["", "*", "*:", "a", "a:b", "*a:1", "**:1", "*.:1", "*.*.a:1", "a.*:1", "*.1.1.1.1:1", "http://a:1", "a:1/"]
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(DestinationError):
        parse_rule(text)


@pytest.mark.parametrize("text", ["127.0.0.1:80", "192.168.1.5:80", "[::1]:80", "0x7f.1:80", "[fd00::1]:443"])
def test_a_rule_for_an_address_that_stays_closed_is_refused_rather_than_without_effect(text: str) -> None:
    with pytest.raises(DestinationError, match="never reach"):
        parse_rule(text)
