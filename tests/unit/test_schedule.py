"""Who is next: fewest running first, then the oldest; first in, first out within a session."""

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.schedule import Waiting, order, startable

queues = st.lists(st.sampled_from("abcd"), max_size=40).map(
    lambda sessions: [Waiting(seq, f"{session}{seq}", session) for seq, session in enumerate(sessions, 1)]
)
runs = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 6), max_size=4)


def _ids(waiting: list[Waiting], running: dict[str, int], own_limit: int = 5) -> list[str]:
    return [placed.task_id for placed in order(waiting, running, own_limit)]


def test_the_session_with_the_fewest_running_tasks_goes_first() -> None:
    waiting = [Waiting(1, "a1", "a"), Waiting(2, "b2", "b")]
    assert _ids(waiting, {"a": 1}) == ["b2", "a1"]


def test_among_equals_the_oldest_task_goes_first() -> None:
    waiting = [Waiting(2, "b2", "b"), Waiting(1, "a1", "a")]
    assert _ids(waiting, {}) == ["a1", "b2"]


def test_a_flood_does_not_hold_up_a_single_task() -> None:
    flood = [Waiting(seq, f"a{seq}", "a") for seq in range(1, 1001)]
    assert _ids([*flood, Waiting(1001, "b", "b")], {}).index("b") == 1


@given(queues, runs, st.integers(1, 5))
def test_every_task_has_one_place_and_the_places_have_no_gap(
    waiting: list[Waiting], running: dict[str, int], own_limit: int
) -> None:
    placed = order(waiting, running, own_limit)
    assert sorted(place.task_id for place in placed) == sorted(task.task_id for task in waiting)
    assert [place.position for place in placed] == list(range(1, len(waiting) + 1))


@given(queues, runs)
def test_a_session_runs_its_tasks_in_the_order_of_submission(waiting: list[Waiting], running: dict[str, int]) -> None:
    seqs = {task.task_id: task.seq for task in waiting}
    placed = order(waiting, running, 5)
    for session in "abcd":
        own = [seqs[place.task_id] for place in placed if place.session_id == session]
        assert own == sorted(own)


def test_a_session_with_a_limit_of_its_own_is_held_at_that() -> None:
    waiting = [Waiting(number, f"{session}{number}", session) for number, session in enumerate("aabb")]
    held = {placed.task_id: placed.held for placed in order(waiting, {}, 1, {"b": 2})}
    assert held == {"a0": False, "a1": True, "b2": False, "b3": False}


@given(queues, runs, st.integers(1, 5), st.integers(-1, 10))
def test_nobody_starts_more_than_the_free_slots_and_the_own_limit(
    waiting: list[Waiting], running: dict[str, int], own_limit: int, free: int
) -> None:
    chosen = startable(order(waiting, running, own_limit), free)
    assert len(chosen) <= max(0, free)
    for session in "abcd":
        started = sum(place.session_id == session for place in chosen)
        assert started == 0 or running.get(session, 0) + started <= own_limit


@given(queues, runs, st.integers(1, 5), st.integers(1, 10))
def test_no_slot_stays_free_while_somebody_may_start(
    waiting: list[Waiting], running: dict[str, int], own_limit: int, free: int
) -> None:
    could = sum(
        min(sum(task.session_id == session for task in waiting), max(0, own_limit - running.get(session, 0)))
        for session in "abcd"
    )
    assert len(startable(order(waiting, running, own_limit), free)) == min(free, could)
