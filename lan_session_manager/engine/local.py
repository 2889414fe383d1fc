"""The engine of this machine: each task in a box of its own, watched by a monitor that outlives the server.

The event loop only waits: what blocks, such as starting programs and reading cgroups, is done by threads of the
engine's own, which see the mounts that the runtime needs. The end of a task is known by the end of its monitor (a
pidfd in the loop); the monitor has written the whole log and the exit code before that.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from lan_session_manager.engine.base import BoxStartError, Ending, Job, Lease, LogPiece
from lan_session_manager.engine.endings import ending_of, usage_of
from lan_session_manager.engine.readers import LogReaders
from lan_session_manager.engine.records import Records, Started, Stop
from lan_session_manager.errors import StillActiveError
from lan_session_manager.sandbox import host
from lan_session_manager.sandbox.box import Box, BoxLimits, GroupLimits, SandboxError, group_id, opaque_id, user_range
from lan_session_manager.sandbox.boxes import Boxes, instance_id
from lan_session_manager.sandbox.runtime import find_runtimes
from lan_session_manager.sandbox.selftest import SelfTest, run_self_test
from lan_session_manager.states import Reason

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

ENVIRONMENT = MappingProxyType(
    {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/workspace",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",  # so that a log grows line by line
        "PYTHONDONTWRITEBYTECODE": "1",  # so that a workspace holds what the task made and no caches
    }
)
_THREADS = 12  # starts and ends at once; each mostly waits for the runtime
_BACKSTOP_S = 60  # how long after its time limit the monitor stops a box that no server watches
_LOOK_S = 0.025  # how often the log of a followed task is looked at
_PIECE = 65536


@dataclass(frozen=True)
class LocalConfig:
    """Where the engine works. `runtime` is the path of an OCI runtime; empty: crun where it works, else runc."""

    data_dir: Path
    runtime: str = ""
    grace_s: float = 5.0  # between asking a task to stop and stopping it


@dataclass(eq=False)
class _Live:
    """A box that runs, or that has ended and is not yet removed."""

    started: Started
    box_id: str
    ended: "asyncio.Future[Ending]"
    monitor_fd: int
    box_fd: int | None  # None: the box itself is gone, or cannot be told from another process
    stop: Stop | None = None
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    removal: "asyncio.Task[None] | None" = None

    @property
    def task_id(self) -> str:
        return self.started.lease.task_id


@dataclass(frozen=True)
class _Found:
    """What a start or an adoption has in its hands: open descriptors of the monitor and of the box."""

    started: Started
    monitor_fd: int
    box_fd: int | None
    stop: Stop | None = None


class LocalEngine:
    """`engine.base.Engine` on this machine. For use in one event loop; `prepare` first, `close` at the end.

    Closing leaves the tasks running: a later engine over the same data directory adopts them.
    """

    def __init__(self, config: LocalConfig) -> None:
        self._config = config
        self._data_dir = Path(os.path.realpath(config.data_dir))
        self._boxes = self._boxes_with(Path())
        self._readers = LogReaders()
        self._pool = ThreadPoolExecutor(_THREADS, "engine", initializer=host.enter_private_mounts)
        self._live: dict[str, _Live] = {}
        self._starting: dict[str, tuple[Job, asyncio.Task[Lease]]] = {}
        self._releasing: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def _boxes_with(self, runtime: Path) -> Boxes:
        return Boxes(instance_id(self._data_dir), self._data_dir / ".lan_session_manager", runtime)

    async def prepare(self) -> None:
        """Make what all boxes need of the host. Raises SandboxError, with the reason for people, where it cannot.

        Without it no task starts, and logs can be read all the same.
        """
        await self._use((await self._run(find_runtimes, self._config.runtime))[0])

    async def self_test(self) -> SelfTest:
        """Prove, with boxes that attack, what the sandbox holds; where it has a hole the next runtime is tried.

        For the start of a server. Raises SandboxError as `prepare`.
        """
        for runtime in await self._run(find_runtimes, self._config.runtime):
            await self._use(runtime)
            result = await self._run(run_self_test, self._boxes)
            if result.usable:
                break
        return result

    async def _use(self, runtime: Path) -> None:
        boxes = self._boxes_with(runtime)
        await self._run(boxes.prepare)
        self._boxes = boxes

    async def close(self) -> None:
        """Stop watching. Tasks go on."""
        for _, starting in list(self._starting.values()):
            with contextlib.suppress(BoxStartError):
                await asyncio.shield(starting)
        loop = asyncio.get_running_loop()
        for live in self._live.values():
            loop.remove_reader(live.monitor_fd)
            for timer in live.timers:
                timer.cancel()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for live in self._live.values():
            _close(live)
        self._live.clear()
        await asyncio.to_thread(self._pool.shutdown)

    # start

    async def start(self, job: Job) -> Lease:
        """See `Engine.start`."""
        if job.task_id in self._live:
            return self._live[job.task_id].started.lease
        if job.task_id not in self._starting:
            task = asyncio.create_task(self._start(job))
            self._starting[job.task_id] = (job, task)
            task.add_done_callback(lambda done: self._start_done(job.task_id, done))
        return await asyncio.shield(self._starting[job.task_id][1])

    def _start_done(self, task_id: str, done: "asyncio.Task[Lease]") -> None:
        del self._starting[task_id]
        if not done.cancelled():
            done.exception()  # whoever still waits gets it; if nobody does it is not a fault of the loop

    async def _start(self, job: Job) -> Lease:
        if releasing := self._releasing.get(group_id(job.workspace)):
            await asyncio.wait([releasing])
        kept = await self._run(self._records(job.task_id).started)
        if kept is not None and await self.adopt(kept.lease):
            return kept.lease
        found = await self._run(self._make, job)
        self._watch(found)
        return found.started.lease

    def _make(self, job: Job) -> _Found:
        box_id = opaque_id(job.task_id)
        files, limits = self._boxes.files(box_id), job.limits
        try:
            shutil.rmtree(files.directory, ignore_errors=True)
            box = self._box(job)
            made = self._boxes.create(box, int(limits.time_s + self._config.grace_s) + _BACKSTOP_S)
            now = time.time()
            lease = Lease(
                task_id=job.task_id,
                boot_id=host.boot_id(),
                monitor_pid=made.monitor_pid,
                monitor_started=made.monitor_started,
                box_pid=made.box_pid,
                started_at=now,
                time_limit_at=now + limits.time_s,
            )
            found = self._open(Started(box.group, lease))
            if found is None:
                raise SandboxError("The task could not be started: its monitor died.")
            try:
                # Kept before the program begins: a box that runs is never one that nobody knows of.
                Records(files.directory).save_started(found.started)
                self._boxes.start(box_id)
            except BaseException:
                _close(found)
                raise
        except (SandboxError, OSError, ValueError) as error:
            self._boxes.remove(box_id)
            shutil.rmtree(files.directory, ignore_errors=True)
            if isinstance(error, SandboxError):
                raise BoxStartError(str(error)) from error
            _log.warning("task %s is not started: %s", job.task_id, error)
            raise BoxStartError("The task could not be started: the server met a fault of its own.") from error
        return found

    def _box(self, job: Job) -> Box:
        if Path(job.workspace).name != job.workspace or job.workspace.startswith("."):
            raise SandboxError("The task could not be started: it has no workspace.")
        if not job.argv or any("\0" in word for word in job.argv):
            raise SandboxError("The task could not be started: its command holds a character that no command can have.")
        return Box(
            box_id=opaque_id(job.task_id),
            group=group_id(job.workspace),
            argv=job.argv,
            env=ENVIRONMENT,
            workspace=self._data_dir / job.workspace,
            shared=self._data_dir / "shared",
            uid_base=user_range(job.user_slot),
            limits=BoxLimits(
                memory_bytes=job.limits.memory_bytes,
                pids=job.limits.pids,
                file_bytes=job.limits.file_bytes,
                log_bytes=job.limits.log_bytes,
            ),
            group_limits=GroupLimits(
                memory_bytes=job.session_limits.memory_bytes,
                pids=job.session_limits.pids,
                cpu_cores=job.session_limits.cpu_cores,
            ),
        )

    def _open(self, started: Started, stop: Stop | None = None) -> _Found | None:
        lease = started.lease
        monitor_fd = host.open_process(lease.monitor_pid, lease.monitor_started)
        if monitor_fd is None:
            return None
        return _Found(started, monitor_fd, host.open_child(lease.box_pid, lease.monitor_pid), stop)

    # adopt

    async def adopt(self, lease: Lease) -> bool:
        """See `Engine.adopt`."""
        if lease.task_id in self._live:
            return True
        found = await self._run(self._find, lease)
        if isinstance(found, _Found) and lease.task_id not in self._live:
            self._watch(found)
        return found is not None

    def _find(self, lease: Lease) -> _Found | Ending | None:
        box_id = opaque_id(lease.task_id)
        records = self._records(lease.task_id)
        kept, stop, ending = records.started(), records.stop(), records.ending()
        if kept is not None and ending is None:
            started = Started(kept.group, lease)
            if lease.boot_id == host.boot_id() and (found := self._open(started, stop)) is not None:
                self._begin_if_waiting(box_id)
                return found
            # The exit file is written before the monitor ends, so that one look after its end is enough.
            end = self._boxes.end(kept.group, box_id)
            if end is not None:
                ending = ending_of(end, stop.reason if stop else None)
                records.save_ending(ending)
        self._boxes.remove(box_id)
        return ending

    def _begin_if_waiting(self, box_id: str) -> None:
        if self._boxes.runtime.status(box_id) == "created":  # the server died between making the box and starting it
            with contextlib.suppress(SandboxError):  # then its monitor ends, and so does the task
                self._boxes.start(box_id)

    async def sweep(self, keep: Collection[str] = ()) -> None:
        """See `Engine.sweep`."""
        owned = {opaque_id(task_id) for task_id in (*self._live, *self._starting, *keep)}
        for box_id in await self._run(self._boxes.known) - owned:
            await self._run(self._boxes.remove, box_id)
        for group in await self._run(self._boxes.cgroups.groups):
            await self._release(group)

    # the end

    def _watch(self, found: _Found) -> None:
        loop = asyncio.get_running_loop()
        lease = found.started.lease
        live = _Live(
            started=found.started,
            box_id=opaque_id(lease.task_id),
            ended=loop.create_future(),
            monitor_fd=found.monitor_fd,
            box_fd=found.box_fd,
            stop=found.stop,
        )
        self._live[lease.task_id] = live
        loop.add_reader(live.monitor_fd, self._monitor_ended, live)
        if live.stop is not None:
            self._signal(live, signal.SIGTERM)
            self._later(live, live.stop.at + self._config.grace_s, lambda: self._signal(live, signal.SIGKILL))
        else:
            self._later(live, lease.time_limit_at, lambda: self._spawn(self._stop(live, Reason.TIME_LIMIT)))

    def _later(self, live: _Live, at: float, call: Callable[[], object]) -> None:
        live.timers.append(asyncio.get_running_loop().call_later(max(0.0, at - time.time()), call))

    def _monitor_ended(self, live: _Live) -> None:
        asyncio.get_running_loop().remove_reader(live.monitor_fd)
        for timer in live.timers:
            timer.cancel()
        live.removal = self._spawn(self._finish(live))

    async def _finish(self, live: _Live) -> None:
        ending, kept = await self._run(self._conclude, live)
        live.ended.set_result(ending)
        await self._run(self._boxes.remove, live.box_id)
        _close(live)
        if kept:
            del self._live[live.task_id]

    def _conclude(self, live: _Live) -> tuple[Ending, bool]:
        group = live.started.group
        end = self._boxes.end(group, live.box_id)
        if end is None:
            self._signal(live, signal.SIGKILL)
            used = usage_of(self._boxes.used(group, live.box_id))
            ending = Ending(Reason.LOST, None, time.time(), used, detail="The monitor of the task died.")
        else:
            ending = ending_of(end, live.stop.reason if live.stop else None)
        try:
            Records(self._boxes.files(live.box_id).directory).save_ending(ending)
        except OSError as error:
            _log.warning("the end of task %s is kept in memory only: %s", live.task_id, error)
            return ending, False
        return ending, True

    async def ended(self, task_id: str) -> Ending:
        """See `Engine.ended`. Raises KeyError for a task that this machine never had."""
        if task_id in self._starting:
            await asyncio.wait([self._starting[task_id][1]])
        if live := self._live.get(task_id):
            return await asyncio.shield(live.ended)
        ending = await self._run(self._records(task_id).ending)
        if ending is None:
            raise KeyError(task_id)
        return ending

    # cancel

    async def cancel(self, task_id: str, reason: Reason) -> None:
        """See `Engine.cancel`. The first reason stays; a task that has ended, or that is not known, is left alone."""
        if task_id in self._starting:
            await asyncio.wait([self._starting[task_id][1]])
        if live := self._live.get(task_id):
            await self._stop(live, reason)

    async def _stop(self, live: _Live, reason: Reason) -> None:
        if live.stop is not None or live.removal is not None:
            return
        live.stop = stop = Stop(reason, time.time())
        try:
            await self._run(self._records(live.task_id).save_stop, stop)
        except OSError as error:
            _log.warning("why task %s is stopped is kept in memory only: %s", live.task_id, error)
        if live.removal is None:
            self._signal(live, signal.SIGTERM)
            self._later(live, stop.at + self._config.grace_s, lambda: self._signal(live, signal.SIGKILL))

    def _signal(self, live: _Live, number: signal.Signals) -> None:
        # To the box's first process: it hands TERM on to the program, and its KILL ends the whole pid namespace.
        if live.box_fd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(live.box_fd, number)

    # the log

    def log_path(self, task_id: str) -> Path:
        """Where the log of a task is, whether or not it exists; for `lan_session_manager.logs.LogFile`."""
        return self._boxes.files(opaque_id(task_id)).log

    async def read_log(self, task_id: str, after: int, limit: int) -> list[LogPiece]:
        """See `Engine.read_log`."""
        return await asyncio.to_thread(self._readers.read, self.log_path(task_id), after, limit)

    async def log_size(self, task_id: str) -> int:
        """See `Engine.log_size`."""
        return await asyncio.to_thread(self._readers.size, self.log_path(task_id))

    async def follow(self, task_id: str, after: int) -> AsyncIterator[LogPiece]:
        """See `Engine.follow`. Of a task that has ended: what is there."""
        path = self.log_path(task_id)
        while True:
            # In this order: the log of an ended task is complete, and what comes while it is read is seen by its size.
            over, size = self._is_over(task_id), _size(path)
            pieces = await self.read_log(task_id, after, _PIECE)
            for piece in pieces:
                after = piece.next
                yield piece
            if not pieces:
                if over:
                    return
                while _size(path) == size and not self._is_over(task_id):
                    await self._pause(task_id)

    async def _pause(self, task_id: str) -> None:
        live = self._live.get(task_id)
        ended = live.ended if live else self._starting[task_id][1]
        await asyncio.wait([ended], timeout=_LOOK_S)

    def _is_over(self, task_id: str) -> bool:
        live = self._live.get(task_id)
        return live.ended.done() if live else task_id not in self._starting

    # what is left

    async def forget(self, task_id: str) -> None:
        """See `Engine.forget`. Raises StillActiveError for a task that runs."""
        if not self._is_over(task_id):
            raise StillActiveError(task_id=task_id)
        if (live := self._live.get(task_id)) and live.removal:
            await asyncio.wait([live.removal])
            self._live.pop(task_id, None)
        await self._run(lambda: shutil.rmtree(self._boxes.files(opaque_id(task_id)).directory, ignore_errors=True))

    async def release(self, workspace: str) -> None:
        """See `Engine.release`. Nothing happens while a task of the session runs or starts."""
        if self._boxes.prepared:
            await self._release(group_id(workspace))

    async def _release(self, group: str) -> None:
        removals = [live.removal for live in self._live.values() if live.started.group == group and live.removal]
        if removals:
            await asyncio.wait(removals)
        busy = {live.started.group for live in self._live.values()}
        busy.update(group_id(job.workspace) for job, _ in self._starting.values())
        if group in busy or group in self._releasing:
            return
        # A start that comes now waits: between its group and its box the group must not go away.
        self._releasing[group] = self._spawn(self._remove_group(group))
        try:
            await asyncio.shield(self._releasing[group])
        finally:
            del self._releasing[group]

    async def _remove_group(self, group: str) -> None:
        await self._run(self._boxes.cgroups.remove_group, group)

    # helpers

    def _records(self, task_id: str) -> Records:
        return Records(self._boxes.files(opaque_id(task_id)).directory)

    async def _run(self, call: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, call, *args)

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _close(held: _Live | _Found) -> None:
    os.close(held.monitor_fd)
    if held.box_fd is not None:
        os.close(held.box_fd)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
