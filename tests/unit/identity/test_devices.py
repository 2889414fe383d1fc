"""A device's secret comes from its header or its cookie, and from nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.errors import InvalidInputError
from lan_session_manager.identity.devices import checked_name, cookie, default_name, hash_of, new_token, sent_token
from lan_session_manager.store.records import DeviceKind

TOKEN, OTHER = 43 * "a", 43 * "b"


def test_tokens_are_random_and_their_hash_is_another_text() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(sent_token({"lsm-device": token}, is_tls=False) == token for token in tokens)
    assert all(len(hash_of(token)) == 64 and token not in hash_of(token) for token in tokens)


@pytest.mark.parametrize(
    ("headers", "is_tls", "token"),
    [
        ({}, False, None),
        ({"lsm-device": TOKEN}, False, TOKEN),
        ({"lsm-device": TOKEN, "cookie": f"lsm-device={OTHER}"}, False, TOKEN),
        ({"cookie": f"a=b; lsm-device={TOKEN}"}, False, TOKEN),
        ({"cookie": f"__Host-lsm-device={TOKEN}"}, True, TOKEN),
        # A page of another port may set the plain name, so it is not the proof where there is a better one.
        ({"cookie": f"lsm-device={TOKEN}"}, True, None),
        ({"cookie": f"__Host-lsm-device={TOKEN}"}, False, None),
        ({"cookie": f"lsm-device={TOKEN}; lsm-device={OTHER}"}, False, None),
        ({"cookie": f"lsm-device={TOKEN}; lsm-device={TOKEN}"}, False, TOKEN),
        ({"lsm-device": TOKEN + "a"}, False, None),
        ({"lsm-device": TOKEN[:-1] + "'"}, False, None),
        ({"authorization": f"Bearer {TOKEN}"}, False, None),
    ],
)
def test_which_token_is_sent(headers: dict[str, str], is_tls: bool, token: str | None) -> None:
    assert sent_token(headers, is_tls=is_tls) == token


@given(st.text(max_size=200))
def test_any_header_is_a_token_or_none(text: str) -> None:
    for name in ("cookie", "lsm-device"):
        token = sent_token({name: text}, is_tls=False)
        assert token is None or token in text


def test_the_cookie_is_for_nobody_else() -> None:
    plain, tls = cookie(TOKEN, is_tls=False), cookie(TOKEN, is_tls=True)
    for each in (plain, tls):
        assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=34560000"} <= set(each.split("; "))
    assert tls.startswith("__Host-")
    assert tls.endswith("Secure")
    assert "Max-Age=0" in cookie("", is_tls=False)


@pytest.mark.parametrize("name", ["", "   ", "a" * 41, "a\x00b", "\x1b[31m", "evil\u202egpj.exe", "\u200b"])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_name(name)


def test_a_name_is_kept_as_it_is_but_for_white_space() -> None:
    assert checked_name("  Anna's\n laptop <b> ") == "Anna's laptop <b>"


@given(st.text(max_size=300))
def test_the_first_name_of_a_device_is_a_name(user_agent: str) -> None:
    for kind in DeviceKind:
        assert checked_name(default_name(kind, user_agent)) == default_name(kind, user_agent)
