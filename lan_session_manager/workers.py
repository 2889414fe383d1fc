"""Workers outside: they claim tasks over HTTP, each with a lease that runs out unless they are heard of.

A claimed task runs like any other; who has its lease says how it goes and how it ended. A lease that runs out before
its worker was ever heard of puts the task back, three times at most; one that runs out later has lost the task, and
then `retries` decides. Whoever comes with a lease that is not the present one is nobody.
"""

import asyncio
import hashlib
import logging
import math
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from lan_session_manager.engine.base import Engine
from lan_session_manager.errors import ConflictError, InvalidInputError, LSMError, NotFoundError
from lan_session_manager.keptlogs import KeptLogs
from lan_session_manager.logs.appending import LogHoleError
from lan_session_manager.requests import shown
from lan_session_manager.runners import SANDBOXED, SWARM
from lan_session_manager.schedule import Room, Waiting, startable
from lan_session_manager.settings import MB, Settings
from lan_session_manager.shares import Shares
from lan_session_manager.states import Reason, TaskState
from lan_session_manager.store import Store, Transaction
from lan_session_manager.store.records import SessionRecord, TaskRecord
from lan_session_manager.tasks import Result, Tasks

_log = logging.getLogger(__name__)

KINDS = (SWARM,)
MOST_SILENT = 3  # claims of a task of which nothing was ever heard, until it is lost
GRACE_S = 30.0  # to end a task that is to stop, or that has run for as long as it may
LONGEST_DETAIL = 2000
_LOOK_S = 5.0
_JUMP_S = 2.0  # a clock that moved by more than this against the steady one was set
_SILENT = "The worker {worker} claimed the task and was not heard of again."
_GONE = "The worker {worker} was not heard of any more."


@dataclass(frozen=True)
class Claimed:
    """A task that a worker has got, with the secret of its lease and when that runs out (Unix time in seconds)."""

    task: TaskRecord
    session: SessionRecord
    lease: str
    expires_at: float
    log_next: int = 0  # where its log goes on


@dataclass(frozen=True)
class Outcome:
    """What a worker says of the end of its task. `state` is one of the ended ones."""

    state: TaskState
    exit_code: int | None = None
    detail: str = ""
    cpu_s: float | None = None
    memory_peak_mb: float | None = None


class Workers:
    """The leases of all workers."""

    def __init__(
        self,
        store: Store,
        tasks: Tasks,
        engine: Engine,
        shares: Shares,
        settings: Settings,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._engine = engine
        self._shares = shares
        self._settings = settings
        self._steady = steady
        self._logs = KeptLogs(store, engine, settings)
        self._last = (tasks.now(), steady())

    @property
    def lease_s(self) -> float:
        """For how long a lease is good after its worker was heard of."""
        return self._settings.worker_lease_s

    async def claim(self, worker: str, kinds: Sequence[str], capacity: int) -> list[Claimed]:
        """Hand up to `capacity` tasks that are ready to a worker, in the order of the queue; none may be.

        Raises InvalidInputError.
        """
        if unknown := [kind for kind in kinds if kind not in KINDS]:
            raise InvalidInputError(what=f"Workers cannot claim {shown(unknown[0])}. Choose from: {', '.join(KINDS)}.")
        given = await asyncio.wrap_future(self._store.write(lambda tx: self._given(tx, worker, kinds, capacity)))
        claimed = []
        for one in given:
            size = await self._engine.log_size(one.task.id)
            if size and one.task.attempt > 1:
                mark = f"\n[{one.task.detail or 'Attempt ' + str(one.task.attempt)}]\n".encode()
                size = await self._engine.append_log(one.task.id, size, "stdout", mark, self._log_bound(one.task))
            claimed.append(Claimed(one.task, one.session, one.lease, one.expires_at, size))
        return claimed

    def _given(self, tx: Transaction, worker: str, kinds: Sequence[str], capacity: int) -> list[Claimed]:
        now = self._tasks.now()
        heads = tx.heads(kinds, now)
        if not heads:
            return []
        waiting = [Waiting(*row) for row in tx.queues_of([session for session, _ in heads], kinds, now, capacity)]
        chosen = startable(waiting, self._shares.loads(tx, kinds), Room(capacity), 0)[:capacity]
        return [self._leased(tx, task.task_id, worker, now) for task in chosen]

    def _leased(self, tx: Transaction, task_id: str, worker: str, now: float) -> Claimed:
        secret, expires_at = secrets.token_urlsafe(32), now + self.lease_s
        before = tx.task(task_id)
        detail = before.detail if before and before.attempt > 1 else ""
        tx.move_task(task_id, TaskState.RUNNING, now, started_at=now, detail=detail)
        tx.add_worker_lease(task_id, _hash(secret), worker, expires_at)
        task = tx.task(task_id)
        session = tx.session(task.session_id or "") if task else None
        if task is None or session is None:
            raise LookupError(f"no session for {task_id}")
        return Claimed(task, session, secret, expires_at)

    def give_back(self, claimed: Sequence[Claimed]) -> Future[None]:
        """Put tasks back that could not be handed over, as who asked for them has gone."""

        def job(tx: Transaction) -> None:
            for one in claimed:
                lease = tx.worker_lease(one.task.id)
                if lease is not None and lease.token_hash == _hash(one.lease) and _runs(tx, one.task.id):
                    self._back(tx, one.task.id, self._tasks.now())

        return self._store.write(job)

    def of_lease(self, task_id: str, secret: str) -> tuple[TaskRecord, SessionRecord]:
        """The task, and its session, that this lease is of; also one that has ended. Raises NotFoundError."""
        read = self._store.read
        lease, task = read.worker_lease(task_id), read.task(task_id)
        session = read.session(task.session_id or "") if task else None
        if lease is None or task is None or session is None:
            raise NotFoundError
        if not secret or not secrets.compare_digest(lease.token_hash, _hash(secret)):
            raise NotFoundError
        return task, session

    def heard(self, task_id: str, secret: str) -> Future[tuple[float, str | None]]:
        """Note that the worker is there; gives until when its lease is good, and why the task is to stop, if it is.

        The future raises NotFoundError, and ConflictError for a task that has ended.
        """

        def job(tx: Transaction) -> tuple[float, str | None]:
            task, now = self._present(tx, task_id, secret), self._tasks.now()
            over_at = (task.started_at or now) + task.time_s if task.time_s else math.inf
            stop = str(task.stop_reason) if task.stop_reason else str(Reason.TIME_LIMIT) if now >= over_at else None
            tx.prolong(task_id, min(now + self.lease_s, over_at + GRACE_S))
            lease = tx.worker_lease(task_id)
            return (lease.expires_at if lease else now), stop

        return self._store.write(job)

    async def append(self, task_id: str, secret: str, offset: int, stream: str, data: bytes) -> int:
        """Add what a task has printed to its log; gives the offset that comes next. It prolongs the lease.

        Raises NotFoundError, and ConflictError for a task that has ended and where bytes are missing before these.
        """
        await asyncio.wrap_future(self.heard(task_id, secret))
        task, _ = self.of_lease(task_id, secret)
        try:
            return await self._engine.append_log(task_id, offset, stream, data, self._log_bound(task))
        except LogHoleError as error:
            raise ConflictError(
                what=f"Bytes are missing before these: the log goes on at offset {error.expected}."
            ) from None

    def _log_bound(self, task: TaskRecord) -> int:
        return (task.log_mb or self._settings.log_mb) * MB

    async def complete(self, task_id: str, secret: str, outcome: Outcome) -> TaskRecord:
        """Take a worker's word for the end of its task; the same word once more changes nothing.

        Raises NotFoundError, and ConflictError for a task that has ended in another way.
        """
        task, session = self.of_lease(task_id, secret)
        result = self._result(task, outcome)
        if not task.state.ended:
            result = Result(**{**vars(result), "kept_bytes": await self._logs.measured(task_id)})
            try:
                task = await asyncio.wrap_future(self._tasks.finish_claimed(task_id, _hash(secret), result))
            except LSMError:
                task, _ = self.of_lease(task_id, secret)  # it may have ended in this moment
            await self._logs.trim(session.id)
        if task.state is not result.state:
            raise ConflictError(what=f"The task has ended already: it is {task.state}.")
        return task

    def _result(self, task: TaskRecord, outcome: Outcome) -> Result:
        reason, exit_code = Reason.EXIT, outcome.exit_code
        if outcome.state is TaskState.CANCELLED:
            reason = task.stop_reason or Reason.CANCELLED_BY_ADMIN
        elif outcome.state is TaskState.COMPLETED:
            exit_code = 0
        elif exit_code == 0:
            exit_code = None
        return Result(
            reason,
            exit_code,
            self._tasks.now(),
            detail=outcome.detail,
            cpu_s=outcome.cpu_s,
            memory_peak_mb=outcome.memory_peak_mb,
        )

    def _present(self, tx: Transaction, task_id: str, secret: str) -> TaskRecord:
        lease, task = tx.worker_lease(task_id), tx.task(task_id)
        if lease is None or task is None or not secrets.compare_digest(lease.token_hash, _hash(secret)):
            raise NotFoundError
        if task.state is not TaskState.RUNNING:
            raise ConflictError(what=f"The task has ended already: it is {task.state}.")
        return task

    # leases that run out

    async def run(self) -> None:
        """Look after the leases until cancelled. After a start each has its whole time once more."""
        await asyncio.wrap_future(self._store.write(lambda tx: tx.grace_for_leases(self._tasks.now() + self.lease_s)))
        while True:
            await self.look()
            await asyncio.sleep(min(_LOOK_S, self.lease_s / 4))

    async def look(self) -> None:
        """Take back what has run out, and end what was to stop. Raises LSMError."""
        now, steady = self._tasks.now(), self._steady()
        moved = (now - self._last[0]) - (steady - self._last[1])
        self._last = (now, steady)
        if abs(moved) > _JUMP_S:
            await asyncio.wrap_future(self._store.write(lambda tx: tx.grace_for_leases(now, moved)))
        if stopping := self._store.read.stopping_claimed():
            await asyncio.wrap_future(self._store.write(lambda tx: tx.stop_by(stopping, now + GRACE_S)))
        for lease in self._store.read.worker_leases_until(now):
            await self._run_out(lease.task_id, now)

    async def _run_out(self, task_id: str, now: float) -> None:
        task, lease = self._store.read.task(task_id), self._store.read.worker_lease(task_id)
        if task is None or lease is None or task.state is not TaskState.RUNNING:
            return
        worker = task.worker or "nobody"
        over = task.time_s and now >= (task.started_at or now) + task.time_s
        if task.stop_reason is not None:
            result = Result(task.stop_reason, None, now)
        elif over:
            result = Result(Reason.TIME_LIMIT, None, now)
        elif not lease.is_used:
            back = self._store.write(lambda tx: self._put_back(tx, task_id, _SILENT.format(worker=worker)))
            if await asyncio.wrap_future(back):
                return
            result = Result(Reason.LOST, None, now, detail=_SILENT.format(worker=worker))
        else:
            result = Result(Reason.LOST, None, now, detail=_GONE.format(worker=worker))
        kept = await self._logs.measured(task_id)
        ended = self._tasks.finish_claimed(task_id, lease.token_hash, Result(**{**vars(result), "kept_bytes": kept}))
        try:
            await asyncio.wrap_future(ended)
        except LSMError as error:
            _log.info("the task %s was heard of in the moment when its lease ran out: %s", task_id, error)

    def _put_back(self, tx: Transaction, task_id: str, why: str) -> bool:
        lease, now = tx.worker_lease(task_id), self._tasks.now()
        if lease is None or lease.is_used or lease.expires_at > now or not _runs(tx, task_id):
            return True
        if tx.note_silent_claim(task_id) >= MOST_SILENT:
            return False
        self._back(tx, task_id, now, detail=why)
        return True

    def _back(self, tx: Transaction, task_id: str, now: float, **changes: str) -> None:
        """Move a task that nobody has begun to the queue; one that is to stop has its end: nobody may look for it."""
        task = tx.task(task_id)
        if task is not None and task.stop_reason is not None:
            result = Result(task.stop_reason, None, now)
            tx.move_task(task_id, result.state, now, **vars(result))
        else:
            tx.move_task(task_id, TaskState.QUEUED, now, started_at=None, **changes)


def _runs(tx: Transaction, task_id: str) -> bool:
    task = tx.task(task_id)
    return task is not None and task.state is TaskState.RUNNING and task.runner not in SANDBOXED


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
