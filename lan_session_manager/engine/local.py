"""The engine of this machine: each task in a box of its own, watched by a monitor that outlives the server.

The event loop only waits: what blocks, such as starting programs and reading cgroups, is done by threads of the
engine's own, which see the mounts that the runtime needs. The end of a task is known by the end of its monitor (a
pidfd in the loop); the monitor has written the whole log and the exit code before that.
"""

import asyncio
import contextlib
import functools
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from lan_session_manager.egress.server import Egress
from lan_session_manager.engine.base import BoxStartError, Ending, Job, Lease, LogPiece, Now, Samples
from lan_session_manager.engine.changes import FileChanges
from lan_session_manager.engine.indexer import LogIndexer
from lan_session_manager.engine.keeper import Held, Keeper
from lan_session_manager.engine.readers import LogReaders
from lan_session_manager.engine.records import Stop
from lan_session_manager.engine.sampler import Sampler
from lan_session_manager.engine.tender import LogTender
from lan_session_manager.errors import StillActiveError
from lan_session_manager.logs import LogFile
from lan_session_manager.logs.appending import LogAppender
from lan_session_manager.logs.lines import LinePage, lines_after, lines_before, lines_of, start_of_tail
from lan_session_manager.logs.search import Found, Search
from lan_session_manager.sandbox import host
from lan_session_manager.sandbox.box import group_id, opaque_id
from lan_session_manager.sandbox.boxes import Boxes, instance_id
from lan_session_manager.sandbox.runtime import find_runtimes
from lan_session_manager.sandbox.selftest import SelfTest, run_self_test
from lan_session_manager.states import Reason

_T = TypeVar("_T")

_THREADS = 12  # starts and ends at once; each mostly waits for the runtime
_SETTLED_S = 0.5  # after its start a box surely has its signal handlers
_LOOK_S = 0.025  # how often a followed log is looked at where the kernel cannot tell that it grows
_BURST_S = 0.02  # output that comes within it after other output is given together
_PIECE = 65536
_SEARCH_S = 0.1
_thread = threading.local()


@dataclass(frozen=True)
class LocalConfig:
    """Where the engine works. `runtime` is the path of an OCI runtime; empty: crun where it works, else runc."""

    data_dir: Path
    runtime: str = ""
    grace_s: float = 5.0  # between asking a task to stop and stopping it


@dataclass(eq=False)
class _Live:
    """A box that runs, or that has ended and is not yet removed."""

    held: Held
    ended: "asyncio.Future[Ending]"
    stop: Stop | None
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    removal: "asyncio.Task[None] | None" = None  # from the end of its monitor on

    @property
    def lease(self) -> Lease:
        return self.held.started.lease

    @property
    def group(self) -> str:
        return self.held.started.group

    @property
    def box_id(self) -> str:
        return opaque_id(self.lease.task_id)


class LocalEngine:
    """`engine.base.Engine` on this machine. `prepare` first, `close` at the end; tasks of one event loop only.

    Closing leaves the tasks running: a later engine over the same data directory adopts them.
    """

    def __init__(self, config: LocalConfig, egress: Egress | None = None) -> None:
        """`egress` None: a network profile opens nothing. It is shut when the engine is closed."""
        self._config = config
        self._egress = egress or Egress()
        self._data_dir = Path(os.path.realpath(config.data_dir))
        self._keeper = self._keeper_with(Path())
        self._readers = LogReaders(lambda log: self._keeper.log_bound(log))
        self._changes = FileChanges()
        self._tender = LogTender()
        self._indexer = LogIndexer(self._readers)
        self._sampler = Sampler()
        self._sampling: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(_THREADS, "engine")
        self._live: dict[str, _Live] = {}
        self._appending: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._starting: dict[str, tuple[Job, asyncio.Task[Lease]]] = {}
        self._releasing: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def _keeper_with(self, runtime: Path) -> Keeper:
        boxes = Boxes(instance_id(self._data_dir), self._data_dir / ".lan_session_manager", runtime)
        return Keeper(boxes, self._data_dir, self._config.grace_s, self._egress)

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
            result = await self._run(run_self_test, self._keeper.boxes)
            if result.usable:
                break
        return result

    async def _use(self, runtime: Path) -> None:
        keeper = self._keeper_with(runtime)
        await self._run(keeper.boxes.prepare)
        self._keeper = keeper

    async def close(self) -> None:
        """See `Engine.close`."""
        for _, starting in list(self._starting.values()):
            with contextlib.suppress(BoxStartError):
                await asyncio.shield(starting)
        watched = [live for live in self._live.values() if live.removal is None]
        for live in watched:
            self._unwatch(live)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for live in watched:
            live.held.close()
        self._live.clear()
        if self._sampling is not None:
            self._sampling.cancel()
            await asyncio.wait([self._sampling])
            await self._run(self._sampler.save_all)
        await self._tender.close()
        await self._indexer.close()
        self._changes.close()
        await asyncio.to_thread(self._egress.shut)
        await asyncio.to_thread(self._pool.shutdown)

    # start and adopt

    async def start(self, job: Job) -> Lease:
        """See `Engine.start`."""
        live = self._live.get(job.task_id)
        if live is not None and (live.removal is None or live.held.started.is_of(job)):
            return live.lease
        if job.task_id not in self._starting:
            task = asyncio.create_task(self._start(job))
            self._starting[job.task_id] = (job, task)
            task.add_done_callback(functools.partial(self._start_done, job.task_id))
        return await asyncio.shield(self._starting[job.task_id][1])

    def _start_done(self, task_id: str, done: "asyncio.Task[Lease]") -> None:
        del self._starting[task_id]
        if not done.cancelled():
            done.exception()  # whoever still waits gets it; if nobody does it is not a fault of the loop

    async def _start(self, job: Job) -> Lease:
        if releasing := self._releasing.get(group_id(job.workspace)):
            await asyncio.wait([releasing])
        if (earlier := self._live.get(job.task_id)) and earlier.removal:  # the attempt before this one
            await asyncio.wait([earlier.removal])
            self._live.pop(job.task_id, None)
        kept = await self._run(self._keeper.records(job.task_id).started)
        if kept is not None and kept.is_of(job) and await self.adopt(kept.lease):
            return kept.lease
        held = await self._run(self._keeper.make, job)
        self._watch(held)
        return held.started.lease

    async def adopt(self, lease: Lease) -> bool:
        """See `Engine.adopt`."""
        if lease.task_id in self._live:
            return True
        found = await self._run(self._keeper.find, lease)
        if isinstance(found, Held):
            if lease.task_id in self._live:  # by another call, while this one looked
                found.close()
            else:
                self._watch(found)
        return found is not None

    async def sweep(self, keep: Collection[str] = ()) -> None:
        """See `Engine.sweep`."""
        boxes = self._keeper.boxes
        owned = {opaque_id(task_id) for task_id in (*self._live, *self._starting, *keep)}
        for box_id in await self._run(boxes.known) - owned:
            await self._run(boxes.remove, box_id)
        for group in await self._run(boxes.cgroups.groups):
            await self._release(group)

    # the end

    def _watch(self, held: Held) -> None:
        loop = asyncio.get_running_loop()
        live = _Live(held, loop.create_future(), held.stop)
        self._live[live.lease.task_id] = live
        log = self.log_path(live.lease.task_id)
        printed, is_read = functools.partial(self._keeper.printed, held), functools.partial(self._readers.is_read, log)
        self._tender.begin(log.parent, printed, is_read)
        self._indexer.begin(log)
        count = functools.partial(self._keeper.boxes.count, live.group, live.box_id)
        self._sampler.begin(live.lease.task_id, log.parent, count, held.ran_s())
        if self._sampling is None:
            self._sampling = asyncio.create_task(self._sampler.run(self._run))
        loop.add_reader(held.monitor_fd, self._monitor_ended, live)
        if live.stop is not None:
            self._tell_to_stop(live, live.stop)
        else:
            self._after(live, held.time_left_s(), lambda: self._spawn(self._stop(live, Reason.TIME_LIMIT)))

    def _after(self, live: _Live, wait_s: float, call: Callable[[], object]) -> None:
        live.timers.append(asyncio.get_running_loop().call_later(max(0.0, wait_s), call))

    def _unwatch(self, live: _Live) -> None:
        asyncio.get_running_loop().remove_reader(live.held.monitor_fd)
        for timer in live.timers:
            timer.cancel()

    def _monitor_ended(self, live: _Live) -> None:
        self._unwatch(live)
        self._egress.close(live.lease.task_id)
        live.removal = self._spawn(self._finish(live))

    async def _finish(self, live: _Live) -> None:
        await self._tender.end(self.log_path(live.lease.task_id).parent)
        ending, is_kept = await self._run(self._conclude, live)
        live.ended.set_result(ending)
        self._indexer.end(self.log_path(live.lease.task_id))
        await self._run(self._keeper.boxes.remove, live.box_id)
        live.held.close()
        if is_kept:
            del self._live[live.lease.task_id]

    def _conclude(self, live: _Live) -> tuple[Ending, bool]:
        self._sampler.end(live.lease.task_id)  # before the end is told, as what is kept is measured then
        return self._keeper.conclude(live.held, live.stop)

    async def ended(self, task_id: str) -> Ending:
        """See `Engine.ended`. Raises KeyError for a task that this machine never had."""
        await self._started(task_id)
        if live := self._live.get(task_id):
            return await asyncio.shield(live.ended)
        ending = await self._run(self._keeper.ending, task_id)
        if ending is None:
            raise KeyError(task_id)
        return ending

    # cancel

    async def cancel(self, task_id: str, reason: Reason) -> None:
        """See `Engine.cancel`. The first reason stays; a task that has ended, or that is not known, is left alone."""
        await self._started(task_id)
        if live := self._live.get(task_id):
            await self._stop(live, reason)

    async def _stop(self, live: _Live, reason: Reason) -> None:
        # Who asks after the end did not make it.
        if live.stop is None and live.removal is None and not self._keeper.has_ended(live.lease.task_id):
            live.stop = stop = Stop(reason, time.time())
            self._egress.close(live.lease.task_id)  # who is to stop has nothing more to send
            await self._run(self._keeper.save_stop, live.lease.task_id, stop)
            if live.removal is None:
                self._tell_to_stop(live, stop)

    def _tell_to_stop(self, live: _Live, stop: Stop) -> None:
        live.held.signal(signal.SIGTERM)
        settled_s = (live.held.started.begun_at or 0.0) + _SETTLED_S - time.monotonic()
        if settled_s > 0:
            # The first process of a namespace does not get a signal for which it has no handler yet.
            self._after(live, settled_s, lambda: live.held.signal(signal.SIGTERM))
        # Who is stopped for what it writes would go on writing meanwhile.
        grace_s = 0.0 if stop.reason is Reason.DISK_QUOTA else self._config.grace_s
        # Of a wish that an earlier server was told nothing but the host's clock says when, which may have been set.
        self._after(live, min(grace_s, stop.at + grace_s - time.time()), lambda: self._kill(live))

    def _kill(self, live: _Live) -> None:
        live.held.signal(signal.SIGKILL)
        if live.held.box_fd is None:
            self._spawn(self._run(self._keeper.boxes.remove, live.box_id))

    def used_now(self) -> Mapping[str, Now]:
        """See `Engine.used_now`."""
        return self._sampler.now()

    async def samples(self, task_id: str) -> Samples:
        """See `Engine.samples`."""
        return await asyncio.to_thread(self._sampler.samples, task_id, self.log_path(task_id).parent)

    async def unlinked_bytes(self, task_id: str) -> int | None:
        """See `Engine.unlinked_bytes`."""
        live = self._live.get(task_id)
        if live is None or live.removal is not None:
            return 0
        return await self._run(self._keeper.boxes.unlinked_bytes, live.group, live.box_id)

    # the log

    async def append_log(self, task_id: str, offset: int, stream: str, data: bytes, bound_bytes: int) -> int:
        """See `Engine.append_log`."""
        async with self._appending.setdefault(task_id, asyncio.Lock()):
            return await self._run(self._append, task_id, offset, stream, data, bound_bytes)

    def _append(self, task_id: str, offset: int, stream: str, data: bytes, bound_bytes: int) -> int:
        directory = self.log_path(task_id).parent
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return LogAppender(directory, bound_bytes).append(offset, stream, data)

    def log_path(self, task_id: str) -> Path:
        """Where the log of a task is, whether or not it exists; for `lan_session_manager.logs.LogFile`."""
        return self._keeper.log_path(task_id)

    async def read_log(self, task_id: str, after: int, limit: int) -> list[LogPiece]:
        """See `Engine.read_log`."""
        return await asyncio.to_thread(self._readers.read, self.log_path(task_id), after, limit)

    async def log_size(self, task_id: str) -> int:
        """See `Engine.log_size`."""
        return await asyncio.to_thread(self._readers.size, self.log_path(task_id))

    async def log_start(self, task_id: str, back: int) -> int:
        """See `Engine.log_start`."""
        return await asyncio.to_thread(self._readers.use, self.log_path(task_id), lambda log: start_of_tail(log, back))

    async def log_lines(
        self, task_id: str, most: int, *, after: int | None = None, before: int | None = None, line: int | None = None
    ) -> LinePage:
        """See `Engine.log_lines`."""

        def found(log: LogFile) -> LinePage:
            if line is not None:
                return lines_of(log, line, most)
            return lines_before(log, before, most) if after is None else lines_after(log, after, most)

        return await asyncio.to_thread(self._readers.use, self.log_path(task_id), found)

    async def search_log(self, task_id: str, looking: Search, after: int, before: int | None, most: int) -> Found:
        """See `Engine.search_log`."""

        def found(log: LogFile) -> Found:
            end = time.monotonic() + _SEARCH_S
            return looking.run(log, after, before, most, lambda: time.monotonic() >= end)

        return await asyncio.to_thread(self._readers.use, self.log_path(task_id), found)

    async def follow(self, task_id: str, after: int) -> AsyncGenerator[LogPiece, None]:
        """See `Engine.follow`. Of a task that has ended: what is there."""
        await self._started(task_id)
        path, changed = self.log_path(task_id), asyncio.Event()
        # Of this attempt alone: the next one's end would set nothing here, so who follows begins again for it.
        live = self._live.get(task_id)
        with self._changes.watch(path.parent, changed) as is_heard, _end_sets(live, changed):
            while True:
                # In this order: the log of an ended task is complete, and what is written from here on sets the event.
                over = live is None or live.ended.done()
                changed.clear()
                pieces = await self.read_log(task_id, after, _PIECE)
                for piece in pieces:
                    yield piece
                if pieces:
                    is_backlog = len(pieces) > 1 or pieces[-1].next - after >= _PIECE // 4
                    after = pieces[-1].next
                    await asyncio.sleep(0 if is_backlog or over else _BURST_S)
                elif over:
                    return
                else:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(None if is_heard else _LOOK_S):
                            await changed.wait()

    # what is left

    async def forget(self, task_id: str) -> None:
        """See `Engine.forget`. Raises StillActiveError for a task that runs."""
        await self._be_over(task_id)
        await self._indexer.leave(self.log_path(task_id))
        self._live.pop(task_id, None)
        await self._run(self._keeper.forget, task_id)

    async def kept_bytes(self, task_id: str) -> int:
        """See `Engine.kept_bytes`."""
        return await self._run(self._keeper.kept_bytes, task_id)

    async def drop_log(self, task_id: str) -> int:
        """See `Engine.drop_log`."""
        await self._be_over(task_id)
        await self._indexer.leave(self.log_path(task_id))
        return await self._run(self._keeper.drop_log, task_id)

    async def _be_over(self, task_id: str) -> None:
        """Wait for the removal of a box that has ended. Raises StillActiveError for a task that runs."""
        live = self._live.get(task_id)
        if task_id in self._starting or (live and not live.ended.done()):
            raise StillActiveError(task_id=task_id)
        if live and live.removal:
            await asyncio.wait([live.removal])

    async def release(self, workspace: str) -> None:
        """See `Engine.release`. Nothing happens while a task of the session runs or starts."""
        if self._keeper.boxes.prepared:
            await self._release(group_id(workspace))

    async def _release(self, group: str) -> None:
        removals = [live.removal for live in self._live.values() if live.group == group and live.removal]
        if removals:
            await asyncio.wait(removals)
        busy = {live.group for live in self._live.values() if not live.ended.done()}
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
        await self._run(self._keeper.boxes.cgroups.remove_group, group)

    # helpers

    async def _started(self, task_id: str) -> None:
        """Wait for the start of a task that starts at this moment, however it comes out."""
        if task_id in self._starting:
            await asyncio.wait([self._starting[task_id][1]])

    async def _run(self, call: Callable[..., _T], *args: object) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, _in_private_mounts, call, *args)

    def _spawn(self, coroutine: Coroutine[object, object, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _in_private_mounts(call: Callable[..., _T], *args: object) -> _T:
    # Not as the pool's initializer: if that fails in one thread, no call ever gets a thread again.
    if not getattr(_thread, "is_inside", False):
        host.enter_private_mounts()
        _thread.is_inside = True
    return call(*args)


@contextlib.contextmanager
def _end_sets(live: _Live | None, event: asyncio.Event) -> Iterator[None]:
    if live is None:
        yield
        return
    heard = functools.partial(_set, event)
    live.ended.add_done_callback(heard)
    try:
        yield
    finally:
        live.ended.remove_done_callback(heard)


def _set(event: asyncio.Event, _: object) -> None:
    event.set()
