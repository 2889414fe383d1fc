"""Keeps what the logs of a session's ended tasks take on the disk within what they may take together.

What each of them takes is measured once, at its task's end, and kept in the database. Beyond the bound the oldest log
is replaced by a line that says so; where the lines themselves are too many, the oldest go altogether.
"""

import asyncio
import logging

from lan_session_manager import runners
from lan_session_manager.allowances import allowance_of
from lan_session_manager.engine.base import Engine
from lan_session_manager.errors import LSMError
from lan_session_manager.settings import MB, Settings
from lan_session_manager.store import Store

_log = logging.getLogger(__name__)

_LINE = 16 * 1024  # bytes: what is not more is a log that was removed, or one that is not worth it
_AT_ONCE = 100
_EVENTS = 100_000  # the last ones: what was deleted before them was removed at an earlier start


class KeptLogs:
    """The logs of ended tasks. For one event loop; running tasks are left alone."""

    def __init__(self, store: Store, engine: Engine, settings: Settings) -> None:
        self._store = store
        self._engine = engine
        self._settings = settings
        self._turn = asyncio.Lock()

    async def measured(self, task_id: str) -> int | None:
        """What an ended task's log and records take on the disk, in bytes; None: that cannot be seen now."""
        try:
            return await self._engine.kept_bytes(task_id)
        except OSError as error:
            _log.warning("what is kept of %s could not be measured: %s", task_id, error)
            return None

    async def trim(self, session_id: str) -> None:
        """Remove the oldest logs of a session until the rest is within what it may have."""
        async with self._turn:
            read = self._store.read
            most = allowance_of(read, self._settings, session_id).logs_mb * MB
            total = read.kept_bytes_of(session_id)
            try:
                while total > most:
                    logs = read.oldest_kept(session_id, _LINE, _AT_ONCE)
                    for task_id, size in logs or read.oldest_kept(session_id, 0, _AT_ONCE):
                        total -= size - await self._less(task_id, size)
                        if total <= most:
                            break
            except (OSError, LSMError) as error:
                _log.warning("the logs of a session could not be made fewer: %s", error)

    async def _less(self, task_id: str, size: int) -> int:
        """Remove a log, or what is left of one; gives what is left then, always less than `size`."""
        left = await self._engine.drop_log(task_id) if size > _LINE else 0
        if not left < size:
            left = 0
        if left == 0:
            await self._engine.forget(task_id)
        await self._note(task_id, left)
        return left

    async def _note(self, task_id: str, size: int) -> None:
        await asyncio.wrap_future(self._store.write(lambda tx: tx.note_kept(task_id, size)))

    async def forget_deleted(self) -> None:
        """Remove what is kept of deleted tasks, as an earlier server may have ended before it did."""
        for task_id in self._store.read.deleted_lately(_EVENTS):
            try:
                if self._store.read.task(task_id) is None:
                    await self._engine.forget(task_id)
            except (OSError, LSMError) as error:
                _log.warning("what is kept of a deleted task could not be removed: %s", error)

    async def measure_old(self) -> None:
        """Measure what earlier versions have left unmeasured, then trim the sessions that it belongs to."""
        sessions: set[str] = set()
        while rows := await asyncio.to_thread(self._unmeasured):
            for task_id, session_id in rows:
                await self._note(task_id, await self.measured(task_id) or 0)
                sessions.add(session_id)
        for session_id in sorted(sessions):
            await self.trim(session_id)

    def _unmeasured(self) -> list[tuple[str, str]]:
        # It looks at every task that there is: for another thread than that of the loop.
        return self._store.read.unmeasured(tuple(runners.SANDBOXED), _AT_ONCE)
