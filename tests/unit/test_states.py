"""The tables of moves are the policy; the database knows the same names."""

import itertools

import pytest

from lan_session_manager.errors import IllegalMoveError
from lan_session_manager.states import (
    ENDED_TASK_STATES,
    SESSION_MOVES,
    TASK_MOVES,
    SessionState,
    TaskState,
    check_session_move,
    check_task_move,
)


@pytest.mark.parametrize(("actual", "wanted"), list(itertools.product(TaskState, TaskState)))
def test_a_task_moves_only_as_the_table_says(actual: TaskState, wanted: TaskState) -> None:
    if wanted in TASK_MOVES[actual]:
        check_task_move("t", actual, wanted)
        return
    with pytest.raises(IllegalMoveError) as caught:
        check_task_move("t", actual, wanted)
    assert f"it is {actual}" in caught.value.message
    sources = [state for state, to in TASK_MOVES.items() if wanted in to]
    assert all(str(source) in caught.value.message for source in sources)


@pytest.mark.parametrize(("actual", "wanted"), list(itertools.product(SessionState, SessionState)))
def test_a_session_moves_only_as_the_table_says(actual: SessionState, wanted: SessionState) -> None:
    if wanted in SESSION_MOVES[actual]:
        check_session_move("s", actual, wanted)
    else:
        with pytest.raises(IllegalMoveError, match=f"it is {actual}"):
            check_session_move("s", actual, wanted)


def test_a_task_has_one_end() -> None:
    for state in ENDED_TASK_STATES:
        assert not TASK_MOVES[state]
        assert state.ended
    assert not TaskState.QUEUED.ended
    assert not TaskState.RUNNING.ended


def test_a_session_that_is_over_stays_over_and_an_expired_one_comes_back() -> None:
    assert not SESSION_MOVES[SessionState.ENDED]
    assert SessionState.LIVE in SESSION_MOVES[SessionState.EXPIRED]


def test_every_state_can_be_reached_from_the_first() -> None:
    for first, moves in ((TaskState.QUEUED, TASK_MOVES), (SessionState.LIVE, SESSION_MOVES)):
        reached = {first}
        for _ in moves:
            reached |= {to for state in reached for to in moves[state]}  # type: ignore[index]
        assert reached == set(moves)
