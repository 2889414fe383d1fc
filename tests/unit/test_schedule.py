"""Who is next: weighted fair share between sessions; priority, then first in, first out within one."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from lan_session_manager.schedule import USUAL_S, Load, Loads, Room, Running, Wait, Waiting, order, startable

USUAL = Load(limit=5)
queues = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(-1, 1), st.sampled_from([True, True, True, False])), max_size=40
).map(
    lambda tasks: [
        Waiting(seq, f"{session}{seq}", session, priority=priority, parallel_safe=safe)
        for seq, (session, priority, safe) in enumerate(tasks, 1)
    ]
)
loads = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        Load, st.integers(1, 5), st.integers(0, 6), st.booleans(), st.floats(0, 1e6), st.sampled_from([0.1, 1.0, 10.0])
    ),
    max_size=4,
).map(lambda known: Loads(USUAL, known))


def _loads(usual: Load = USUAL, **known: Load) -> Loads:
    return Loads(usual, known)


def _ids(waiting: list[Waiting], loads: Loads, slots: int = 2) -> list[str]:
    return [placed.task.task_id for placed in order(waiting, loads, Room(slots))]


def test_who_has_used_the_least_goes_first() -> None:
    waiting = [Waiting(1, "a1", "a"), Waiting(2, "b2", "b"), Waiting(3, "c3", "c")]
    assert _ids(waiting, _loads(a=Load(5, used_s=7), b=Load(5, used_s=3))) == ["c3", "b2", "a1"]


def test_who_runs_the_fewest_goes_first_where_nobody_has_used_anything() -> None:
    assert _ids([Waiting(1, "a1", "a"), Waiting(2, "b2", "b")], _loads(a=Load(5, running=1))) == ["b2", "a1"]


def test_with_twice_the_weight_one_may_have_used_twice_as_much() -> None:
    waiting = [Waiting(1, "a1", "a"), Waiting(2, "b2", "b")]
    assert _ids(waiting, _loads(a=Load(5, used_s=100), b=Load(5, used_s=190, weight=2.0))) == ["b2", "a1"]
    assert _ids(waiting, _loads(a=Load(5, used_s=100), b=Load(5, used_s=210, weight=2.0))) == ["a1", "b2"]


def test_among_equals_the_oldest_task_goes_first() -> None:
    assert _ids([Waiting(2, "b2", "b"), Waiting(1, "a1", "a")], _loads()) == ["a1", "b2"]


def test_a_flood_does_not_hold_up_a_single_task() -> None:
    flood = [Waiting(seq, f"a{seq}", "a") for seq in range(1, 1001)]
    assert _ids([*flood, Waiting(1001, "b", "b")], _loads()).index("b") == 1


def test_a_higher_priority_goes_first_in_its_own_session_and_before_nobody_else() -> None:
    waiting = [Waiting(1, "a1", "a"), Waiting(2, "b2", "b"), Waiting(3, "b3", "b", priority=9)]
    assert _ids(waiting, _loads(b=Load(5, used_s=5))) == ["a1", "b3", "b2"]


@given(queues, loads)
def test_every_task_has_one_place_and_the_places_have_no_gap(waiting: list[Waiting], loads: Loads) -> None:
    placed = order(waiting, loads, Room(2))
    assert sorted(one.task.task_id for one in placed) == sorted(task.task_id for task in waiting)
    assert [one.position for one in placed] == list(range(1, len(waiting) + 1))


@given(queues, loads)
def test_a_session_runs_its_tasks_by_priority_and_then_as_they_came(waiting: list[Waiting], loads: Loads) -> None:
    placed = order(waiting, loads, Room(2))
    for session in "abcd":
        own = [(-one.task.priority, one.task.seq) for one in placed if one.task.session_id == session]
        assert own == sorted(own)


def test_what_keeps_a_task_is_said() -> None:
    waiting = [Waiting(number, f"{session}{number}", session, 60) for number, session in enumerate("aabb")]
    room = Room(9, 100)
    waits = {one.task.task_id: one.wait for one in order(waiting, _loads(Load(1), b=Load(2)), room, [Running(50, 9.0)])}
    assert waits == {"a0": Wait.MEMORY, "a1": Wait.OWN_LIMIT, "b2": Wait.MEMORY, "b3": Wait.MEMORY}
    waits = {one.task.task_id: one.wait for one in order(waiting, _loads(), Room(1))}
    assert set(waits.values()) == {Wait.SLOT}
    unsafe = [Waiting(1, "a1", "a", parallel_safe=False), Waiting(2, "a2", "a")]
    waits = {one.task.task_id: one.wait for one in order(unsafe, _loads(), Room(9))}
    assert waits == {"a1": Wait.SLOT, "a2": Wait.ALONE}


@given(queues, loads, st.integers(1, 6), st.integers(0, 8))
def test_nobody_starts_more_than_the_slots_and_the_own_limit(
    waiting: list[Waiting], loads: Loads, slots: int, busy: int
) -> None:
    chosen = startable(waiting, loads, Room(slots), busy)
    assert len(chosen) <= max(0, slots + 1 - busy)
    for session in "abcd":
        load, own = loads.of(session), [task for task in chosen if task.session_id == session]
        assert not own or load.running + len(own) <= load.limit
        if load.running or len(own) > 1:
            assert not load.is_alone or not own
            assert all(task.parallel_safe for task in own)


@given(queues, loads, st.integers(1, 6), st.integers(0, 8))
def test_the_slot_beyond_the_others_is_for_who_runs_nothing(
    waiting: list[Waiting], loads: Loads, slots: int, busy: int
) -> None:
    chosen = startable(waiting, loads, Room(slots), busy)
    if chosen and busy + len(chosen) == slots + 1:
        newcomer = chosen[-1]
        assert loads.of(newcomer.session_id).running == 0
        assert [task.session_id for task in chosen].count(newcomer.session_id) == 1


def test_a_newcomer_starts_though_others_have_taken_all_slots_and_a_second_one_waits() -> None:
    flood = [Waiting(seq, f"a{seq}", "a") for seq in range(1, 100)]
    both = [*flood, Waiting(100, "b", "b"), Waiting(101, "c", "c")]
    room, full = Room(2), _loads(a=Load(5, running=2))
    assert [task.task_id for task in startable(both, full, room, busy=2)] == ["b"]
    assert startable(both, _loads(a=Load(5, running=2), b=Load(5, running=1)), room, busy=3) == []


@given(queues, st.integers(1, 6))
def test_no_slot_stays_free_while_somebody_may_start(waiting: list[Waiting], slots: int) -> None:
    assume(all(task.parallel_safe for task in waiting))
    could = sum(min(sum(task.session_id == session for task in waiting), USUAL.limit) for session in "abcd")
    assert len(startable(waiting, _loads(), Room(slots), 0)) >= min(slots, could)


@given(queues)
def test_every_task_starts_in_the_end(waiting: list[Waiting]) -> None:
    left, used = list(waiting), dict.fromkeys("abcd", 0.0)
    while left:
        known = {session: Load(2, used_s=seconds) for session, seconds in used.items()}
        chosen = startable(left, _loads(**known), Room(1), 0)
        assert chosen
        for task in chosen:
            used[task.session_id] += 1.0
            left.remove(task)


def _start(waiting: list[Waiting], memory_mb: int, *running: Running, slots: int = 9) -> list[str]:
    return [task.task_id for task in startable(waiting, _loads(Load(9)), Room(slots, memory_mb), 0, running)]


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


# Each of a session of its own, so that their order is that of their numbers.
tasks_with_memory = st.lists(st.tuples(st.integers(1, 100), st.floats(1.0, 100.0)), max_size=12).map(
    lambda sizes: [Waiting(seq, f"t{seq}", f"s{seq}", *size) for seq, size in enumerate(sizes)]
)
running_tasks = st.lists(st.builds(Running, st.integers(1, 40), st.floats(0.0, 100.0)), max_size=6)


def _fitted(waiting: list[Waiting], running: list[Running]) -> list[Waiting]:
    return startable(waiting, _loads(), Room(99, 100), 0, running)


@given(tasks_with_memory, running_tasks)
def test_all_that_run_have_no_more_memory_than_there_is(waiting: list[Waiting], running: list[Running]) -> None:
    chosen, taken = _fitted(waiting, running), sum(task.memory_mb for task in running)
    assert not chosen or taken + sum(task.memory_mb for task in chosen) <= 100


@given(tasks_with_memory, running_tasks)
def test_who_goes_before_a_task_that_waits_for_memory_never_delays_it(
    waiting: list[Waiting], running: list[Running]
) -> None:
    chosen = _fitted(waiting, running)
    free = 100 - sum(task.memory_mb for task in running)
    before: list[Waiting] = []
    for first in waiting:  # the first that finds no room
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


def test_a_running_task_counts_as_a_usual_one() -> None:
    assert replace(USUAL, running=2).key == 2 * USUAL_S
