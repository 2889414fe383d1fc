"""What the dispatcher is told to start, and what a session is told of its wait, from a real database."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lan_session_manager import LANSessionManager
from lan_session_manager.diskwatch import DiskWatch
from lan_session_manager.dispatcher import Dispatcher
from lan_session_manager.queueing import LOOK_S, Queueing
from lan_session_manager.requests import Request
from lan_session_manager.states import Reason
from lan_session_manager.store import Transaction
from lan_session_manager.store.records import LimitsRecord
from lan_session_manager.tasks import Result
from lan_session_manager.waits import SHORT
from tests.unit.conftest import Clock
from tests.unit.test_dispatcher import _FaultyEngine


@pytest.fixture
def small(make_manager: Callable[..., LANSessionManager]) -> LANSessionManager:
    """A manager of a server with two slots and 300 MB for tasks."""
    return make_manager(slots=2, tasks_memory_mb=300, task_memory_mb=100)


def _submit(manager: LANSessionManager, address: str, **fields: Any) -> str:
    session = manager.create_session(address).session_id
    return manager.tasks.submit(session, Request("true", "shell", **fields)).result().id


def _view(manager: LANSessionManager, task_id: str) -> dict[str, Any]:
    task = manager.store.read.task(task_id)
    assert task is not None
    return manager.activity.task(task, None, manager.activity.picture())


def _chosen(manager: LANSessionManager, busy: int = 0, put_off: frozenset[str] = frozenset()) -> list[str]:
    queueing = Queueing(manager.store, manager.tasks, manager.settings, manager.shares)
    try:
        return [task.task_id for task in queueing.choose(busy, put_off)]
    finally:
        queueing.close()


def test_by_priority_within_a_session_and_in_turns_between_them(small: LANSessionManager) -> None:
    first, urgent = _submit(small, "10.0.0.1"), _submit(small, "10.0.0.1", priority=5)
    other = _submit(small, "10.0.0.2")
    chosen = _chosen(small)
    assert chosen[:2] == [other, urgent] or chosen[:2] == [urgent, other]
    assert first not in chosen[:2]
    assert _chosen(small, busy=3) == []


def test_what_is_put_off_or_waits_for_its_time_or_for_others_is_not_chosen(
    small: LANSessionManager, clock: Clock
) -> None:
    now = _submit(small, "10.0.0.1", priority=-9)
    later = _submit(small, "10.0.0.1", start_after=clock.now + 5)
    _submit(small, "10.0.0.1", depends_on=(now,))
    short = _submit(small, "10.0.0.1")
    assert _chosen(small, put_off=frozenset({short})) == [now]
    queueing = Queueing(small.store, small.tasks, small.settings, small.shares)
    assert queueing.longest_wait_s(clock.now) == pytest.approx(5)
    clock.now += 6
    assert queueing.longest_wait_s(clock.now) == LOOK_S
    queueing.close()
    assert set(_chosen(small, put_off=frozenset({short}))) == {now, later}


def test_a_long_queue_and_many_sessions_choose_as_few(small: LANSessionManager) -> None:
    for number in range(60):
        _submit(small, f"10.0.1.{number + 1}")
    for known in small.store.read.live_sessions():
        small.store.write(
            partial(Transaction.keep_share, session_id=known.id, used_s=50.0, now=small.tasks.now())
        ).result()
    fresh = _submit(small, "10.0.0.1")
    assert _chosen(small, busy=2) == [fresh]
    assert _chosen(small)[0] == fresh
    assert len(_chosen(small)) == 3


def test_the_wait_is_explained(small: LANSessionManager, clock: Clock) -> None:
    running = _submit(small, "10.0.0.1")
    small.tasks.start(running, "full").result()
    session = small.create_session("10.0.0.1").session_id
    small.store.write(lambda tx: tx.set_limits(session, LimitsRecord(max_concurrent_tasks=1))).result()
    own = _submit(small, "10.0.0.1")
    dependent = _submit(small, "10.0.0.1", depends_on=(own,))
    later = _submit(small, "10.0.0.1", start_after=clock.now + 60)
    large = _submit(small, "10.0.0.2", memory_mb=250)
    wish = _submit(small, "10.0.0.3")
    short = _submit(small, "10.0.0.4")
    small.tasks.start(short, "full").result()
    small.tasks.put_back(short, SHORT).result()
    until = datetime.fromtimestamp(clock.now + 60, UTC).isoformat()
    expected: dict[str, tuple[str, dict[str, Any]]] = {
        own: ("own_limit", {"running": 1, "may_run": 1}),
        dependent: ("dependency", {"tasks": [own]}),
        later: ("start_after", {"until": until}),
        large: ("memory", {"memory_mb": 250}),
        wish: ("slot", {"estimate_s": None}),
        short: ("shortage", {}),
    }
    for task_id, (waits_for, wait) in expected.items():
        view = _view(small, task_id)
        assert view["waits_for"] == waits_for, view
        assert wait.items() <= view["wait"].items()
    assert (_view(small, running)["waits_for"], _view(small, running)["wait"]) == (None, None)


def test_an_estimate_comes_from_what_tasks_really_took(small: LANSessionManager, clock: Clock) -> None:
    for _ in range(2):
        task_id = _submit(small, "10.0.0.1")
        small.tasks.start(task_id, "full").result()
        clock.now += 50
        small.tasks.finish(task_id, Result(Reason.EXIT, 0, clock.now)).result()
    for _ in range(2):
        small.tasks.start(_submit(small, "10.0.0.1"), "full").result()
    assert _view(small, _submit(small, "10.0.0.1"))["wait"]["estimate_s"] == 60


def test_a_dispatcher_that_is_stopped_in_the_moment_in_which_it_is_woken_stops(tmp_path: Path) -> None:
    manager, engine = LANSessionManager(tmp_path), _FaultyEngine()
    disk = DiskWatch(manager.data_dir, manager.sessions, engine, 0)

    async def stopped() -> None:
        dispatcher = Dispatcher(manager.store, manager.tasks, manager.sessions, engine, disk, manager.settings, "full")
        run = asyncio.create_task(dispatcher.run())
        for _ in range(50):
            await asyncio.sleep(0.001)
        dispatcher._wake.set()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            async with asyncio.timeout(20):
                await run

    try:
        asyncio.run(stopped())
    finally:
        manager.close()
