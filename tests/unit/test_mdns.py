"""A `.local` name is shown only where an answer for it names this machine."""

import asyncio
import os
import resource
import struct
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager import mdns
from lan_session_manager.mdns import is_found, names, query

_OURS = ("192.168.77.1", "10.0.0.5")


def _answer(number: int, address: bytes, *, flags: int = 0x8400, count: int = 1) -> bytes:
    head = struct.pack("!6H", number, flags, 1, count, 0, 0)
    name = b"\6lab-pc\5local\0"
    return head + name + struct.pack("!HH", 1, 1) + b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 120, 4) + address


def test_a_question_is_of_one_name_and_for_an_address() -> None:
    assert query("lab-pc.local", 7) == (b"\0\7\0\0\0\1\0\0\0\0\0\0" + b"\6lab-pc\5local\0" + b"\0\1\0\1")


@pytest.mark.parametrize("name", ["", "a..local", "x" * 64 + ".local"])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with pytest.raises((ValueError, UnicodeError)):
        query(name, 1)


def test_an_answer_with_an_own_address_counts() -> None:
    assert names(_answer(7, bytes([10, 0, 0, 5])), 7, _OURS)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        _answer(8, bytes([10, 0, 0, 5])),  # to another question
        _answer(7, bytes([10, 0, 0, 6])),  # another machine
        _answer(7, bytes([10, 0, 0, 5]), flags=0),  # a question
        _answer(7, bytes([10, 0, 0, 5]), count=0),
        _answer(7, bytes([10, 0, 0, 5]))[:11],
    ],
)
def test_another_answer_does_not(answer: bytes) -> None:
    assert not names(answer, 7, _OURS)


@given(st.binary(max_size=200))
def test_whatever_comes_is_read(answer: bytes) -> None:
    names(answer, 7, _OURS)


def test_a_server_with_many_connections_asks_as_well() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        with ExitStack() as stack:
            while stack.enter_context(open(os.devnull)).fileno() < 1100:
                pass
            assert not is_found("nobody-has-this-name.local", ["127.0.0.1"])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_cannot_be_asked_is_not_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def fails() -> str:
        nonlocal asked
        asked += 1
        raise OSError("no descriptor is left")

    monkeypatch.setattr(mdns, "_own_name", fails)

    async def twice() -> list[str]:
        name = mdns.LocalName()
        return [await name.find(), await name.find()]

    assert asyncio.run(twice()) == ["", ""]
    assert asked == 1
