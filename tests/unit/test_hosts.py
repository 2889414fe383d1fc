"""A host has one canonical form, however it is spelled, and what is no host is refused."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lan_session_manager.hosts import Authority, Host, Origin, parse_authority, parse_host, parse_origin

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-"
_LABELS = st.text(_LETTERS, min_size=1, max_size=63).filter(lambda label: label.strip("-") == label)
_NAMES = (
    st.lists(_LABELS, min_size=1, max_size=4)
    .map(".".join)
    .filter(lambda name: len(name) <= 253 and not name.rpartition(".")[2].removeprefix("0x").isdigit())
    .filter(lambda name: not name.rpartition(".")[2].startswith("0x"))
)
_PORTS = st.integers(1, 65535)


@given(address=st.ip_addresses(v=4), port=st.none() | _PORTS)
def test_an_ipv4_address_is_known_by_its_four_numbers(address: IPv4Address, port: int | None) -> None:
    suffix = "" if port is None else f":{port}"
    assert parse_authority(f"{address}{suffix}") == Authority(Host(str(address), is_address=True), port)


@given(number=st.integers(0, 2**128 - 1), port=_PORTS)
def test_every_spelling_of_an_ipv6_address_is_one_host(number: int, port: int) -> None:
    address = IPv6Address(number)
    assume(address.ipv4_mapped is None)
    wanted = Authority(Host(address.compressed, is_address=True), port)
    for spelled in (address.compressed, address.exploded, address.exploded.upper()):
        assert parse_authority(f"[{spelled}]:{port}") == wanted


@given(address=st.ip_addresses(v=4))
def test_a_mapped_ipv4_address_is_the_ipv4_address(address: IPv4Address) -> None:
    assert parse_authority(f"[::ffff:{address}]").host == Host(str(address), is_address=True)


@pytest.mark.parametrize("text", ["[fe80::1%eth0]:5000", "[fe80::1%25eth0]:5000", "[FE80::1%25eth0]:5000"])
def test_a_zone_is_told_from_the_address(text: str) -> None:
    assert parse_authority(text) == Authority(Host("fe80::1", is_address=True, zone="eth0"), 5000)


@given(name=_NAMES, port=st.none() | _PORTS, upper=st.booleans(), dot=st.booleans())
def test_a_name_is_its_lower_case_without_the_dot(name: str, port: int | None, upper: bool, dot: bool) -> None:
    spelled = (name.upper() if upper else name) + ("." if dot else "") + ("" if port is None else f":{port}")
    assert parse_authority(spelled) == Authority(Host(name), port)


@given(text=st.text() | st.text(_LETTERS + ".:[]%@/A "))
@example("[")
@example("]:1")
@example("[::1")
@example("%25")
@example("[%25%25]")
@example("1" * 5000)
@example("[" + "1" * 5000 + "]")
def test_whatever_is_said_is_a_canonical_host_or_refused(text: str) -> None:
    try:
        found = parse_authority(text)
    except ValueError:
        return
    host = found.host
    assert host.text.isascii()
    assert not set(host.text) & set(' \t\r\n\0@/\\?#%,;"<>')
    again = f"[{host.text}]" if ":" in host.text else host.text
    assert parse_authority(again).host == Host(host.text, host.is_address)
    if host.is_address:
        assert str(ip_address(host.text)) == host.text


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ":", ":5000", "a b", "a,b", "a:b", "a:0", "a:65536", "a:99999", "a:-1", "a:+1", "a:1:2", "a:５",
        "user@host", "http://host", "host/path", "host?query", "host#part", "-a", "a-", "a..b", ".a", "a" * 64,
        ".".join(["a" * 50] * 6), "ü.example", "a\x00", "a\r\nb", "::1", "fe80::1", "[::1", "::1]", "[]", "[a]",
        "[1.2.3.4]",
        "[::1%]", "[::1]x", "[::1]:x", "[[::1]]", "1.2.3", "1.2.3.4.5", "256.1.1.1", "127.1", "2130706433",
        "0x7f000001",
        "0x7f.1", "127.0.0.01", "0177.0.0.1", "name.1", "name.0x", "1.2.3.4%eth0", "127.0.0.1:5000,evil.example",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which sentence it is nobody reads
        parse_authority(text)


@pytest.mark.parametrize("text", ["10.0.0.7", "fe80::1", "[fe80::1]", "lab.example", "LAB"])
def test_the_owner_may_write_an_ipv6_address_without_brackets(text: str) -> None:
    assert parse_host(text).text == text.lower().strip("[]")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://lab:5000", Origin("http", Host("lab"), 5000)),
        ("http://lab", Origin("http", Host("lab"), 80)),
        ("https://lab", Origin("https", Host("lab"), 443)),
        ("http://[::1]:5000", Origin("http", Host("::1", is_address=True), 5000)),
    ],
)
def test_an_origin_is_scheme_host_and_port(text: str, origin: Origin) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    ["null", "", "lab:5000", "ws://lab", "file://", "HTTP://lab", "http:/lab", "http://", "http://lab/", "http://a@lab",
     "chrome-extension://abc", "http://lab http://evil", "http://lab, http://evil"],
)  # fmt: skip
def test_what_no_page_of_a_web_server_has_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - which sentence it is nobody reads
        parse_origin(text)


def test_only_a_literal_address_is_loopback() -> None:
    assert parse_host("127.9.9.9").is_loopback
    assert parse_host("::1").is_loopback
    assert not parse_host("localhost").is_loopback
    assert not parse_host("127.0.0.1.example").is_loopback
