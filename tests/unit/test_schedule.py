"""Who is next: the least used share for its weight first, priority and then first in, first out within a session."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.schedule import (
    NEVER,
    USUAL_S,
    Load,
    Loads,
    Room,
    Running,
    Wait,
    Waiting,
    order,
    startable,
    turns,
)

_USUAL = Load(5)


@st.composite
def _queues(draw: st.DrawFn) -> list[Waiting]:
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from("abcd"),
                st.integers(1, 100),
                st.floats(1.0, 100.0),
                st.integers(-2, 2),
                st.sampled_from([True, True, False]),
            ),
            max_size=20,
        )
    )
    return [
        Waiting(seq, f"{session}{seq}", session, memory_mb, time_s, priority, parallel_safe)
        for seq, (session, memory_mb, time_s, priority, parallel_safe) in enumerate(drawn, 1)
    ]


_load = st.builds(
    Load, st.integers(1, 5), st.integers(0, 6), st.just(value=False), st.floats(0.0, 1000.0), st.floats(0.1, 10.0)
)
_loads = st.dictionaries(st.sampled_from("abcd"), _load, max_size=4).map(lambda known: Loads(_USUAL, known))
_running = st.lists(st.builds(Running, st.integers(1, 40), st.floats(0.0, 100.0)), max_size=6)


def _loaded(usual: Load = _USUAL, **known: Load) -> Loads:
    return Loads(usual, known)


def _ids(waiting: list[Waiting], loads: Loads) -> list[str]:
    return [placed.task.task_id for placed in order(waiting, loads, Room(9))]


def test_the_session_that_has_used_the_least_goes_first() -> None:
    waiting = [Waiting(1, "a1", "a"), Waiting(2, "b2", "b")]
    assert _ids(waiting, _loaded(a=Load(5, used_s=2.0), b=Load(5, used_s=1.0))) == ["b2", "a1"]


def test_what_runs_counts_before_it_has_used_anything() -> None:
    waiting = [Waiting(1, "a1", "a"), Waiting(2, "b2", "b")]
    assert _ids(waiting, _loaded(a=Load(5, running=1))) == ["b2", "a1"]


def test_a_session_of_twice_the_weight_may_have_used_twice_as_much() -> None:
    waiting = [Waiting(1, "a1", "a"), Waiting(2, "b2", "b")]
    assert _ids(waiting, _loaded(a=Load(5, used_s=19.0, weight=2.0), b=Load(5, used_s=10.0)))[0] == "a1"
    assert _ids(waiting, _loaded(a=Load(5, used_s=21.0, weight=2.0), b=Load(5, used_s=10.0)))[0] == "b2"


def test_among_equals_the_oldest_task_goes_first() -> None:
    assert _ids([Waiting(2, "b2", "b"), Waiting(1, "a1", "a")], _loaded()) == ["a1", "b2"]


def test_the_highest_priority_goes_first_within_a_session_and_changes_nothing_between_sessions() -> None:
    waiting = [Waiting(1, "a1", "a"), Waiting(2, "a2", "a", priority=9), Waiting(3, "b3", "b")]
    assert _ids(waiting, _loaded(a=Load(5, used_s=USUAL_S))) == ["b3", "a2", "a1"]


def test_a_flood_of_a_thousand_does_not_hold_up_one_task_of_another_device() -> None:
    flood = [Waiting(seq, f"a{seq}", "a") for seq in range(1, 1001)]
    assert _ids([*flood, Waiting(1001, "b", "b")], _loaded(a=Load(5, running=2)))[0] == "b"


def test_a_newcomer_starts_when_all_slots_are_taken_by_others() -> None:
    waiting, loads = [Waiting(1, "a1", "a"), Waiting(2, "b2", "b")], _loaded(a=Load(5, running=2))
    assert [task.task_id for task in startable(waiting, loads, Room(2), 2)] == ["b2"]
    assert startable(waiting, loads, Room(2), 3) == []


def test_who_runs_one_already_does_not_get_the_newcomers_slot() -> None:
    assert startable([Waiting(1, "a1", "a")], _loaded(a=Load(5, running=1)), Room(2), 2) == []


def test_a_task_that_is_not_parallel_safe_waits_for_the_others_of_its_session_and_these_for_it() -> None:
    alone = Waiting(1, "a1", "a", parallel_safe=False)
    assert startable([alone], _loaded(a=Load(5, running=1)), Room(9), 1) == []
    assert startable([alone, Waiting(2, "a2", "a"), Waiting(3, "b3", "b")], _loaded(), Room(9), 0) == [
        alone,
        Waiting(3, "b3", "b"),
    ]
    assert startable([Waiting(2, "a2", "a")], _loaded(a=Load(5, running=1, is_alone=True)), Room(9), 1) == []


def test_each_placed_task_says_what_it_waits_for() -> None:
    waiting = [
        Waiting(1, "slot", "a"),
        Waiting(2, "own", "b"),
        Waiting(3, "memory", "c", 200),
        Waiting(4, "alone", "d", parallel_safe=False),
    ]
    loads = _loaded(b=Load(1, running=1), d=Load(5, running=1))
    waits = {one.task.task_id: one.wait for one in order(waiting, loads, Room(2, 300), [Running(150, 9.0)])}
    assert waits == {"slot": Wait.SLOT, "own": Wait.OWN_LIMIT, "memory": Wait.MEMORY, "alone": Wait.ALONE}


@given(_queues(), _loads)
def test_every_task_has_one_place_the_places_have_no_gap_and_do_not_depend_on_how_the_tasks_come(
    waiting: list[Waiting], loads: Loads
) -> None:
    placed = order(waiting, loads, Room(2))
    assert sorted(one.task.seq for one in placed) == sorted(task.seq for task in waiting)
    assert [one.position for one in placed] == list(range(1, len(waiting) + 1))
    assert order(list(reversed(waiting)), loads, Room(2)) == placed


@given(_queues(), _loads)
def test_a_session_runs_its_tasks_by_priority_and_then_in_the_order_of_submission(
    waiting: list[Waiting], loads: Loads
) -> None:
    own = defaultdict(list)
    for one in order(waiting, loads, Room(2)):
        own[one.task.session_id].append((-one.task.priority, one.task.seq))
    assert all(places == sorted(places) for places in own.values())


@given(_queues(), _loads, st.integers(1, 6), st.integers(0, 8))
def test_nobody_starts_more_than_the_slots_and_the_own_limit(
    waiting: list[Waiting], loads: Loads, slots: int, busy: int
) -> None:
    chosen = startable(waiting, loads, Room(slots), busy)
    assert len(chosen) <= max(0, slots + 1 - busy)
    for session in {task.session_id for task in chosen}:
        own, load = [task for task in chosen if task.session_id == session], loads.of(session)
        assert load.running + len(own) <= load.limit
        assert all(task.parallel_safe for task in own) or load.running + len(own) == 1
    if busy + len(chosen) > slots:
        assert not loads.of(chosen[-1].session_id).running if chosen else busy > slots


@given(_queues(), _loads, _running)
def test_all_that_run_have_no_more_memory_than_there_is(
    waiting: list[Waiting], loads: Loads, running: list[Running]
) -> None:
    chosen, taken = startable(waiting, loads, Room(99, 100), 0, running), sum(task.memory_mb for task in running)
    assert not chosen or taken + sum(task.memory_mb for task in chosen) <= 100


@given(_queues(), _loads, st.integers(1, 3), st.integers(0, 3), _running, st.integers(0, 4))
def test_a_look_at_the_sessions_that_are_next_chooses_what_a_look_at_all_does(
    waiting: list[Waiting], loads: Loads, slots: int, busy: int, running: list[Running], near: int
) -> None:
    whole = startable(waiting, loads, Room(slots, 300), busy, running)
    firsts: dict[str, int] = {}
    for task in sorted(waiting, key=lambda task: (-task.priority, task.seq)):
        firsts.setdefault(task.session_id, task.seq)
    line = turns(firsts.items(), loads)
    sessions = {session for _, session in line[:near]}
    beyond = line[near][0] if near < len(line) else NEVER
    part = startable(
        [task for task in waiting if task.session_id in sessions], loads, Room(slots, 300), busy, running, beyond
    )
    assert part == whole[: len(part)]
    assert part == whole or beyond is not NEVER


@given(_queues(), _loads, st.integers(1, 4), st.integers(0, 3))
def test_every_task_starts_once_enough_others_have_ended(
    waiting: list[Waiting], loads: Loads, slots: int, limit: int
) -> None:
    left, running, known = list(waiting), list[Waiting](), {own: loads.of(own) for own in "abcd"}
    for _ in range(4 * len(waiting) + 4):
        now = {}
        for session, load in known.items():
            own = [task for task in running if task.session_id == session]
            now[session] = Load(
                max(1, limit), len(own), any(not task.parallel_safe for task in own), load.used_s, load.weight
            )
        runs = [Running(task.memory_mb, task.time_s) for task in running]
        chosen = startable(left, Loads(_USUAL, now), Room(slots, 100), len(running), runs)
        left = [task for task in left if task not in chosen]
        running += chosen
        assert sum(task.memory_mb for task in running) <= 100
        running = running[1:]
    assert not left


def _start(waiting: list[Waiting], memory_mb: int, *running: Running) -> list[str]:
    return [task.task_id for task in startable(waiting, _loaded(Load(9)), Room(9, memory_mb), 0, running)]


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


@given(_queues(), _running)
def test_who_goes_before_a_task_that_waits_for_memory_never_delays_it(
    waiting: list[Waiting], running: list[Running]
) -> None:
    waiting = [Waiting(t.seq, t.task_id, f"s{t.seq}", t.memory_mb, t.time_s) for t in waiting]  # each its own session
    chosen = startable(waiting, _loaded(), Room(99, 100), 0, running)
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
