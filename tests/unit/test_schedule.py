"""Who is next: fewest running first, then the oldest; first in, first out within a session."""

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.schedule import Placed, Running, Waiting, order, startable

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


def _start(waiting: list[Waiting], memory_mb: int, *running: Running, slots: int = 9) -> list[str]:
    return [placed.task_id for placed in startable(order(waiting, {}, 9), slots, memory_mb, running)]


def test_tasks_of_other_sessions_that_leave_room_for_it_go_before_one_that_waits_for_memory() -> None:
    large = Waiting(1, "large", "a", 60, 600.0)
    small = [Waiting(number, f"small{number}", f"s{number}", 20, 600.0) for number in (2, 3, 4)]
    # 100 in all: beside the large one there is room for two small ones, whoever runs now.
    assert _start([large, *small], 100, Running(50, 86_400.0)) == ["small2", "small3"]


def test_a_task_that_has_ended_when_it_fits_goes_before_one_that_waits_for_memory() -> None:
    large, short, long = Waiting(1, "a", "a", 100, 9.0), Waiting(2, "b", "b", 40, 60.0), Waiting(3, "c", "c", 40, 61.0)
    assert _start([large, short, long], 100, Running(10, 60.0)) == ["b"]


def test_nobody_of_its_own_session_goes_before_a_task_that_waits_for_memory() -> None:
    assert _start([Waiting(1, "a1", "a", 60), Waiting(2, "a2", "a", 1)], 100, Running(50, 60.0)) == []


def test_a_task_larger_than_all_memory_runs_alone() -> None:
    assert _start([Waiting(1, "a", "a", 400), Waiting(2, "b", "b", 1)], 300) == ["a"]
    assert _start([Waiting(1, "a", "a", 400)], 300, Running(1, 60.0)) == []
    assert _start([Waiting(1, "a", "a", 1)], 300, Running(400, 60.0)) == []


tasks_with_memory = st.lists(
    st.builds(
        Placed,
        st.uuids().map(str),
        st.sampled_from("abcd"),
        st.just(0),
        st.booleans(),
        st.integers(1, 100),
        st.floats(1.0, 100.0),
    ),
    max_size=12,
)
running_tasks = st.lists(st.builds(Running, st.integers(1, 40), st.floats(0.0, 100.0)), max_size=6)


@given(tasks_with_memory, running_tasks)
def test_all_that_run_have_no_more_memory_than_there_is(placed: list[Placed], running: list[Running]) -> None:
    chosen, taken = startable(placed, 99, 100, running), sum(task.memory_mb for task in running)
    assert not chosen or taken + sum(task.memory_mb for task in chosen) <= 100


@given(tasks_with_memory, running_tasks)
def test_who_goes_before_a_task_that_waits_for_memory_never_delays_it(
    placed: list[Placed], running: list[Running]
) -> None:
    chosen = startable(placed, 99, 100, running)
    free = 100 - sum(task.memory_mb for task in running)
    before: list[Placed] = []
    for first in placed:  # the first that finds no room
        if first.held:
            continue
        if first.memory_mb > free - sum(task.memory_mb for task in before):
            break
        before.append(first)
    else:
        return
    assert first not in chosen
    ends = [*((task.left_s, task.memory_mb) for task in running), *((task.time_s, task.memory_mb) for task in before)]

    def fits_at(moment: float, ends: list[tuple[float, int]]) -> bool:
        return sum(memory for left, memory in ends if left > moment) + first.memory_mb <= 100

    soonest = min(moment for moment, _ in ends if fits_at(moment, ends))
    others = [(task.time_s, task.memory_mb) for task in chosen if task not in before]
    assert fits_at(soonest, [*ends, *others])
