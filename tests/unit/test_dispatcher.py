"""Every started task gets its one end, whatever fails on the way there."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest

from lan_session_manager import dispatcher as dispatcher_module
from lan_session_manager.diskwatch import DiskWatch
from lan_session_manager.dispatcher import Dispatcher
from lan_session_manager.engine.base import Ending, Job, Lease, LogPiece, Usage
from lan_session_manager.feed import Feed
from lan_session_manager.manager import LANSessionManager
from lan_session_manager.states import Reason, TaskState


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

    async def unlinked_bytes(self, task_id: str) -> int | None:
        return 0

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

    async def forget(self, task_id: str) -> None: ...

    async def sweep(self, keep: Collection[str] = ()) -> None: ...

    async def release(self, workspace: str) -> None: ...

    async def close(self) -> None: ...


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
