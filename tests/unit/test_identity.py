"""The peer is who is at the other end of the socket, whatever the headers say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.errors import AddressError, ForwardedError
from lan_session_manager.identity import Tokens, identify, parse_proxies

TOKENS = Tokens(admin="admin-secret", worker="worker-secret")
NOBODY = parse_proxies(())
PROXIES = parse_proxies(("10.0.0.1", "10.0.0.2", "::1"))


@given(st.text(max_size=60))
def test_a_forwarding_header_of_a_stranger_is_ignored(header: str) -> None:
    for name in ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip"):
        assert str(identify("192.168.1.7", {name: header}, PROXIES, TOKENS).address) == "192.168.1.7"


def test_a_proxy_is_believed_as_far_as_the_right_most_hop_that_is_none() -> None:
    headers = {"x-forwarded-for": "1.1.1.1, 192.168.1.9, 10.0.0.2"}
    assert str(identify("10.0.0.1", headers, PROXIES, TOKENS).address) == "192.168.1.9"


def test_what_the_peer_wrote_into_the_header_is_not_believed() -> None:
    assert str(identify("10.0.0.1", {"x-forwarded-for": "127.0.0.1, 192.168.1.9"}, PROXIES, TOKENS).address) == (
        "192.168.1.9"
    )


@pytest.mark.parametrize("header", ["", "unknown", "1.1.1.1, nonsense", "1.1.1.1:80", ",", "1.1.1.1," * 40])
def test_a_malformed_header_of_a_proxy_is_refused(header: str) -> None:
    with pytest.raises(ForwardedError):
        identify("10.0.0.1", {"x-forwarded-for": header}, PROXIES, TOKENS)


def test_a_mapped_address_is_its_ipv4_address() -> None:
    assert (
        identify("::ffff:192.168.1.7", {}, NOBODY, TOKENS).address
        == identify("192.168.1.7", {}, NOBODY, TOKENS).address
    )


def test_a_socket_without_an_address_is_nobody() -> None:
    with pytest.raises(AddressError):
        identify("", {}, NOBODY, TOKENS)


@pytest.mark.parametrize(
    ("authorization", "admin", "worker"),
    [
        ("Bearer admin-secret", True, True),
        ("bearer  admin-secret ", True, True),
        ("Bearer worker-secret", False, True),
        ("Bearer ", False, False),
        ("Bearer admin-secre", False, False),
        ("Basic admin-secret", False, False),
        ("Bearer \u0661", False, False),
        ("", False, False),
    ],
)
def test_a_token_says_what_its_bearer_may_do(authorization: str, admin: bool, worker: bool) -> None:
    caller = identify("127.0.0.1", {"authorization": authorization}, NOBODY, TOKENS)
    assert (caller.is_admin, caller.is_worker) == (admin, worker)


def test_no_address_is_the_owner_not_even_loopback() -> None:
    assert not identify("127.0.0.1", {}, NOBODY, TOKENS).is_admin


def test_an_unset_token_lets_nobody_in() -> None:
    caller = identify("127.0.0.1", {"authorization": "Bearer "}, NOBODY, Tokens(admin="", worker=""))
    assert not caller.is_worker
