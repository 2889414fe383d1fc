"""Tasks: accept, number, move from state to state, finish.

Every change is a job of the store's writer; the future that a method gives is done when the change is on disk.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import StrEnum

from lan_session_manager import runners
from lan_session_manager.allowances import allowance_of
from lan_session_manager.batches import BatchItem, ordered
from lan_session_manager.errors import (
    ConflictError,
    IllegalMoveError,
    InvalidInputError,
    LSMError,
    NoSandboxError,
    NotFoundError,
    QueueFullError,
    RunsHereError,
    StillActiveError,
)
from lan_session_manager.requests import LONGEST_ID, Request, again, checked, checked_order, shown, text_of
from lan_session_manager.settings import Settings
from lan_session_manager.shares import add_charge, charge
from lan_session_manager.states import Reason, SessionState, TaskState
from lan_session_manager.store import Store, Transaction
from lan_session_manager.store.records import LeaseRecord, NewTask, OutputFile, SourceType, TaskRecord

_NUMBERED = re.compile(r"(user_.+)_task_([0-9]+)")
_LAST_NUMBER = 10**9


@dataclass(frozen=True)
class Result:
    """How a task ended, as an engine found it."""

    reason: Reason
    exit_code: int | None
    ended_at: float
    detail: str = ""
    child_out_of_memory: bool = False
    cpu_s: float | None = None
    memory_peak_mb: float | None = None
    outputs: tuple[OutputFile, ...] = ()
    outputs_total: int = 0
    kept_bytes: int | None = None  # what its log and records take on the disk

    @property
    def state(self) -> TaskState:
        """The state that such an end is."""
        if self.reason is Reason.EXIT and self.exit_code == 0:
            return TaskState.COMPLETED
        return TaskState.CANCELLED if self.reason in _ASKED_FOR else TaskState.FAILED


_HAD_RETRY = "It had been tried again already, as often as it had asked for. Run it again if you want to."
_ASKED_FOR_NONE = "It had not asked to be tried again by itself (retries). Run it again if you want to."
_ASKED_FOR = frozenset(
    {Reason.CANCELLED_BY_USER, Reason.CANCELLED_BY_ADMIN, Reason.SESSION_ENDED, Reason.DEPENDENCY_FAILED}
)


class BulkAction(StrEnum):
    """What can be done with many tasks at once."""

    CANCEL = "cancel"
    DELETE = "delete"
    RERUN = "rerun"


class Tasks:
    """The tasks of all sessions."""

    def __init__(self, store: Store, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    def now(self) -> float:
        """The time that tasks are dated with: Unix time in seconds."""
        return self._clock()

    def check(self, request: Request, session_id: str | None) -> NewTask:
        """What the request makes as a task of a session; None: of one that is not there yet. See `requests.checked`."""
        return self.check_all([request], session_id)[0]

    def check_all(self, requests: Sequence[Request], session_id: str | None) -> list[NewTask]:
        """The same of several."""
        allowed, now = allowance_of(self._store.read, self._settings, session_id), self._clock()
        return [checked(request, allowed, self._settings, now) for request in requests]

    def submit(self, session_id: str, request: Request) -> Future[TaskRecord]:
        """Accept a task of a live session; with a key that the session has used, give the task of then.

        Raises like `check`; the future raises QueueFullError, and NotFoundError for a session that is not live.
        """
        new = self.check(request, session_id)

        def job(tx: Transaction) -> TaskRecord:
            bound = self._open(tx, session_id)
            if new.idempotency_key is not None and (known := tx.task_of_key(session_id, new.idempotency_key)):
                return known
            if tx.queued_count(session_id) >= bound:
                raise QueueFullError(bound=bound)
            now = self._clock()
            tx.touch_session(session_id, now)
            return self._accepted(tx, session_id, new, now, {})

        return self._store.write(job)

    def submit_batch(self, session_id: str, items: Sequence[BatchItem]) -> Future[list[TaskRecord]]:
        """Accept the tasks of a batch, all or none; they come in the order of the items.

        What a task waits for is the ref of another one of the batch, else the id of a task of the session. Raises like
        `check` and `batches.ordered`; the future like that of `submit`.
        """
        order = ordered(items)
        new = self.check_all([item.request for item in items], session_id)

        def job(tx: Transaction) -> list[TaskRecord]:
            bound = self._open(tx, session_id)
            fresh = sum(
                one.idempotency_key is None or not tx.task_of_key(session_id, one.idempotency_key) for one in new
            )
            if fresh and tx.queued_count(session_id) + fresh > bound:
                raise QueueFullError(bound=bound)
            now = self._clock()
            tx.touch_session(session_id, now)
            ids: dict[str, str] = {}
            accepted: dict[int, TaskRecord] = {}
            for place in order:
                task = self._accepted(tx, session_id, new[place], now, ids)
                accepted[place] = task
                if ref := items[place].ref:
                    ids[ref] = task.id
            return [accepted[place] for place in range(len(items))]

        return self._store.write(job)

    def change(self, task_id: str, *, priority: int | None, start_after: float | None) -> Future[TaskRecord]:
        """Give a waiting task another priority or another earliest start (0: none). Raises InvalidInputError.

        The future raises NotFoundError, and IllegalMoveError for a task that does not wait any more.
        """
        checked_order(priority, start_after, self._clock())

        def job(tx: Transaction) -> TaskRecord:
            task = _known(tx, task_id)
            if task.state is not TaskState.QUEUED:
                raise IllegalMoveError(
                    subject=f"task {task_id}", wanted="changed", expected="queued", actual=str(task.state)
                )
            return tx.change_task(task_id, self._clock(), priority=priority, start_after=start_after)

        return self._store.write(job)

    def bulk(
        self, session_id: str, action: BulkAction, task_ids: Sequence[str], *, has_sandbox: bool = True
    ) -> Future[list[TaskRecord | LSMError]]:
        """Cancel, delete or run again many tasks of a session; gives for each the task, or why not.

        What cannot be done for one does not hold up the others. Without a sandbox nothing that needs one runs again.
        """

        def one(tx: Transaction, task_id: str) -> TaskRecord:
            task = tx.task_of(session_id, task_id)
            if task is None:
                raise NotFoundError
            match action:
                case BulkAction.CANCEL:
                    return self._cancelled(tx, task_id, Reason.CANCELLED_BY_USER)
                case BulkAction.DELETE:
                    self._deleted(tx, task_id)
                    return task
                case BulkAction.RERUN:
                    new = self.check(again(task), session_id)
                    if new.runner in runners.SANDBOXED and not has_sandbox:
                        raise NoSandboxError
                    bound = self._open(tx, session_id)
                    if tx.queued_count(session_id) >= bound:
                        raise QueueFullError(bound=bound)
                    return self._accepted(tx, session_id, new, self._clock(), {})

        def job(tx: Transaction) -> list[TaskRecord | LSMError]:
            found: dict[int, TaskRecord | LSMError] = {}
            places = list(range(len(task_ids)))
            order = places
            if action is BulkAction.CANCEL:  # the newest first: what waits for another one is not to end by its end
                order = sorted(places, key=lambda place: _seq(tx.task_of(session_id, task_ids[place])), reverse=True)
            for place in order:
                try:
                    found[place] = one(tx, task_ids[place])
                except LSMError as error:
                    found[place] = error
            return [found[place] for place in places]

        return self._store.write(job)

    def _open(self, tx: Transaction, session_id: str) -> int:
        """How many tasks of the session may wait. Raises NotFoundError for one that is not live."""
        session = tx.session(session_id)
        if session is None or session.state is not SessionState.LIVE:
            raise NotFoundError
        return allowance_of(tx, self._settings, session_id).queue_bound

    def _accepted(
        self, tx: Transaction, session_id: str, new: NewTask, now: float, ids: Mapping[str, str]
    ) -> TaskRecord:
        """The task that is accepted, or that was under the same key. `ids`: of what the tasks of a batch are called."""
        if new.idempotency_key is not None and (known := tx.task_of_key(session_id, new.idempotency_key)):
            return known
        depends_on = tuple(dict.fromkeys(ids.get(other, other) for other in new.depends_on))
        if depends_on and (missing := tx.not_of(session_id, depends_on)) is not None:
            raise InvalidInputError(what=f"There is no task {shown(missing)} of this session to wait for.")
        return tx.add_numbered_task(session_id, replace(new, depends_on=depends_on), now)

    def cancel(self, task_id: str, reason: Reason) -> Future[TaskRecord]:
        """End a task: at once while it waits; a running one is marked, and whoever runs it stops it.

        The future raises NotFoundError, and IllegalMoveError for a task that has ended.
        """

        return self._store.write(lambda tx: self._cancelled(tx, task_id, reason))

    def _cancelled(self, tx: Transaction, task_id: str, reason: Reason) -> TaskRecord:
        task = _known(tx, task_id)
        if task.state is TaskState.RUNNING and (task.runner in runners.SANDBOXED or tx.is_claimed(task)):
            return tx.stop_task(task_id, reason, self._clock())
        now = self._clock()
        return tx.move_task(task_id, TaskState.CANCELLED, now, ended_at=now, reason=reason)

    def start(self, task_id: str, isolation: str) -> Future[TaskRecord]:
        """Move a queued task to running; whoever succeeds, and nobody else, then starts it.

        The future raises NotFoundError or IllegalMoveError.
        """

        def job(tx: Transaction) -> TaskRecord:
            task, now = _known(tx, task_id), self._clock()
            attempt = task.attempt
            _check_ready(tx, task, now)
            detail = "" if attempt == 1 else f"This is attempt {attempt}: the one before it was lost."
            return tx.move_task(task_id, TaskState.RUNNING, now, started_at=now, isolation=isolation, detail=detail)

        return self._store.write(job)

    def put_back(self, task_id: str, detail: str) -> Future[TaskRecord]:
        """Move a task that could not be started back to the queue, and say why; one that is to stop has its end.

        The future raises NotFoundError or IllegalMoveError.
        """

        def job(tx: Transaction) -> TaskRecord:
            task = _known(tx, task_id)
            now = self._clock()
            if task.stop_reason is not None:
                result = Result(task.stop_reason, None, now)
                return tx.move_task(task_id, result.state, now, **vars(result))
            return tx.move_task(task_id, TaskState.QUEUED, now, started_at=None, isolation=None, detail=detail)

        return self._store.write(job)

    def keep_lease(self, lease: LeaseRecord) -> Future[None]:
        """Note where a started task is to be found."""
        return self._store.write(lambda tx: tx.keep_lease(lease))

    def finish(self, task_id: str, result: Result) -> Future[TaskRecord]:
        """Give a running task its one end, or, if it was lost and asked for that, its next attempt.

        The future raises NotFoundError or IllegalMoveError.
        """

        return self._store.write(lambda tx: self._finished(tx, task_id, result))

    def finish_claimed(self, task_id: str, token_hash: str, result: Result) -> Future[TaskRecord]:
        """The same for a task that a worker has claimed, while its lease is the one with that hash.

        The future raises NotFoundError where it is another one.
        """

        def job(tx: Transaction) -> TaskRecord:
            lease = tx.worker_lease(task_id)
            if lease is None or lease.token_hash != token_hash:
                raise NotFoundError
            return self._finished(tx, task_id, result)

        return self._store.write(job)

    def _finished(self, tx: Transaction, task_id: str, result: Result) -> TaskRecord:
        task, now, end = _known(tx, task_id), self._clock(), result
        if end.reason is Reason.LOST:
            if task.stop_reason is None and task.attempt <= task.retries:
                again = {"attempt": task.attempt + 1, "started_at": None, "isolation": None}
                detail = f"{end.detail} Attempt {task.attempt + 1} begins as soon as there is room for it."
                return tx.move_task(task_id, TaskState.QUEUED, now, **again, detail=detail.strip())
            end = _lost(task, end)
        if task.session_id and task.started_at is not None:
            # The clock may have been set while it ran: no task holds a slot for longer than it may run.
            held_s = min(max(0.0, end.ended_at - task.started_at), task.time_s)
            add_charge(tx, task.session_id, charge(end.cpu_s, held_s), now, self._settings.share_half_life_s)
        return tx.move_task(task_id, end.state, now, **vars(end))

    def complete(self, task_id: str, status: str) -> Future[TaskRecord]:
        """End a task on the word of the orchestrator that did it; once more with the same status changes nothing.

        Raises InvalidInputError; the future raises NotFoundError, IllegalMoveError, and RunsHereError for a task that
        runs in a sandbox of this server.
        """
        state = _end_named(status)

        def job(tx: Transaction) -> TaskRecord:
            task = _known(tx, task_id)
            if task.state is state:
                return task
            if task.state is TaskState.RUNNING and task.runner in runners.SANDBOXED:
                raise RunsHereError(task_id=task_id)
            if task.state is TaskState.RUNNING and tx.is_claimed(task):
                raise ConflictError(
                    what=f"The task {task_id} is claimed by a worker, which says by its lease how it ends."
                )
            now = self._clock()
            if task.state is TaskState.QUEUED and state is not TaskState.CANCELLED:
                _check_ready(tx, task, now)
                tx.move_task(task_id, TaskState.RUNNING, now, started_at=now)
            reason = Reason.CANCELLED_BY_ADMIN if state is TaskState.CANCELLED else Reason.EXIT
            return tx.move_task(task_id, state, now, ended_at=now, reason=reason)

        return self._store.write(job)

    def tag(self, task_id: str, source_type: str, session_id: str | None) -> Future[TaskRecord]:
        """Take an orchestrator's word for what a task is.

        A task that is not known is one of the orchestrator's own: it is noted as running, for the session or for
        nobody. A task that waits for a swarm worker has been taken by the orchestrator: it runs from now on. Raises
        InvalidInputError; the future raises IllegalMoveError for a task that has ended, and ConflictError for an id
        that this server has given, or may give to another session.
        """
        if source_type not in list(SourceType):
            raise InvalidInputError(what=f"There is no such source type. Choose one of: {', '.join(SourceType)}.")
        text_of("task_id", task_id, LONGEST_ID)
        if not task_id:
            raise InvalidInputError(what="The task_id is empty. Give the task a name of its own.")
        source = SourceType(source_type)

        def job(tx: Transaction) -> TaskRecord:
            now = self._clock()
            task = tx.task(task_id)
            if task is None:
                new = NewTask(runners.SWARM, source, task_id, task_id, 0, 0.0)
                number = _number_not_given(tx, task_id, session_id)
                return tx.add_reported_task(task_id, session_id, new, now, number=number)
            if task.state.ended:
                raise IllegalMoveError(
                    subject=f"task {task_id}", wanted="tagged", expected="queued or running", actual=str(task.state)
                )
            if task.state is TaskState.QUEUED and task.runner == runners.SWARM:
                _check_ready(tx, task, now)
                tx.move_task(task_id, TaskState.RUNNING, now, started_at=now)
            return tx.tag_task(task_id, source, now)

        return self._store.write(job)

    def delete(self, task_id: str) -> Future[None]:
        """Remove an ended task. The future raises NotFoundError, and StillActiveError for one that has not ended."""

        return self._store.write(lambda tx: self._deleted(tx, task_id))

    def _deleted(self, tx: Transaction, task_id: str) -> None:
        if not _known(tx, task_id).state.ended:
            raise StillActiveError(task_id=task_id)
        tx.delete_task(task_id, self._clock())


def _lost(task: TaskRecord, end: Result) -> Result:
    """The end of a task that was lost for good; somebody may have wanted it to end anyway."""
    if task.stop_reason is not None:
        return replace(end, reason=task.stop_reason)
    return replace(end, detail=f"{end.detail} {_HAD_RETRY if task.retries else _ASKED_FOR_NONE}".strip())


def _seq(task: TaskRecord | None) -> int:
    return task.seq if task else 0


def _known(tx: Transaction, task_id: str) -> TaskRecord:
    task = tx.task(task_id)
    if task is None:
        raise NotFoundError
    return task


def _check_ready(tx: Transaction, task: TaskRecord, now: float) -> None:
    """Raise IllegalMoveError for a task that waits for others or for its time, or whose session is paused."""
    if task.state is not TaskState.QUEUED:
        return
    session = tx.session(task.session_id) if task.session_id else None
    is_paused = session is not None and session.paused_at is not None
    if is_paused or task.open_dependencies or (task.start_after or 0) > now:
        actual = "paused" if is_paused else "waiting"
        raise IllegalMoveError(subject=f"task {task.id}", wanted="running", expected="ready", actual=actual)


def _number_not_given(tx: Transaction, task_id: str, session_id: str | None) -> int:
    """The number in an id that looks like one of this server's, 0 in any other. Raises ConflictError.

    What has been deleted is not there any more, and yet its id may stand in a log or in a browser's history.
    """
    numbered = _NUMBERED.fullmatch(task_id)
    if numbered is None:
        return 0
    session = tx.session(session_id) if session_id else None
    number = int(numbered[2])
    if session is None or numbered[1] != session.namespace or not session.next_number <= number <= _LAST_NUMBER:
        raise ConflictError(
            what=f"The id {task_id} is one that this server gives, and no task has it now. Report the work under a name"
            " of your own."
        )
    return number


def _end_named(status: str) -> TaskState:
    ends = [str(state) for state in TaskState if state.ended]
    if status not in ends:
        raise InvalidInputError(what=f"There is no such end. Choose one of: {', '.join(ends)}.")
    return TaskState(status)
