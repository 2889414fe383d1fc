"""Nothing of a session that the owner has paused is started, and for everybody else it is as if it were not there."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager import LANSessionManager
from lan_session_manager.engine.local import LocalConfig, LocalEngine
from lan_session_manager.errors import IllegalMoveError
from lan_session_manager.queueing import Queueing
from lan_session_manager.requests import Request
from lan_session_manager.schedule import Load, Loads, Room, Running, Waiting, next_tasks, order, startable
from lan_session_manager.workers import Workers
from tests.unit.conftest import Clock

_USUAL = Load(5)
_SESSIONS = "abcd"


@st.composite
def _waiting(draw: st.DrawFn) -> list[Waiting]:
    one = st.tuples(
        st.sampled_from(_SESSIONS), st.integers(1, 100), st.floats(1.0, 100.0), st.integers(-2, 2), st.booleans()
    )
    drawn = draw(st.lists(one, max_size=20))
    return [
        Waiting(seq, f"{session}{seq}", session, memory_mb, time_s, priority, parallel_safe)
        for seq, (session, memory_mb, time_s, priority, parallel_safe) in enumerate(drawn, 1)
    ]


_load = st.builds(
    Load, st.integers(1, 5), st.integers(0, 6), st.just(value=False), st.floats(0.0, 1000.0), st.floats(0.1, 10.0)
)
_known = st.dictionaries(st.sampled_from(_SESSIONS), _load, max_size=4)
_paused = st.sets(st.sampled_from(_SESSIONS))
_running = st.lists(st.builds(Running, st.integers(1, 40), st.floats(0.0, 100.0)), max_size=6)


@given(_waiting(), _known, _paused, st.integers(1, 6), st.integers(0, 7), _running)
def test_the_others_start_and_stand_as_if_the_paused_were_not_there(
    waiting: list[Waiting], known: dict[str, Load], paused: set[str], slots: int, busy: int, running: list[Running]
) -> None:
    with_paused = {**known, **{key: replace(known.get(key, _USUAL), is_paused=True) for key in paused}}
    loads, without = Loads(_USUAL, with_paused), Loads(_USUAL, known)
    others = [task for task in waiting if task.session_id not in paused]
    room = Room(slots, 100)
    chosen = startable(waiting, loads, room, busy, running)
    assert not {task.session_id for task in chosen} & paused
    assert chosen == startable(others, without, room, busy, running)
    assert order(waiting, loads, room, running) == order(others, without, room, running)

    def queues(session_ids: Any, most: int) -> list[Waiting]:
        assert not set(session_ids) & paused, "a queue that nothing is taken from is not read"
        queue = sorted(waiting, key=lambda task: (-task.priority, task.seq))
        return [task for key in session_ids for task in [one for one in queue if one.session_id == key][:most]]

    first: dict[str, int] = {}
    for task in sorted(waiting, key=lambda task: (-task.priority, task.seq)):
        first.setdefault(task.session_id, task.seq)
    found = next_tasks(first.items(), queues, loads, room, busy, running)
    assert not {task.session_id for task in found} & paused


def _submit(manager: LANSessionManager, address: str, **fields: Any) -> str:
    session = manager.create_session(address).session_id
    return manager.tasks.submit(session, Request("true", fields.pop("runner", "shell"), **fields)).result().id


def _pause(manager: LANSessionManager, address: str, clock: Clock) -> None:
    session = manager.create_session(address).session_id
    manager.store.write(lambda tx: tx.pause_session(session, clock.now)).result()


def _resume(manager: LANSessionManager, address: str, clock: Clock) -> None:
    session = manager.create_session(address).session_id
    manager.store.write(lambda tx: tx.unpause_session(session, clock.now)).result()


def _chosen(manager: LANSessionManager) -> list[str]:
    queueing = Queueing(manager.store, manager.tasks, manager.settings, manager.shares)
    try:
        return [task.task_id for task in queueing.choose(0)]
    finally:
        queueing.close()


def _task(manager: LANSessionManager, address: str, task_id: str) -> dict[str, Any]:
    tasks = manager.get_user_dashboard_data(address)["my_tasks"]
    found: dict[str, Any] = next(task for task in tasks if task["task_id"] == task_id)
    return found


@pytest.fixture
def wide(make_manager: Callable[..., LANSessionManager]) -> LANSessionManager:
    """A manager of a server with room for all."""
    return make_manager(slots=20)


def test_a_paused_session_waits_and_says_so_and_goes_on_at_once(wide: LANSessionManager, clock: Clock) -> None:
    mine, other = _submit(wide, "10.0.0.1"), _submit(wide, "10.0.0.2")
    _pause(wide, "10.0.0.1", clock)
    more = _submit(wide, "10.0.0.1")
    assert _chosen(wide) == [other]
    assert wide.get_user_dashboard_data("10.0.0.1")["paused"] is True
    assert wide.get_user_dashboard_data("10.0.0.2")["paused"] is False
    for task_id in (mine, more):
        task = _task(wide, "10.0.0.1", task_id)
        assert (task["waits_for"], task["wait"], task["queue_position"]) == ("paused", {}, None)
    assert _task(wide, "10.0.0.2", other)["queue_position"] == 1
    _resume(wide, "10.0.0.1", clock)
    assert set(_chosen(wide)) == {mine, more, other}
    assert _task(wide, "10.0.0.1", mine)["waits_for"] == "slot"


def test_what_was_chosen_before_the_pause_is_not_started_after_it(wide: LANSessionManager, clock: Clock) -> None:
    task_id = _submit(wide, "10.0.0.1")
    assert _chosen(wide) == [task_id]
    _pause(wide, "10.0.0.1", clock)
    with pytest.raises(IllegalMoveError):
        wide.tasks.start(task_id, "full").result()
    running = _submit(wide, "10.0.0.2")
    wide.tasks.start(running, "full").result()
    _pause(wide, "10.0.0.2", clock)
    record = wide.store.read.task(running)
    assert record is not None
    assert str(record.state) == "running"


def test_workers_get_nothing_of_a_paused_session(wide: LANSessionManager, clock: Clock) -> None:
    mine, other = (_submit(wide, address, runner="swarm") for address in ("10.0.0.1", "10.0.0.2"))
    _pause(wide, "10.0.0.1", clock)

    async def claimed() -> list[str]:
        engine = LocalEngine(LocalConfig(wide.data_dir))
        try:
            workers = Workers(wide.store, wide.tasks, engine, wide.shares, wide.settings)
            return [one.task.id for one in await workers.claim("w", ["swarm"], 5)]
        finally:
            await engine.close()

    assert _task(wide, "10.0.0.1", mine)["waits_for"] == "paused"
    assert asyncio.run(claimed()) == [other]
    _resume(wide, "10.0.0.1", clock)
    assert asyncio.run(claimed()) == [mine]


def test_a_pause_outlives_the_server_and_the_session_itself(
    make_manager: Callable[..., LANSessionManager], clock: Clock
) -> None:
    first = make_manager()
    session = first.create_session("10.0.0.1").session_id
    _pause(first, "10.0.0.1", clock)
    second = make_manager()
    second.cleanup_session("10.0.0.1")
    assert second.create_session("10.0.0.1").session_id == session
    assert second.get_user_dashboard_data("10.0.0.1")["paused"] is True
    assert second.store.read.paused_sessions() == {session}


def test_to_pause_twice_is_to_pause_once(wide: LANSessionManager, clock: Clock) -> None:
    session = wide.create_session("10.0.0.1").session_id
    for _ in range(2):
        _pause(wide, "10.0.0.1", clock)
        clock.forward(5)
    record = wide.store.read.session(session)
    assert record is not None
    assert record.paused_at == clock.now - 10
    kinds = [str(event.kind) for event in wide.store.read.newest_events_of_session(session, 50)]
    assert kinds.count("session_paused") == 1


def test_a_session_that_is_paused_is_not_removed_for_want_of_user_ids(wide: LANSessionManager, clock: Clock) -> None:
    session = wide.create_session("10.0.0.1").session_id
    _pause(wide, "10.0.0.1", clock)
    wide.cleanup_session("10.0.0.1")
    assert not wide.store.write(lambda tx: tx.remove_unused_session(session)).result()
    wide.store.write(lambda tx: tx.unpause_session(session, clock.now)).result()
    assert wide.store.write(lambda tx: tx.remove_unused_session(session)).result()
