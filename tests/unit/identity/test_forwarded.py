"""A forwarding header counts when a trusted proxy wrote it, and of a list only what that proxy wrote."""

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.errors import AddressError, ForwardedError
from lan_session_manager.identity.forwarded import UnknownProxies, is_forwarded, peer_of

PROXY = "10.0.0.1"
PROXIES = frozenset(map(parse_address, (PROXY, "10.0.0.2", "::1")))
LISTS = (b"x-forwarded-for", b"forwarded")
SINGLE = (b"x-real-ip", b"cf-connecting-ip", b"true-client-ip")
NAMES = LISTS + SINGLE

# What a client can put into a header's value: everything but line ends. Much of it is made of what parsers look at.
ODD = st.text(st.sampled_from('",;=\\[]:_ \tforunkw0123456789abc.\x80\xff'), max_size=60)
CLAIMS = st.one_of(
    ODD,
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60),
    st.sampled_from((PROXY, "9.9.9.9", "for=9.9.9.9", 'for="[2001:db8::9]"', 'for=9.9.9.9;by="', "for=" + PROXY)),
)
ADDRESSES = st.ip_addresses().map(str).map(parse_address).filter(lambda address: address not in PROXIES)


def seen(peer: str, *headers: tuple[bytes, str]) -> str:
    return str(peer_of(peer, [(name, value.encode("latin-1")) for name, value in headers], PROXIES))


def element(address: Address, port: int | None = None) -> str:
    """What a proxy appends to Forwarded."""
    behind = "" if port is None else f":{port}"
    return f'for="[{address}]{behind}"' if ":" in str(address) else f'for="{address}{behind}"'


@given(st.lists(st.tuples(st.sampled_from(NAMES), CLAIMS), max_size=5), ADDRESSES)
def test_no_header_of_a_stranger_changes_who_it_is_or_is_an_error(
    headers: list[tuple[bytes, str]], stranger: Address
) -> None:
    assert seen(str(stranger), *headers) == str(stranger)


@given(CLAIMS, ADDRESSES, st.booleans())
def test_what_a_client_claims_before_it_reaches_the_proxy_never_chooses_its_address(
    claim: str, client: Address, is_a_line_of_its_own: bool
) -> None:
    for name, appended in ((b"x-forwarded-for", str(client)), (b"forwarded", element(client) + ";proto=http")):
        lines = [(name, claim), (name, appended)] if is_a_line_of_its_own else [(name, f"{claim}, {appended}")]
        assert seen(PROXY, *lines) == str(client)


@given(st.lists(st.tuples(st.sampled_from(NAMES), CLAIMS), max_size=4), ADDRESSES, st.sampled_from(LISTS))
def test_claims_in_every_header_at_once_give_the_client_itself_or_an_error(
    claims: list[tuple[bytes, str]], client: Address, name: bytes
) -> None:
    appended = str(client) if name == b"x-forwarded-for" else element(client, 4711)
    try:
        assert seen(PROXY, *claims, (name, appended)) == str(client)
    except ForwardedError:
        assert any(other != name for other, _ in claims)  # else nothing was wrong


@given(ADDRESSES, st.lists(st.sampled_from(("10.0.0.2", "::1")), max_size=4))
def test_proxies_in_a_row_are_passed_to_the_first_that_is_none(client: Address, row: Sequence[str]) -> None:
    plain = ", ".join(("9.9.9.9", str(client), *row))
    full = ", ".join(("for=9.9.9.9", element(client), *(element(parse_address(each), 80) for each in row)))
    assert seen(PROXY, (b"x-forwarded-for", plain)) == str(client)
    assert seen(PROXY, (b"forwarded", full)) == str(client)
    assert seen(PROXY, (b"x-forwarded-for", plain), (b"forwarded", full), (b"x-real-ip", str(client))) == str(client)


@given(ADDRESSES)
def test_each_header_of_a_proxy_is_believed(client: Address) -> None:
    for name in SINGLE:
        assert seen(PROXY, (name, str(client))) == str(client)


@given(ADDRESSES, ADDRESSES, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_two_headers_that_contradict_each_other_are_refused(
    one: Address, other: Address, first: bytes, second: bytes
) -> None:
    assume(one != other and first != second)
    headers = [
        (name, element(address) if name == b"forwarded" else str(address))
        for name, address in ((first, one), (second, other))
    ]
    with pytest.raises(ForwardedError):
        seen(PROXY, *headers)


@pytest.mark.parametrize("client", ["192.168.1.7", "2001:db8::7"])
def test_a_header_that_names_only_another_proxy_of_ours_contradicts_nothing(client: str) -> None:
    assert seen(PROXY, (b"x-forwarded-for", f"{client}, 10.0.0.2"), (b"x-real-ip", "10.0.0.2")) == client


def test_a_proxy_that_names_nobody_is_the_peer_itself() -> None:
    assert seen(PROXY, (b"via", "1.1 proxy")) == PROXY


def test_when_all_hops_are_proxies_the_farthest_is_the_peer() -> None:
    assert seen(PROXY, (b"x-forwarded-for", "::1, 10.0.0.2")) == "::1"


@pytest.mark.parametrize(
    "text", ["", " ", ",", "unknown", "1.1.1.1, nonsense", "1.1.1.1:80", "[2001:db8::7]", "1.1.1.1,", "localhost"]
)
def test_a_malformed_list_or_address_of_a_proxy_is_refused(text: str) -> None:
    for name in (b"x-forwarded-for", *SINGLE):
        with pytest.raises(ForwardedError):
            seen(PROXY, (name, text))


@pytest.mark.parametrize(
    "text",
    [
        "", ",", "for=", 'for=""', "for", "for=unknown", "for=_hidden", 'for="_hidden:80"', "proto=https",
        "for=192.168.1.7:80", "for=[2001:db8::7]", "for=2001:db8::7", 'for="2001:db8::7"', 'for="[2001:db8::7"',
        'for="[192.168.1.7]"', 'for="192.168.1.7', "for='192.168.1.7'", 'for="192.168.1.7"x', 'for="192.168.1.7:"',
        'for="192.168.1.7:123456"', 'for="192\\.168.1.7"', "for=192.168.1.7;for=192.168.1.8",
        "for=192.168.1.7;FOR=192.168.1.7", "for=192.168.1.7 proto=http", "for =192.168.1.7", "for= 192.168.1.7",
        'for=192.168.1.7;by="a,b"', 'for=192.168.1.7;by="a;b"', "for=192.168.1.7,", 'for="[fe80::1%eth0]"',
        'for="192.168.1.7\x00"', "for=999.1.1.1", "192.168.1.7",
    ],
)  # fmt: skip
def test_a_malformed_forwarded_header_of_a_proxy_is_refused(text: str) -> None:
    with pytest.raises(ForwardedError):
        seen(PROXY, (b"forwarded", text))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("for=192.168.1.7", "192.168.1.7"),
        ("FOR=192.168.1.7;Proto=https", "192.168.1.7"),
        ('by=203.0.113.43; for="192.168.1.7:4711" ;host="a:80";', "192.168.1.7"),
        ('For="[2001:DB8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ('for="[2001:db8::7]:_port"', "2001:db8::7"),
        ('for="[::ffff:192.168.1.7]"', "192.168.1.7"),
        ('for=_hidden, for="192.168.1.7"', "192.168.1.7"),
        ('for="a, for=192.168.1.7;by="";host=x', "192.168.1.7"),
    ],
)
def test_forwarded_is_read_in_every_spelling_that_names_an_address(text: str, address: str) -> None:
    assert seen(PROXY, (b"forwarded", text)) == address


@pytest.mark.parametrize("name", SINGLE)
def test_a_header_of_one_address_that_is_sent_twice_is_refused(name: bytes) -> None:
    with pytest.raises(ForwardedError):
        seen(PROXY, (name, "192.168.1.7"), (name, "192.168.1.7"))


def test_a_row_of_proxies_without_end_is_refused() -> None:
    assert seen(PROXY, (b"x-forwarded-for", ",".join(["9.9.9.9"] * 5000))) == "9.9.9.9"
    with pytest.raises(ForwardedError):
        seen(PROXY, (b"x-forwarded-for", ",".join([PROXY] * 33)))


def test_a_mapped_address_of_a_proxy_is_the_proxy() -> None:
    assert seen("::ffff:10.0.0.1", (b"x-forwarded-for", "::ffff:192.168.1.7")) == "192.168.1.7"


def test_a_socket_without_an_address_is_nobody() -> None:
    with pytest.raises(AddressError):
        seen("", (b"x-forwarded-for", "192.168.1.7"))


def test_a_proxy_that_is_not_configured_is_news_once_a_day() -> None:
    now = [0.0]
    unknown = UnknownProxies(lambda: now[0])
    one, other = parse_address("192.168.1.7"), parse_address("192.168.1.8")
    assert [unknown.is_news(each) for each in (one, one, other, other)] == [True, False, True, False]
    now[0] = 86_400.0
    assert [unknown.is_news(each) for each in (one, one)] == [True, False]


def test_a_client_of_many_addresses_is_not_news_for_ever() -> None:
    unknown = UnknownProxies(lambda: 0.0)
    network = ipaddress.ip_network("2001:db8::/112")
    news = [unknown.is_news(parse_address(str(network[number]))) for number in range(1000)]
    assert sum(news) == 32


@pytest.mark.parametrize("name", NAMES)
def test_what_proxies_send_is_known(name: bytes) -> None:
    assert is_forwarded([(b"host", b"a"), (name, b"")])
    assert not is_forwarded([(b"host", b"a"), (b"x-forwarded-proto", b"https")])
