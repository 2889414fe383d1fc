"""The peer is who is at the other end of the socket, whatever the headers say."""

import pytest

from lan_session_manager.errors import AddressError
from lan_session_manager.identity import Tokens, identify, parse_proxies

TOKENS = Tokens(admin="admin-secret", worker="worker-secret")
NOBODY = parse_proxies(())
PROXIES = parse_proxies(("10.0.0.1", "10.0.0.2", "::1"))


def test_a_proxy_is_believed_and_a_stranger_is_not() -> None:
    headers = [(b"x-forwarded-for", b"1.1.1.1, 192.168.1.9, 10.0.0.2")]
    assert str(identify("10.0.0.1", headers, PROXIES, TOKENS).address) == "192.168.1.9"
    assert str(identify("192.168.1.7", headers, PROXIES, TOKENS).address) == "192.168.1.7"


def test_a_mapped_address_is_its_ipv4_address() -> None:
    mapped, plain = (identify(text, [], NOBODY, TOKENS) for text in ("::ffff:192.168.1.7", "192.168.1.7"))
    assert mapped.address == plain.address


def test_a_socket_without_an_address_is_nobody() -> None:
    with pytest.raises(AddressError):
        identify("", [], NOBODY, TOKENS)


@pytest.mark.parametrize(
    ("authorization", "admin", "worker"),
    [
        ("Bearer admin-secret", True, True),
        ("bearer  admin-secret ", True, True),
        ("Bearer worker-secret", False, True),
        ("Bearer ", False, False),
        ("Bearer admin-secre", False, False),
        ("Basic admin-secret", False, False),
        ("Bearer \xb2", False, False),
        ("", False, False),
    ],
)
def test_a_token_says_what_its_bearer_may_do(authorization: str, admin: bool, worker: bool) -> None:
    caller = identify("127.0.0.1", [(b"authorization", authorization.encode("latin-1"))], NOBODY, TOKENS)
    assert (caller.is_admin, caller.is_worker) == (admin, worker)


def test_no_address_is_the_owner_not_even_loopback() -> None:
    assert not identify("127.0.0.1", [], NOBODY, TOKENS).is_admin


def test_an_unset_token_lets_nobody_in() -> None:
    caller = identify("127.0.0.1", [(b"authorization", b"Bearer ")], NOBODY, Tokens(admin="", worker=""))
    assert not caller.is_worker
