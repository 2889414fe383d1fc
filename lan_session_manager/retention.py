"""What becomes of sessions that nobody comes back to: kept, then in the trash, then gone for good.

Being in the trash is a note in the database and moves no file, so that nothing can be half done: a device that comes
back has its session as it was. What goes for good goes in steps that can be taken again: the session is over, then its
logs and files are removed, then its rows. A server that was killed in between goes on at its next look.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass

from lan_session_manager.errors import LSMError, NotFoundError, SessionInUseError
from lan_session_manager.sessions import Sessions
from lan_session_manager.settings import Settings
from lan_session_manager.states import SessionState
from lan_session_manager.store import Store, Transaction
from lan_session_manager.store.records import SessionRecord

_log = logging.getLogger(__name__)

DAY_S = 86_400.0
TOLD_S = 7 * DAY_S  # before a session goes to the trash the owner is told of it
_EVENTS_KEPT = 20_000  # of one session, at most
_EVENTS_AT_ONCE = 1_000
_LOGS_AT_ONCE = 100


@dataclass(frozen=True)
class Leaving:
    """A session that goes, and when: to the trash, or, from there, for good. Unix times in seconds."""

    session: SessionRecord
    to_trash_at: float
    gone_at: float


class Retention:
    """Looks after sessions that nobody comes back to."""

    def __init__(
        self, store: Store, sessions: Sessions, settings: Settings, forget_log: Callable[[str], Awaitable[None]]
    ) -> None:
        """`forget_log` removes everything that is kept of an ended task by its id."""
        self._store = store
        self._sessions = sessions
        self._settings = settings
        self._forget_log = forget_log

    def leaving(self, now: float) -> list[Leaving]:
        """The sessions that are in the trash, or go there within `TOLD_S`; who is gone first is the first."""
        retention_s, trash_s = self._settings.retention_days * DAY_S, self._settings.trash_days * DAY_S
        found = []
        for session in self._store.read.expired_before(now + TOLD_S - retention_s):
            to_trash_at = session.trashed_at or session.last_activity + retention_s
            found.append(
                Leaving(session, to_trash_at, max(to_trash_at, now if not session.trashed_at else 0) + trash_s)
            )
        return sorted(found, key=lambda one: one.gone_at)

    async def look(self, now: float) -> None:
        """Take every step that is due; one that cannot be taken is logged, and tried again at the next look."""
        await asyncio.to_thread(self._sessions.follow_clock)
        for one in self.leaving(now):
            try:
                await self._step(one, now)
            except LSMError as error:
                _log.warning("the session %s stays as it is for now: %s", one.session.name, error)
        for session in self._store.read.ended_with_rows():
            await self._remove(session)
        await self._prune_events(now)

    async def _step(self, one: Leaving, now: float) -> None:
        if one.session.trashed_at is None and one.to_trash_at <= now:
            await asyncio.wrap_future(self.trash(one.session.id, now))
            _log.warning(
                "Nobody came back to the session %s for %g days: it is in the trash, and goes for good in %g days.",
                one.session.name,
                self._settings.retention_days,
                self._settings.trash_days,
            )
        elif one.session.trashed_at is not None and one.gone_at <= now:
            await asyncio.wrap_future(self._end(one.session.id, now))

    def trash(self, session_id: str, now: float) -> Future[None]:
        """Put an expired session into the trash. The future raises NotFoundError for one that is not expired."""

        def job(tx: Transaction) -> None:
            session = tx.session(session_id)
            if session is None or session.state is not SessionState.EXPIRED:
                raise NotFoundError
            if session.trashed_at is None:
                tx.trash_session(session_id, now)

        return self._store.write(job)

    def restore(self, session_id: str, now: float) -> Future[None]:
        """Take a session out of the trash. The future raises NotFoundError for one that is not in it."""

        def job(tx: Transaction) -> None:
            session = tx.session(session_id)
            if session is None or session.state is not SessionState.EXPIRED or session.trashed_at is None:
                raise NotFoundError
            tx.restore_session(session_id, now)

        return self._store.write(job)

    async def purge(self, session_id: str, now: float) -> None:
        """Remove a session that is in the trash for good, now.

        Raises NotFoundError for one that is not in the trash, and SessionInUseError while a task of it goes on.
        """
        await asyncio.wrap_future(self._end(session_id, now))
        session = self._store.read.session(session_id)
        if session:
            await self._remove(session)

    async def _remove(self, session: SessionRecord) -> None:
        """Remove what is left of a session that is over: logs and files first, then the rows that lead to them."""
        try:
            while tasks := self._store.read.task_ids_of(session.id, _LOGS_AT_ONCE):
                for task_id in tasks:
                    await self._forget_log(task_id)
                await asyncio.wrap_future(self._remove_tasks(tasks))
            await asyncio.to_thread(self._sessions.discard, session)
        except (OSError, LSMError) as error:
            _log.warning("the session %s could not be removed, trying again later: %s", session.name, error)
            return
        await asyncio.wrap_future(self._store.write(lambda tx: tx.remove_what_was_of(session.id)))
        _log.warning("The session %s is gone for good.", session.name)

    async def _prune_events(self, now: float) -> None:
        """Remove events that are older than what is kept, or too many of one session; the newest of each stays."""
        before = now - self._settings.retention_days * DAY_S
        last: int | None = 0
        while last is not None:  # a part at a time, between which others may write
            last = await asyncio.wrap_future(self._store.write(functools.partial(_prune_old, last, before)))
        for session_id in await asyncio.to_thread(self._store.read.sessions_with_events, _EVENTS_KEPT):
            pruned = _EVENTS_AT_ONCE
            while pruned == _EVENTS_AT_ONCE:
                pruned = await asyncio.wrap_future(self._store.write(functools.partial(_prune, session_id)))

    def _remove_tasks(self, task_ids: list[str]) -> Future[None]:
        return self._store.write(lambda tx: tx.remove_tasks(task_ids))

    def _end(self, session_id: str, now: float) -> Future[None]:
        def job(tx: Transaction) -> None:
            session = tx.session(session_id)
            if session is None or session.state is not SessionState.EXPIRED or session.trashed_at is None:
                raise NotFoundError  # its device came back in this moment
            if tx.live_count(session_id):
                raise SessionInUseError
            tx.move_session(session_id, SessionState.ENDED, now)
            tx.close_session(session_id)

        return self._store.write(job)


def _prune_old(after: int, before: float, tx: Transaction) -> int | None:
    return tx.prune_events(after, before, _EVENTS_AT_ONCE)


def _prune(session_id: str, tx: Transaction) -> int:
    return tx.prune_events_of(session_id, _EVENTS_KEPT, _EVENTS_AT_ONCE)
