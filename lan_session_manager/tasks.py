"""Tasks: accept, number, move from state to state, finish.

Every change is a job of the store's writer; the future that a method gives is done when the change is on disk.
"""

import json
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import Any

from lan_session_manager import runners
from lan_session_manager.allowances import LIMITS, TaskLimits, allowance_of, limits_of
from lan_session_manager.destinations import NO_NETWORK
from lan_session_manager.errors import (
    ConflictError,
    IllegalMoveError,
    InvalidInputError,
    NetworkError,
    NotFoundError,
    QueueFullError,
    RunsHereError,
    StillActiveError,
)
from lan_session_manager.settings import Settings
from lan_session_manager.states import Reason, SessionState, TaskState
from lan_session_manager.store import Store, Transaction
from lan_session_manager.store.records import LeaseRecord, NewTask, OutputFile, SourceType, TaskRecord

LONGEST_DESCRIPTION = 2_000
LONGEST_COMMAND = 65_536
_LONGEST_ARGUMENT = 131_071  # bytes: MAX_ARG_STRLEN of execve(2) without the final NUL
LONGEST_KEY = 200
LONGEST_NETWORK = 100
LONGEST_ID = 300
LONGEST_METADATA = 8192  # characters of JSON
MOST_DEPENDENCIES = 100
HIGHEST_PRIORITY = 100
LATEST_START_S = 366 * 86_400

_NUMBERED = re.compile(r"(user_.+)_task_([0-9]+)")
_LAST_NUMBER = 10**9
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_IN_A_COMMAND = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Request:
    """What a client asks for. `runner` None: the server picks; `command` None: the description is the command."""

    description: str
    runner: str | None = None
    command: str | None = None
    memory_mb: int | None = None
    time_s: float | None = None
    idempotency_key: str | None = None
    network: str | None = None  # the name of a network profile
    cores: float | None = None
    pids: int | None = None
    open_files: int | None = None
    log_mb: int | None = None
    disk_mb: int | None = None
    files: int | None = None
    depends_on: tuple[
        str, ...
    ] = ()  # ids of tasks of the same session; in a batch also what its tasks are called there
    priority: int | None = None  # None: the usual one, 0
    start_after: float | None = None  # Unix time in seconds
    retries: int | None = None
    parallel_safe: bool | None = None
    metadata: Mapping[str, Any] | None = None

    @property
    def limits(self) -> TaskLimits:
        """The limits that it asks for."""
        return TaskLimits(**{name: getattr(self, name) for name in LIMITS})


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


_ASKED_FOR = frozenset(
    {Reason.CANCELLED_BY_USER, Reason.CANCELLED_BY_ADMIN, Reason.SESSION_ENDED, Reason.DEPENDENCY_FAILED}
)


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
        """What the request makes as a task of a session; None: of one that is not there yet.

        Raises InvalidInputError or LimitTooHighError; touches nothing.
        """
        description = " ".join(
            _text("description", request.description, LONGEST_DESCRIPTION, _NOT_IN_A_COMMAND).split()
        )
        if not description:
            raise InvalidInputError(what="The description is empty. Say what the task is to do.")
        runner = request.runner if request.runner is not None else runners.pick(request.command or description)
        if runner not in runners.NAMES:
            raise InvalidInputError(what=f"There is no such runner. Choose one of: {', '.join(runners.NAMES)}.")
        command = request.description if request.command is None else request.command
        command = _text("command", command, LONGEST_COMMAND, _NOT_IN_A_COMMAND)
        if len(command.encode()) > _LONGEST_ARGUMENT:
            raise InvalidInputError(what=f"The command is too long: {_LONGEST_ARGUMENT} bytes are the most.")
        if not command.strip():
            raise InvalidInputError(what="The command is empty. Type what is to run.")
        if request.idempotency_key is not None:
            key = _text("idempotency_key", request.idempotency_key, LONGEST_KEY, _UNPRINTABLE)
            if not key:
                raise InvalidInputError(
                    what="The idempotency_key is empty. Send a text of your own choice, or leave it out."
                )
        settings = self._settings
        allowed = allowance_of(self._store.read, settings, session_id)
        network = NO_NETWORK if request.network is None else request.network
        if network not in (NO_NETWORK, *allowed.networks):
            asked = _text("network", network, LONGEST_NETWORK, _UNPRINTABLE)
            raise NetworkError(asked=asked, allowed=", ".join((NO_NETWORK, *allowed.networks)))
        return NewTask(
            runner=runner,
            source_type=SourceType.USER_TRIGGERED,
            description=description,
            command=command,
            idempotency_key=request.idempotency_key,
            network=network,
            **asdict(limits_of(request.limits, allowed, settings)),
            **self._order(request),
        )

    def _order(self, request: Request) -> dict[str, Any]:
        """What the request says of its place in the queue, as fields of a task."""
        if len(request.depends_on) > MOST_DEPENDENCIES:
            raise InvalidInputError(what=f"A task may wait for {MOST_DEPENDENCIES} others at most.")
        if abs(request.priority or 0) > HIGHEST_PRIORITY:
            raise InvalidInputError(what=f"The priority goes from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}.")
        if request.retries not in (None, 0, 1):
            raise InvalidInputError(what="A lost task is run once more at most: retries is 0 or 1.")
        if request.start_after is not None and not 0 <= request.start_after <= self._clock() + LATEST_START_S:
            raise InvalidInputError(what="start_after is a moment within the next year.")
        metadata = dict(request.metadata or {})
        if len(json.dumps(metadata)) > LONGEST_METADATA:
            raise InvalidInputError(
                what=f"The metadata are too long: {LONGEST_METADATA} characters of JSON are the most."
            )
        return {
            "depends_on": tuple(dict.fromkeys(request.depends_on)),
            "priority": request.priority or 0,
            "start_after": request.start_after,
            "retries": request.retries or 0,
            "parallel_safe": request.parallel_safe is not False,
            "metadata": metadata,
        }

    def submit(self, session_id: str, request: Request) -> Future[TaskRecord]:
        """Accept a task of a live session; with a key that the session has used, give the task of then.

        Raises like `check`; the future raises QueueFullError, and NotFoundError for a session that is not live.
        """
        new = self.check(request, session_id)

        def job(tx: Transaction) -> TaskRecord:
            session = tx.session(session_id)
            if session is None or session.state is not SessionState.LIVE:
                raise NotFoundError
            if new.idempotency_key is not None and (known := tx.task_of_key(session_id, new.idempotency_key)):
                return known
            bound = allowance_of(tx, self._settings, session_id).queue_bound
            if tx.queued_count(session_id) >= bound:
                raise QueueFullError(bound=bound)
            now = self._clock()
            tx.touch_session(session_id, now)
            for other in new.depends_on:
                if tx.task_of(session_id, other) is None:
                    raise InvalidInputError(what=f"There is no task {_shown(other)} of this session to wait for.")
            return tx.add_numbered_task(session_id, new, now)

        return self._store.write(job)

    def again(self, task: TaskRecord, edits: Request | None = None) -> Request:
        """The request that runs a task once more, with the fields of `edits` that are given in place of its own."""
        if task.number is None:
            raise InvalidInputError(what="This task was reported by an orchestrator: only that can run it again.")
        limits: dict[str, Any] = {name: getattr(task, name) or None for name in LIMITS}
        same = Request(
            task.description,
            task.runner,
            task.command,
            network=task.network,
            priority=task.priority,
            retries=task.retries,
            parallel_safe=task.parallel_safe,
            metadata=task.metadata,
            **limits,
        )
        if edits is None:
            return same
        return replace(same, **{name: value for name, value in vars(edits).items() if value not in (None, "", ())})

    def cancel(self, task_id: str, reason: Reason) -> Future[TaskRecord]:
        """End a task: at once while it waits; a running one is marked, and whoever runs it stops it.

        The future raises NotFoundError, and IllegalMoveError for a task that has ended.
        """

        def job(tx: Transaction) -> TaskRecord:
            task = _known(tx, task_id)
            if task.state is TaskState.RUNNING and task.runner in runners.SANDBOXED:
                return tx.stop_task(task_id, reason, self._clock())
            now = self._clock()
            return tx.move_task(task_id, TaskState.CANCELLED, now, ended_at=now, reason=reason)

        return self._store.write(job)

    def start(self, task_id: str, isolation: str) -> Future[TaskRecord]:
        """Move a queued task to running; whoever succeeds, and nobody else, then starts it.

        The future raises NotFoundError or IllegalMoveError.
        """

        def job(tx: Transaction) -> TaskRecord:
            _known(tx, task_id)
            now = self._clock()
            return tx.move_task(task_id, TaskState.RUNNING, now, started_at=now, isolation=isolation, detail="")

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
        """Give a running task its one end. The future raises NotFoundError or IllegalMoveError."""

        def job(tx: Transaction) -> TaskRecord:
            _known(tx, task_id)
            return tx.move_task(task_id, result.state, self._clock(), **vars(result))

        return self._store.write(job)

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
            now = self._clock()
            if task.state is TaskState.QUEUED and state is not TaskState.CANCELLED:
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
        _text("task_id", task_id, LONGEST_ID, _UNPRINTABLE)
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
                tx.move_task(task_id, TaskState.RUNNING, now, started_at=now)
            return tx.tag_task(task_id, source, now)

        return self._store.write(job)

    def delete(self, task_id: str) -> Future[None]:
        """Remove an ended task. The future raises NotFoundError, and StillActiveError for one that has not ended."""

        def job(tx: Transaction) -> None:
            if not _known(tx, task_id).state.ended:
                raise StillActiveError(task_id=task_id)
            tx.delete_task(task_id, self._clock())

        return self._store.write(job)


def _shown(text: str) -> str:
    """A text of a client as it may stand in a sentence."""
    return _UNPRINTABLE.sub("?", text[:LONGEST_ID])


def _known(tx: Transaction, task_id: str) -> TaskRecord:
    task = tx.task(task_id)
    if task is None:
        raise NotFoundError
    return task


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


def _text(name: str, value: str, longest: int, refused: re.Pattern[str]) -> str:
    if len(value) > longest:
        raise InvalidInputError(what=f"The {name} is too long: {longest} characters are the most.")
    if found := refused.search(value):
        raise InvalidInputError(what=f"The {name} holds the character U+{ord(found[0]):04X}. Take it out.")
    return value
