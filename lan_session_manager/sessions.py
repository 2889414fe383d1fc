"""Sessions: create, refresh, expire, resume."""

import time
from collections.abc import Callable
from concurrent.futures import Future

from lan_session_manager import runners
from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.allowances import allowance_of
from lan_session_manager.errors import NotFoundError, TooManySessionsError
from lan_session_manager.identity.decide import Seen
from lan_session_manager.identity.settle import add_session, settle, settle_device
from lan_session_manager.sandbox.box import TASK_UID, NoUserIdsError, last_slot, user_range
from lan_session_manager.settings import Settings
from lan_session_manager.states import Reason, SessionState, TaskState
from lan_session_manager.store import Store, Transaction
from lan_session_manager.store.records import DeviceKind, DeviceRecord, SessionRecord
from lan_session_manager.workspace import Quota, Workspace, Workspaces

_REMOVED_AT_ONCE = 1000
_WARNING_S = 300.0
_CLOCK_SLACK_S = 2.0  # a clock that differs by less between two looks was not set, but is kept right
_TOUCH_S = 5.0  # how much older than now the noted activity may be: a write a request would be too many


def _boot_time() -> float:
    """Seconds since the boot, those of a suspended machine included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Sessions:
    """The sessions of all devices."""

    def __init__(
        self,
        store: Store,
        workspaces: Workspaces,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] | None = None,
    ) -> None:
        """`steady` counts the seconds that pass, whatever `clock` is set to; a clock of a test's own is never set."""
        self._steady = steady or (_boot_time if clock is time.time else clock)
        self._offset = clock() - self._steady()  # between the two, before somebody set the clock
        self._store = store
        self._workspaces = workspaces
        self._settings = settings
        self._clock = clock
        self._seen: dict[str, float] = {}  # when each session was last used: newer than what is noted
        self._in_sight: frozenset[str] = frozenset()  # ids of sessions with a dashboard that somebody may look at

    def live(self, address: Address) -> SessionRecord | None:
        """The live session that the address names, refreshed if its noted activity is old."""
        session = self.peek(address)
        if session is not None:
            self.refresh(session)
        return session

    def refresh(self, session: SessionRecord, seen: Seen | None = None, device: DeviceRecord | None = None) -> None:
        """Note that the session's device is here, if what is noted is old. Does not wait for the disk."""
        now = self._seen[session.id] = self._clock()
        if not self.is_stale(session) and (device is None or now - device.last_seen <= _TOUCH_S):
            return

        def job(tx: Transaction) -> None:
            tx.touch_session(session.id, now, str(seen.address) if seen else None)
            if seen:
                tx.touch_binding(str(seen.address), now)
                if device and tx.device(device.id):
                    tx.touch_device(device.id, now, str(seen.address), seen.mac)

        self._store.write(job)

    def is_stale(self, session: SessionRecord) -> bool:
        """Whether the noted activity is old, or the record is."""
        return self._clock() - session.last_activity > _TOUCH_S

    def peek(self, address: Address) -> SessionRecord | None:
        """The live session that the address names, left as it is."""
        session = self._store.read.session_of_address(str(address))
        return None if session is None or self.is_over(session) else session

    def open(self, who: Address | Seen) -> SessionRecord:
        """The session of that address, or of what was seen of a request: refreshed, resumed or new. Waits for the disk.

        Raises DeviceNeededError and BusyError where nobody can say of what was seen whose it is.
        """

        def job(tx: Transaction) -> SessionRecord:
            now = self._clock()
            if isinstance(who, Seen):
                return self._resumed(tx, settle(tx, who, now), now, who.address)
            session = tx.session_of_address(str(who))
            if session is None:
                session = add_session(tx, who, now)
                tx.bind(str(who), session.id, now, mac=None, device_id=None)
            return self._resumed(tx, session, now, who)

        session = self._store.write(job).result()
        self.write_facts(session)
        return session

    def resume(self, session: SessionRecord) -> SessionRecord:
        """The session, live from now on, wherever its device is. Waits for the disk. Raises NotFoundError."""

        def job(tx: Transaction) -> SessionRecord:
            known = tx.session(session.id)
            if known is None or known.state is SessionState.ENDED:
                raise NotFoundError
            return self._resumed(tx, known, self._clock(), parse_address(known.address))

        return self._store.write(job).result()

    def add_device(
        self, seen: Seen, kind: DeviceKind, name: str, token_hash: str, *, fresh: bool = False
    ) -> DeviceRecord:
        """A device for one who has none, of the session that is theirs, made or resumed. Waits for the disk.

        `fresh`: of a new session, also for one who has a device. Raises BusyError and NotFoundError.
        """

        def job(tx: Transaction) -> DeviceRecord:
            now = self._clock()
            device = settle_device(tx, seen, kind, name, token_hash, now, fresh=fresh)
            session = tx.session(device.session_id)
            if session is not None:
                self._resumed(tx, session, now, seen.address)
            return device

        return self._store.write(job).result()

    def _resumed(self, tx: Transaction, session: SessionRecord, now: float, address: Address) -> SessionRecord:
        if session.state is SessionState.LIVE and self._is_idle(session) and not tx.live_count(session.id):
            session = tx.move_session(session.id, SessionState.EXPIRED, now)
        if session.state is SessionState.EXPIRED:
            tx.move_session(session.id, SessionState.LIVE, now)
        return tx.touch_session(session.id, now, str(address))

    def workspace(self, session: SessionRecord, *, is_starting: bool = True) -> Workspace:
        """The session's workspace, which belongs to the user that its tasks run as. Raises TooManySessionsError.

        `is_starting`: who calls may do so for a task that is about to start, which has no box yet.
        """
        try:
            uid = user_range(session.user_slot) + TASK_UID
        except NoUserIdsError:
            raise TooManySessionsError(most=last_slot() + 1) from None
        return self._workspaces.workspace(
            session.name,
            uid,
            quota=lambda: self.quota(session),
            is_idle=lambda: not self._may_have_boxes(session, is_starting),
            on_made=lambda: self.write_facts(session),
        )

    def _may_have_boxes(self, session: SessionRecord, is_starting: bool) -> bool:
        """Whether a box may be there: the lease of one is kept a moment after it has begun to run."""
        live = self._store.read.live_tasks_of(session.id)
        running = [task for task in live if task.state is TaskState.RUNNING and task.runner in runners.SANDBOXED]
        return len(running) > is_starting or any(self._store.read.lease(task.id) for task in running)

    def release(self, session: SessionRecord) -> None:
        """Let go of what the host keeps for the session's workspace; its files stay."""
        self._workspaces.release(session.name)

    def discard(self, session: SessionRecord) -> None:
        """Remove all files of a session that is over. Raises OSError and LSMError."""
        self._workspaces.discard(self.workspace(session))

    def quota(self, session: SessionRecord) -> Quota:
        """What the session's files may take."""
        return allowance_of(self._store.read, self._settings, session.id).quota

    def write_facts(self, session: SessionRecord) -> None:
        """Bring the copy of the session's facts in its workspace up to date."""
        self.workspace(session).write_facts(
            {
                "session_id": session.id,
                "ip": session.address,
                "workspace": session.name,
                "task_namespace": session.namespace,
                "state": str(session.state),
                "created_at": session.created_at,
                "last_activity": session.last_activity,
                "total_tasks": session.total_tasks,
            }
        )

    def watch(self, session_ids: frozenset[str]) -> None:
        """Know which sessions have a dashboard in sight: they are in use. Those that had one until now were, too."""
        now = self._clock()
        for session_id in self._in_sight | session_ids:
            self._seen[session_id] = now
        self._in_sight = session_ids

    def _set_by(self) -> float:
        """By how many seconds the clock was set since what is noted was last brought after it."""
        by = self._clock() - self._steady() - self._offset
        return by if abs(by) > _CLOCK_SLACK_S else 0.0

    def follow_clock(self) -> None:
        """Have what used the sessions be as long ago as it was, if somebody has set the clock. Waits for the disk."""
        by = self._set_by()
        if not by:
            self._offset = self._clock() - self._steady()  # what is slewed is no jump, however much it comes to
            return

        def job(tx: Transaction) -> None:
            now = self._clock()
            tx.follow_clock(by, now)
            for session_id, seen in list(self._seen.items()):
                if by > 0 or seen > now:
                    self._seen[session_id] = min(seen + by, now)
            self._offset += by

        self._store.write(job).result()

    def expires_at(self, session: SessionRecord) -> float | None:
        """When the session expires if nothing happens; None while something keeps it, or it has expired."""
        if session.state is not SessionState.LIVE or session.id in self._in_sight:
            return None
        if self._store.read.live_count(session.id):
            return None
        return self._last_use(session.id, session.last_activity) + self._timeout_s

    @property
    def warning_s(self) -> float:
        """How long before its end somebody who may still look is told of it."""
        return min(_WARNING_S, self._timeout_s / 2)

    def next_expiry(self) -> float | None:
        """When the next session expires if nothing happens."""
        idle = self._store.read.oldest_activity()
        return min(
            (self._last_use(id_, noted) + self._timeout_s for id_, noted in idle if id_ not in self._in_sight),
            default=None,
        )

    @property
    def _timeout_s(self) -> float:
        return self._settings.session_timeout_minutes * 60

    def _last_use(self, session_id: str, noted: float) -> float:
        # What was seen is kept in memory, so that not every request is a write; a clock that was set back counts too.
        return max(noted, min(self._seen.get(session_id, noted), self._clock()))

    def is_over(self, session: SessionRecord) -> bool:
        """Whether the session is not live, or is idle for so long that it is about to expire."""
        if session.state is not SessionState.LIVE:
            return True
        return self._is_idle(session) and not self._store.read.live_count(session.id)

    def _is_idle(self, session: SessionRecord) -> bool:
        if session.id in self._in_sight:
            return False
        # As the clock would be: what is noted has not followed it yet.
        now = self._clock() - self._set_by()
        return now - self._last_use(session.id, session.last_activity) >= self._timeout_s

    def expire_idle(self) -> list[SessionRecord]:
        """Expire every session without activity for the timeout and without a live task. Waits for the disk."""
        self.follow_clock()

        def job(tx: Transaction) -> list[SessionRecord]:
            now = self._clock()
            idle = [session for session in tx.idle_sessions(now - self._timeout_s) if self._is_idle(session)]
            return [tx.move_session(session.id, SessionState.EXPIRED, now) for session in idle]

        expired = self._store.write(job).result()
        for session in expired:
            self._seen.pop(session.id, None)
            self.write_facts(session)
        return expired

    def make_room(self) -> int:
        """Remove sessions that were only looked at where user ids are scarce, and give how many. Waits for the disk.

        Else whoever has many addresses could use them up for all. Those that were not there for longest go first.
        """
        if self._store.read.session_count() * 2 <= last_slot() + 1:
            return 0
        unused = self._store.read.unused_sessions(_REMOVED_AT_ONCE)
        gone = [session.id for session in unused if not self.workspace(session).is_made]
        return self._store.write(lambda tx: sum(map(tx.remove_unused_session, gone))).result() if gone else 0

    def expire(self, session_id: str) -> Future[SessionRecord | None]:
        """Expire a session now: what waits is cancelled, what runs is stopped, files stay. None when it is not live."""

        def job(tx: Transaction) -> SessionRecord | None:
            now = self._clock()
            session = tx.session(session_id)
            if session is None or session.state is not SessionState.LIVE:
                return None
            for task in tx.live_tasks_of(session_id):
                if task.state is TaskState.RUNNING and (task.runner in runners.SANDBOXED or tx.is_claimed(task)):
                    tx.stop_task(task.id, Reason.SESSION_ENDED, now)
                else:
                    tx.move_task(task.id, TaskState.CANCELLED, now, ended_at=now, reason=Reason.SESSION_ENDED)
            return tx.move_session(session_id, SessionState.EXPIRED, now)

        return self._store.write(job)
