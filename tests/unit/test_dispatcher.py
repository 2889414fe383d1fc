"""Every started task gets its one end, whatever fails on the way there."""

import asyncio
import errno
import time
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path

import pytest

from lan_session_manager import dispatcher as dispatcher_module
from lan_session_manager import shortage
from lan_session_manager.diskwatch import DiskWatch
from lan_session_manager.dispatcher import Dispatcher
from lan_session_manager.engine.base import (
    BoxStartError,
    Ending,
    Found,
    Job,
    Lease,
    LinePage,
    LogPiece,
    Now,
    Samples,
    Search,
    Usage,
)
from lan_session_manager.feed import Feed
from lan_session_manager.manager import LANSessionManager
from lan_session_manager.states import Reason, TaskState
from lan_session_manager.store.records import EventKind, LeaseRecord
from lan_session_manager.web.drain import Drain


class _FaultyEngine:
    """A machine on which the first start, and the first wait for an end, meet a fault that nobody has foreseen."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.asked = 0

    async def start(self, job: Job) -> Lease:
        self.started.append(job.task_id)
        if len(self.started) == 1:
            raise RuntimeError("can't start new thread")
        return Lease(job.task_id, "boot", 1, 1, 1, time.time(), time.time() + 60)

    async def adopt(self, lease: Lease) -> bool:
        return False

    async def ended(self, task_id: str) -> Ending:
        self.asked += 1
        if self.asked == 1:
            raise RuntimeError("can't start new thread")
        return Ending(Reason.EXIT, 0, time.time(), Usage(0.1, 1024))

    async def cancel(self, task_id: str, reason: Reason) -> None: ...

    def used_now(self) -> Mapping[str, Now]:
        return {}

    async def samples(self, task_id: str) -> Samples:
        return Samples()

    async def unlinked_bytes(self, task_id: str) -> int | None:
        return 0

    async def append_log(self, task_id: str, offset: int, stream: str, data: bytes, bound_bytes: int) -> int:
        raise AssertionError(task_id, offset, stream, data, bound_bytes)

    async def kept_bytes(self, task_id: str) -> int:
        return 0

    async def drop_log(self, task_id: str) -> int:
        return 0

    def follow(self, task_id: str, after: int) -> AsyncIterator[LogPiece]:
        raise NotImplementedError

    async def read_log(self, task_id: str, after: int, limit: int) -> list[LogPiece]:
        return []

    async def log_size(self, task_id: str) -> int:
        return 0

    async def log_start(self, task_id: str, back: int) -> int:
        return 0

    async def log_lines(
        self, task_id: str, most: int, *, after: int | None = None, before: int | None = None, line: int | None = None
    ) -> LinePage:
        raise NotImplementedError

    async def search_log(self, task_id: str, looking: Search, after: int, before: int | None, most: int) -> Found:
        raise NotImplementedError

    async def forget(self, task_id: str) -> None: ...

    async def sweep(self, keep: Collection[str] = ()) -> None: ...

    async def release(self, workspace: str) -> None: ...

    async def close(self) -> None: ...


class _ShortOfDescriptors(_FaultyEngine):
    """A machine that has no descriptor for the first so many starts."""

    def __init__(self, fails: int, manager: LANSessionManager) -> None:
        super().__init__()
        self.fails = fails
        self.asked = 1
        self.seen: list[str] = []
        self.manager = manager

    async def start(self, job: Job) -> Lease:
        self.started.append(job.task_id)
        task = self.manager.store.read.task(job.task_id)
        assert task is not None
        self.seen.append(task.detail)
        if len(self.started) <= self.fails:
            raise BoxStartError("The task could not be started.") from OSError(errno.EMFILE, "Too many open files")
        return Lease(job.task_id, "boot", 1, 1, 1, time.time(), time.time() + 60)


class _ShortWhenAdopting(_FaultyEngine):
    """A machine that has no descriptor for the first adoption."""

    def __init__(self) -> None:
        super().__init__()
        self.adopted = 0
        self.kept: list[str] = []

    async def adopt(self, lease: Lease) -> bool:
        self.adopted += 1
        if self.adopted == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return True

    async def ended(self, task_id: str) -> Ending:
        if self.adopted < 2:
            raise KeyError(task_id)
        return Ending(Reason.EXIT, 3, time.time(), Usage(0.1, 1024))

    async def sweep(self, keep: Collection[str] = ()) -> None:
        self.kept = [*keep]


async def _run_until_ended(manager: LANSessionManager, engine: _FaultyEngine, task_id: str) -> TaskState:
    feed = Feed(manager.store)
    disk = DiskWatch(manager.data_dir, manager.sessions, engine, 0)
    dispatcher = Dispatcher(manager.store, manager.tasks, manager.sessions, engine, disk, manager.settings, "full")
    dispatcher.attach(feed)
    parts = [asyncio.create_task(dispatcher.run()), asyncio.create_task(disk.run()), asyncio.create_task(feed.run())]
    try:
        while True:
            task = manager.store.read.task(task_id)
            assert task is not None
            if task.state.ended:
                return task.state
            await asyncio.sleep(0.01)
    finally:
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)


def test_a_task_is_followed_to_its_end_through_faults_that_nobody_has_foreseen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher_module, "_RETRY_S", (0.01,))
    manager, engine = LANSessionManager(tmp_path), _FaultyEngine()
    try:
        task_id = manager.submit_task("10.0.0.1", "true", runner="shell")
        assert asyncio.run(_run_until_ended(manager, engine, task_id)) is TaskState.COMPLETED
        assert engine.started == [task_id] * 3
        assert engine.asked == 2
    finally:
        manager.close()


@pytest.mark.parametrize(("fails", "state", "starts"), [(2, TaskState.COMPLETED, 3), (99, TaskState.FAILED, 4)])
def test_a_start_for_which_the_machine_had_no_descriptors_is_tried_again_so_many_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: int, state: TaskState, starts: int
) -> None:
    monkeypatch.setattr(shortage, "WAITS_S", (0.01, 0.01, 0.01))
    manager = LANSessionManager(tmp_path)
    engine = _ShortOfDescriptors(fails, manager)
    try:
        task_id = manager.submit_task("10.0.0.1", "true", runner="shell")
        assert asyncio.run(_run_until_ended(manager, engine, task_id)) is state
        assert engine.started == [task_id] * starts
        assert set(engine.seen) == {""}, "what was said of the last try is gone once there is another"
        events = manager.store.read.events_after(0, 100)
        assert sum(event.kind is EventKind.TASK_REQUEUED for event in events) == min(fails, starts - 1)
        task = manager.store.read.task(task_id)
        assert task is not None
        assert (task.reason is Reason.START_FAILED) == (state is TaskState.FAILED)
    finally:
        manager.close()


def test_a_task_whose_adoption_fails_is_not_swept_away_and_is_adopted_later(tmp_path: Path) -> None:
    manager, engine = LANSessionManager(tmp_path), _ShortWhenAdopting()
    try:
        task_id = manager.submit_task("10.0.0.1", "true", runner="shell")
        manager.tasks.start(task_id, "full").result()
        now = time.time()
        manager.tasks.keep_lease(LeaseRecord(task_id, "boot", 1, 1, 1, now, now + 60)).result()
        assert asyncio.run(_run_until_ended(manager, engine, task_id)) is TaskState.FAILED
        task = manager.store.read.task(task_id)
        assert task is not None
        assert (task.reason, task.exit_code) == (Reason.EXIT, 3)
        assert (engine.kept, engine.started) == ([task_id], [])
    finally:
        manager.close()


def test_a_drain_waits_until_it_is_known_what_runs(tmp_path: Path) -> None:
    manager, engine = LANSessionManager(tmp_path), _FaultyEngine()
    disk = DiskWatch(manager.data_dir, manager.sessions, engine, 0)
    made = Dispatcher(manager.store, manager.tasks, manager.sessions, engine, disk, manager.settings, "full")

    async def drain() -> None:
        ended = asyncio.Event()
        wanted = Drain(is_wanted=True)
        assert wanted.begin(ended.set)
        waiting = asyncio.create_task(wanted.run(made, manager.activity))
        while not manager.activity.is_draining:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        assert (made.busy, made.is_done, ended.is_set()) == (0, False, False)
        running = asyncio.create_task(made.run())
        await ended.wait()
        running.cancel()
        await asyncio.gather(waiting, running, return_exceptions=True)

    try:
        asyncio.run(drain())
        assert made.is_done
    finally:
        manager.close()


def test_a_task_that_is_put_off_says_why_and_is_not_tried_before_its_time() -> None:
    later = shortage.Later()
    now = 100.0
    for wait in shortage.WAITS_S:
        assert later.put_off("a", now) == wait
        assert "a" in later.waiting(now + wait - 0.01)
        assert "a" not in later.waiting(now + wait)
        assert "b" not in later.waiting(now)
    assert later.put_off("a", now) is None
    assert later.put_off("a", now) == shortage.WAITS_S[0], "another task of that id begins anew"
    later.forget("a")
    assert "a" not in later.waiting(now)


def test_a_shortage_is_seen_behind_what_it_became() -> None:
    def fail() -> None:
        try:
            raise OSError(errno.ENFILE, "Too many open files in system")
        except OSError:
            raise ValueError("the runtime cannot be run") from None

    with pytest.raises(ValueError, match="runtime") as failed:
        fail()
    assert shortage.is_shortage(failed.value)
    assert not shortage.is_shortage(OSError(errno.ENOENT, "No such file"))
    assert not shortage.is_shortage(None)


def test_a_task_that_is_to_stop_is_not_put_back(tmp_path: Path) -> None:
    manager = LANSessionManager(tmp_path)
    try:
        tasks = manager.tasks
        stopped, other = (manager.submit_task("10.0.0.1", "true", runner="shell") for _ in range(2))
        for task_id in (stopped, other):
            tasks.start(task_id, "full").result()
        tasks.cancel(stopped, Reason.CANCELLED_BY_USER).result()
        assert tasks.put_back(stopped, "why").result().state is TaskState.CANCELLED
        back = tasks.put_back(other, "why").result()
        assert (back.state, back.detail, back.started_at) == (TaskState.QUEUED, "why", None)
    finally:
        manager.close()
