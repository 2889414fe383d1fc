"""A batch is accepted in an order in which each task comes after those that it waits for, or not at all."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.batches import BatchItem, ordered
from lan_session_manager.errors import InvalidInputError
from lan_session_manager.requests import Request


def _batch(waits_for: list[list[int]]) -> list[BatchItem]:
    return [
        BatchItem(Request("x", depends_on=tuple(f"t{other}" for other in others)), ref=f"t{place}")
        for place, others in enumerate(waits_for)
    ]


_ANY = st.integers(1, 12).flatmap(
    lambda count: st.lists(st.lists(st.integers(0, count - 1), max_size=3), min_size=count, max_size=count)
)


@given(_ANY)
def test_each_comes_after_what_it_waits_for_or_a_real_cycle_is_named(waits_for: list[list[int]]) -> None:
    try:
        order = ordered(_batch(waits_for))
    except InvalidInputError as error:
        names = [int(name) for name in re.findall(r"t(\d+)", error.message)]
        assert names[0] == names[-1]
        assert all(after in waits_for[before] for before, after in pairwise(names))
    else:
        assert sorted(order) == list(range(len(waits_for)))
        assert all(
            order.index(other) < order.index(place) for place, others in enumerate(waits_for) for other in others
        )


def test_tasks_that_wait_for_nothing_come_in_their_order() -> None:
    assert ordered(_batch([[], [], []])) == [0, 1, 2]


def test_a_chain_of_a_thousand_given_from_its_end_is_no_trouble() -> None:
    chain = [[place + 1] for place in range(999)] + [[]]
    assert ordered(_batch(chain)) == list(reversed(range(1000)))


def test_a_task_that_waits_for_itself_is_a_cycle() -> None:
    with pytest.raises(InvalidInputError, match="t0 → t0"):
        ordered(_batch([[0]]))


@pytest.mark.parametrize(
    "items", [[], [BatchItem(Request("x"), "a"), BatchItem(Request("x"), "a")], [BatchItem(Request("x"), "")]]
)
def test_an_empty_batch_and_a_ref_that_is_empty_or_given_twice_are_refused(items: list[BatchItem]) -> None:
    with pytest.raises(InvalidInputError):
        ordered(items)
