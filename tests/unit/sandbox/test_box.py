"""Every session has host user ids of its own, and names on the host say nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.sandbox.box import (
    FIRST_HOST_UID,
    RANGE_SIZE,
    _mapped_end,
    group_id,
    last_slot,
    opaque_id,
    user_range,
)

SLOTS = st.integers(0, last_slot())


@given(SLOTS, SLOTS)
def test_two_slots_share_no_user(first: int, second: int) -> None:
    assert (abs(user_range(first) - user_range(second)) >= RANGE_SIZE) == (first != second)


@given(SLOTS)
def test_no_slot_has_a_user_of_the_host_or_one_beyond_32_bits(slot: int) -> None:
    assert FIRST_HOST_UID <= user_range(slot) < user_range(slot) + RANGE_SIZE <= 2**32 - 1


@pytest.mark.parametrize("slot", [-1, last_slot() + 1, 2**32, -(2**64)])
def test_a_slot_without_users_is_refused(slot: int) -> None:
    with pytest.raises(ValueError, match="has user ids for"):
        user_range(slot)


def test_the_last_slot_is_the_last_that_fits() -> None:
    assert user_range(last_slot()) + 2 * RANGE_SIZE > 2**32 - 1


@pytest.mark.parametrize(
    ("text", "sessions"),
    [
        ("0 997 1\n1000000 2000000 655360\n", 10),
        ("0 997 1\n1000000 2000000 65536\n1065536 5000000 65536\n", 2),
        ("0 997 1\n1065536 5000000 65536\n1000000 2000000 65536\n", 2),
        ("0 997 1\n1000000 2000000 65535\n", 0),
        ("0 997 1\n1000001 2000000 655360\n", 0),
        ("0 100000 65536\n", 0),
        ("0 0 4294967295\n", 65520),
    ],
)
def test_there_are_as_many_slots_as_user_ids_in_a_row(text: str, sessions: int) -> None:
    assert (_mapped_end(text) - FIRST_HOST_UID) // RANGE_SIZE == sessions


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_on_the_host_are_hex_digits_and_differ(first: str, second: str) -> None:
    for name in (opaque_id, group_id):
        assert set(name(first).removeprefix("s")) <= set("0123456789abcdef")
        assert (name(first) == name(second)) == (first == second)
