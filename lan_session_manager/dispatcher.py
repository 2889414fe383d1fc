"""Hands what is next to the engine, and gives every started task its one end."""

import asyncio
import contextlib
import logging
import math
import signal
from collections.abc import Coroutine, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Any

from lan_session_manager import runners
from lan_session_manager.allowances import Allowance, allowance_of
from lan_session_manager.destinations import NO_NETWORK
from lan_session_manager.diskwatch import DiskWatch, Start
from lan_session_manager.engine.base import BoxStartError, Ending, Engine, Job, Lease, SessionLimits, TaskLimits
from lan_session_manager.errors import BusyError, IllegalMoveError, LSMError, NotFoundError, VolumeError
from lan_session_manager.feed import Feed
from lan_session_manager.growth import Amount, Most
from lan_session_manager.keptlogs import KeptLogs
from lan_session_manager.queueing import LOOK_S, Queueing
from lan_session_manager.sessions import Sessions
from lan_session_manager.settings import MB, Settings
from lan_session_manager.shares import Shares, forget_old
from lan_session_manager.shortage import Later, is_shortage
from lan_session_manager.states import Reason, TaskState
from lan_session_manager.store import Store
from lan_session_manager.store.records import EventKind, EventRecord, LeaseRecord, OutputFile, SessionRecord, TaskRecord
from lan_session_manager.tasks import Result, Tasks
from lan_session_manager.waits import SHORT

_log = logging.getLogger(__name__)

_RETRY_S = (0.1, 0.5, 2.0, 5.0)  # between attempts to write down an end; the last one is repeated
_SAMPLE_S = 5.0  # between looks at what running tasks use
_NEARLY = 0.9  # of its own limit: a task that had used less was not ended for that one
_OTHERS_MEMORY = (
    "The task had used {used} MB of the {may} MB that it may: all tasks of the session together, or the whole machine, "
    "had no more memory."
)
_NOTHING_LEFT = "The machine restarted while the task ran."
_NO_SANDBOX = "The server cannot run tasks now: its sandbox does not work. The task waits until it does."
_TOO_SHORT = "The task could not be started: the server was short of descriptors, memory or processes for too long."
_WAS_FULL = "The workspace was full: the task could not write what it wanted to."
_LARGE_FILE = "A file would have grown beyond the {disk_mb} MB that the task may add to the workspace."
_WAKES = frozenset(
    {
        EventKind.TASK_SUBMITTED,
        EventKind.TASK_COMPLETED,
        EventKind.TASK_REQUEUED,
        EventKind.TASK_CHANGED,
        EventKind.SESSION_RESUMED,
        EventKind.SESSION_PAUSED,  # what was chosen of it is not started: another one is
        EventKind.SESSION_UNPAUSED,
    }
)


@dataclass(frozen=True)
class Outputs:
    """The files that a task left."""

    files: tuple[OutputFile, ...] = ()
    total: int = 0


class _ShortageError(Exception):
    """A task could not be started because this machine was short of something for a moment."""


class Dispatcher:
    """Starts queued tasks while there are free slots, and follows each started one to its end."""

    def __init__(
        self,
        store: Store,
        tasks: Tasks,
        sessions: Sessions,
        engine: Engine,
        disk: DiskWatch,
        settings: Settings,
        grade: str | None,
        shares: Shares | None = None,
    ) -> None:
        """`grade` None: nothing is started, as no box would hold; what runs from before is looked after."""
        self._store = store
        self._tasks = tasks
        self._sessions = sessions
        self._engine = engine
        self._disk = disk
        self._settings = settings
        self._grade = grade
        self._shares = shares or Shares(settings, tasks.now)
        self._logs = KeptLogs(store, engine, settings)
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._small: set[asyncio.Task[None]] = set()
        self._later = Later()
        self._wake = asyncio.Event()
        self._is_held = grade is None
        self._has_adopted = False

    @property
    def busy(self) -> int:
        """How many tasks are being followed."""
        return len(self._followed)

    @property
    def is_done(self) -> bool:
        """Whether nothing runs, as far as that is known: not before what ran from before is adopted."""
        return self._has_adopted and not self._followed

    def hold(self) -> None:
        """Start nothing any more; what runs is followed on."""
        self._is_held = True

    def attach(self, feed: Feed) -> None:
        """Hear of what is submitted, to be stopped or deleted."""
        feed.listen(self._on_events)
        self._disk.listen(self._keep_base)

    async def run(self) -> None:
        """Adopt what an earlier server started, then keep the slots busy until cancelled; started tasks go on after."""
        queueing = Queueing(self._store, self._tasks, self._settings, self._shares)
        try:
            await self._adopt()
            self._has_adopted = True
            self._spawn(self._logs.forget_deleted())
            self._spawn(self._logs.measure_old())
            self._spawn(self._look_at_usage())
            self._spawn(self._forget_shares())
            self._wake.set()
            longest_s = LOOK_S
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(longest_s):  # Python 3.11's wait_for may lose a cancellation
                        await self._wake.wait()
                self._wake.clear()
                try:
                    longest_s = await self._fill(queueing)
                except LSMError:
                    _log.exception("the queue could not be read; it is tried again")
                    self._wake.set()
                    await asyncio.sleep(_RETRY_S[-1])
        finally:
            for task in (*self._followed.values(), *self._small):
                task.cancel()
            queueing.close()

    async def _forget_shares(self) -> None:
        with contextlib.suppress(LSMError):  # the next server does it
            forget = partial(forget_old, now=self._tasks.now(), half_life_s=self._settings.share_half_life_s)
            await asyncio.wrap_future(self._store.write(forget))

    async def _look_at_usage(self) -> None:
        """Know what running tasks have used so far, until cancelled."""
        while True:
            self._shares.so_far = {task_id: now.cpu_s for task_id, now in self._engine.used_now().items()}
            await asyncio.sleep(_SAMPLE_S)

    def _on_events(self, events: Sequence[EventRecord]) -> None:
        for event in events:
            if event.kind is EventKind.TASK_COMPLETED and event.task_id:
                self._later.forget(event.task_id)
            if event.kind in _WAKES:
                self._wake.set()
            elif event.kind is EventKind.TASK_STOPPING and event.task_id in self._followed:
                self._spawn(self._stop(event.task_id))
            elif event.kind is EventKind.TASK_DELETED and event.task_id:
                self._spawn(self._engine.forget(event.task_id))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._small.add(task)
        task.add_done_callback(self._small_done)

    def _small_done(self, task: "asyncio.Task[None]") -> None:
        self._small.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("a task could not be stopped or forgotten", exc_info=error)

    async def _fill(self, queueing: Queueing) -> float:
        """Start what is next, if there are free slots; gives after how many seconds to look again at the latest."""
        if self._is_held:
            return LOOK_S
        put_off = self._later.waiting(asyncio.get_running_loop().time())
        chosen, longest_s = await queueing.chosen(len(self._followed), put_off)
        for waiting in chosen:
            if self._is_held:  # since it was chosen
                break
            try:
                task = await asyncio.wrap_future(self._tasks.start(waiting.task_id, self._grade or ""))
            except (IllegalMoveError, NotFoundError):
                continue  # cancelled in this moment
            self._follow(task, None)
        return longest_s

    def _follow(self, task: TaskRecord, lease: Lease | None) -> None:
        follower = asyncio.create_task(self._followed_through(task, lease), name=f"follow {task.id}")
        self._followed[task.id] = follower

        def done(_: object) -> None:
            if self._followed.get(task.id) is follower:  # else it was lost, and its next attempt is there already
                del self._followed[task.id]
            self._wake.set()

        follower.add_done_callback(done)

    async def _followed_through(self, task: TaskRecord, lease: Lease | None) -> None:
        """Follow a task to its end through faults of this program and of a machine that is short of everything.

        To start is idempotent: what runs already is found again.
        """
        while True:
            try:
                await self._to_its_end(task, lease)
            except _ShortageError:
                await self._put_back(task)
            except Exception:  # noqa: BLE001 - whatever it is, a running task is not given up
                _log.exception("the task %s could not be followed; it is tried again", task.id)
                await asyncio.sleep(_RETRY_S[-1])
                continue
            return

    async def _to_its_end(self, task: TaskRecord, lease: Lease | None) -> None:
        session = self._store.read.session(task.session_id or "")
        if session is None:
            raise LookupError(f"no session for {task.id}")
        try:
            start, result = await self._begun(task, session, lease)
            if result is None:
                result = await self._ended(task, lease)
        finally:
            stopped = self._disk.end(task.id)
        outputs = await asyncio.to_thread(self._outputs, session, task)
        held = self._sessions.workspace(session).held()
        result = _met_quota(result) if held is not None and held.is_full else result
        await self._write_down(task.id, _with_note(result, task, stopped, start), outputs)
        self._spawn(self._logs.trim(session.id))

    async def _begun(
        self, task: TaskRecord, session: SessionRecord, lease: Lease | None
    ) -> tuple[Start, Result | None]:
        """How the task was started, unless an earlier server had, and its end if it could not be."""
        start = Start()
        if lease is not None:
            record = self._store.read.lease(task.id)
            self._disk.adopt(task.id, session, _most(task), record.base if record else None)
            with contextlib.suppress(
                OSError, LSMError
            ):  # it runs all the same; from here on the kernel keeps its quota
                await asyncio.to_thread(self._sessions.workspace(session).create)
            await self._keep(lease)
            return start, None
        try:
            await asyncio.to_thread(self._sessions.workspace(session).create)
            start = await self._disk.begin(task.id, session, _most(task))
            if task.network not in (NO_NETWORK, *allowance_of(self._store.read, self._settings, session.id).networks):
                detail = f"The session may no longer use the network {task.network}."
                return start, Result(Reason.START_FAILED, None, self._tasks.now(), detail=detail)
            if not start.allowed:
                return start, Result(Reason.DISK_QUOTA, None, self._tasks.now(), detail=start.note)
            await self._keep(await self._engine.start(self._job(task, session, start)))
            self._later.forget(task.id)
        except (BoxStartError, OSError, LSMError) as error:
            if is_shortage(error) or self._grade is None:
                raise _ShortageError from error
            _log.warning("the task %s could not be started: %s", task.id, error)
            told = isinstance(error, BoxStartError | VolumeError)
            detail = str(error) if told else "The server could not make the workspace."
            return start, Result(Reason.START_FAILED, None, self._tasks.now(), detail=detail)
        return start, None

    async def _ended(self, task: TaskRecord, lease: Lease | None) -> Result:
        await self._stop(task.id)
        try:
            return _result(await self._engine.ended(task.id))
        except KeyError:
            if lease is None:
                raise
        # Its adoption failed: the machine may have been short of something at that moment.
        if not await self._engine.adopt(lease):
            return Result(Reason.LOST, None, self._tasks.now(), detail=_NOTHING_LEFT)
        await self._stop(task.id)
        return _result(await self._engine.ended(task.id))

    async def _put_back(self, task: TaskRecord) -> None:
        """Have a task that nobody could start wait in the queue for a while, or fail if that was so too often."""
        loop = asyncio.get_running_loop()
        wait = self._later.put_off(task.id, loop.time())
        _log.warning("the task %s could not be started: the machine is short of something", task.id)
        if wait is None:
            result = Result(Reason.START_FAILED, None, self._tasks.now(), detail=_TOO_SHORT)
            await self._write_down(task.id, result, Outputs())
            return
        loop.call_later(wait, self._wake.set)
        while True:
            try:
                await asyncio.wrap_future(self._tasks.put_back(task.id, SHORT if self._grade else _NO_SANDBOX))
            except (NotFoundError, IllegalMoveError) as error:
                _log.warning("the task %s could not be put back: %s", task.id, error)
            except LSMError as error:
                _log.warning("the task %s could not be put back, trying again: %s", task.id, error.__cause__ or error)
                await asyncio.sleep(_RETRY_S[-1])
                continue
            return

    async def _keep(self, lease: Lease) -> None:
        try:
            base_bytes, base_files = self._disk.base(lease.task_id) or (None, None)
            record = LeaseRecord(**asdict(lease), base_bytes=base_bytes, base_files=base_files)
            await asyncio.wrap_future(self._tasks.keep_lease(record))
        except (
            LSMError
        ) as error:  # the task runs; without a lease a restart asks the engine to start it, which knows it
            _log.warning("the lease of %s could not be kept: %s", lease.task_id, error.__cause__ or error)

    def _keep_base(self, task_id: str, base: Amount) -> None:
        with contextlib.suppress(BusyError):  # the next one is kept
            self._store.write(lambda tx: tx.keep_base(task_id, base))

    async def _stop(self, task_id: str) -> None:
        """Carry out a wish to stop the task, if there is one."""
        task = self._store.read.task(task_id)
        if task and task.state is TaskState.RUNNING and task.stop_reason:
            await self._engine.cancel(task_id, task.stop_reason)

    def _outputs(self, session: SessionRecord, task: TaskRecord) -> Outputs:
        workspace = self._sessions.workspace(session)
        workspace.touch()
        try:
            files, total = workspace.outputs_since(task.started_at or task.created_at)
        except (OSError, LSMError) as error:  # the task may have left outputs/ in any shape: it ends all the same
            _log.info("the outputs of %s could not be listed: %s", task.id, error)
            return Outputs()
        return Outputs(tuple(OutputFile(path, size) for path, size in files), total)

    async def _write_down(self, task_id: str, result: Result, outputs: Outputs) -> None:
        """Write the end down, however long the disk is full or locked: the end is known, and must not be lost."""
        kept = await self._logs.measured(task_id)
        final = replace(result, outputs=outputs.files, outputs_total=outputs.total, kept_bytes=kept)
        attempt = 0
        while True:
            try:
                await asyncio.wrap_future(self._tasks.finish(task_id, final))
            except (NotFoundError, IllegalMoveError) as error:
                _log.warning("the end of %s was known already: %s", task_id, error)
            except LSMError as error:
                _log.warning("the end of %s could not be written, trying again: %s", task_id, error.__cause__ or error)
                await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])
                attempt += 1
                continue
            return

    async def _adopt(self) -> None:
        """Take charge of what runs, and end what was lost with the host or its monitor."""
        running = self._store.read.running(tuple(runners.SANDBOXED))
        leases = {task.id: self._store.read.lease(task.id) for task in running}
        await asyncio.gather(*(self._adopt_one(task, leases[task.id]) for task in running))
        if self._grade is not None:  # else there is no runtime with which something could be removed
            await self._engine.sweep([*leases])  # none of them, whether or not it could be adopted

    async def _adopt_one(self, task: TaskRecord, record: LeaseRecord | None) -> None:
        if record is None:
            # The server died between the move and the lease: to start is idempotent, and finds what was begun.
            self._follow(task, None)
            return
        lease = _lease(record)
        try:
            is_known = await self._engine.adopt(lease)
        except Exception:  # noqa: BLE001 - what is amiss with one task is not to keep the others from being adopted
            _log.exception("the task %s could not be adopted; it is tried again", task.id)
            is_known = True
        if is_known:
            self._follow(task, lease)
            return
        lost = Result(Reason.LOST, None, self._tasks.now(), detail=_NOTHING_LEFT)
        await self._write_down(task.id, lost, Outputs())

    def _job(self, task: TaskRecord, session: SessionRecord, start: Start) -> Job:
        settings, allowed = self._settings, allowance_of(self._store.read, self._settings, session.id)
        return Job(
            task_id=task.id,
            accepted_at=task.created_at,
            workspace=session.name,
            user_slot=session.user_slot,
            argv=runners.SANDBOXED[task.runner].argv(task.command),
            network=task.network,
            attempt=task.attempt,
            limits=TaskLimits(
                # The owner may have given the session less since the task was accepted.
                memory_bytes=min(task.memory_mb, allowed.memory_mb) * MB,
                pids=min(task.pids or settings.task_pids, allowed.pids),
                time_s=min(task.time_s, allowed.time_s),
                file_bytes=_most_in_a_file(task, allowed) if start.writes else 0,
                log_bytes=min(task.log_mb or settings.log_mb, allowed.log_mb) * MB,
                open_files=min(task.open_files or settings.task_open_files, allowed.open_files),
                cpu_cores=task.cores,
            ),
            session_limits=SessionLimits(
                memory_bytes=allowed.memory_mb * MB,
                pids=allowed.pids,
                cpu_cores=allowed.cores,
            ),
        )


def _lease(record: LeaseRecord) -> Lease:
    return Lease(**{field.name: getattr(record, field.name) for field in fields(Lease)})


def _most(task: TaskRecord) -> Most:
    return None if task.disk_mb is None else task.disk_mb * MB, task.files


def _most_in_a_file(task: TaskRecord, allowed: Allowance) -> int:
    own = allowed.quota.bytes if task.disk_mb is None else task.disk_mb * MB
    return min(own, allowed.quota.bytes)


def _result(ending: Ending) -> Result:
    return Result(
        reason=ending.reason,
        exit_code=ending.exit_code,
        ended_at=ending.ended_at,
        detail=ending.detail,
        child_out_of_memory=ending.child_out_of_memory,
        cpu_s=round(ending.usage.cpu_s, 3),
        memory_peak_mb=round(ending.usage.memory_peak_bytes / MB, 1),
    )


def _met_quota(result: Result) -> Result:
    """The end of a task that leaves a workspace in which the kernel lets nobody write: then that is why it failed.

    A program that writes to memory that is a file of it gets SIGBUS.
    """
    if (result.reason is Reason.EXIT and result.exit_code != 0) or result.exit_code == 128 + signal.SIGBUS:
        return replace(result, reason=Reason.DISK_QUOTA, detail=_WAS_FULL)
    return result


def _with_note(result: Result, task: TaskRecord, stopped: str, start: Start) -> Result:
    """The result with what only the server knows of it: which limit of the disk, or whose limit of memory, was met."""
    if result.reason is Reason.DISK_QUOTA:
        own = "" if task.disk_mb is None else _LARGE_FILE.format(disk_mb=task.disk_mb)
        return replace(result, detail=stopped or start.note or own or result.detail)
    peak_mb = result.memory_peak_mb or 0.0
    if result.reason is Reason.OUT_OF_MEMORY and peak_mb < _NEARLY * task.memory_mb and not result.detail:
        return replace(result, detail=_OTHERS_MEMORY.format(used=math.ceil(peak_mb), may=task.memory_mb))
    if result.state is TaskState.FAILED and not result.detail:
        return replace(result, detail=start.note)
    return result
