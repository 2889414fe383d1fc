"""Keeps the ends of the logs of running boxes: hears that a monitor has begun another file, and tends the log at once.

How many files were begun is counted by the kernel's notices (inotify(7)), because that is what tells a segment that
follows the one before it from one that comes after others that nobody saw.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lan_session_manager.engine.inotify import Change, Inotify, Notice
from lan_session_manager.logs import segments

_log = logging.getLogger(__name__)

# Two equal notices in a row come as one. The making of a file between two renamings keeps these apart.
_CHANGES = Change.CREATED | Change.MOVED_TO
_THREADS = 2
_LOOK_S = 0.25  # how often a log is looked at where the kernel cannot tell


@dataclass(eq=False)
class _Tended:
    directory: Path
    printed: Callable[[], int | None]
    is_read: Callable[[], bool]
    watch: int | None = None
    begun: int = 0  # files since the last one that is kept
    is_counted: bool = False  # whether `begun` is right
    due: bool = False
    has_failed: bool = False
    is_left: bool = False  # to the next server: this one ends
    work: "asyncio.Task[None] | None" = None
    timer: asyncio.TimerHandle | None = None


class LogTender:
    """Tends the logs in box directories. For one event loop; `close` at the end, after the last `end`."""

    def __init__(self) -> None:
        self._inotify = Inotify(_CHANGES, self._hear)
        self._pool = ThreadPoolExecutor(_THREADS, "logs")
        self._lock = threading.Lock()  # for what is counted
        self._tended: dict[Path, _Tended] = {}
        self._by_watch: dict[int, _Tended] = {}
        self._news: set[_Tended] = set()

    def begin(self, directory: Path, printed: Callable[[], int | None], is_read: Callable[[], bool]) -> None:
        """Tend the log in `directory` from now on. `printed` and `is_read`: see `segments.Known`."""
        tended = self._tended[directory] = _Tended(directory, printed, is_read)
        watch = self._inotify.add(directory)
        if watch is not None:
            tended.watch = watch
            with self._lock:
                self._by_watch[watch] = tended
                tended.is_counted = segments.is_present_kept(directory)  # as it is before the task has printed much
        self._look(tended)

    async def end(self, directory: Path) -> None:
        """Tend it a last time, and no more."""
        tended = self._tended.pop(directory, None)
        if tended is None:
            return
        if tended.timer is not None:
            tended.timer.cancel()
        self._look(tended)
        if tended.work is not None:
            await asyncio.wait([tended.work])
        if tended.watch is not None:
            self._inotify.remove(tended.watch)
            with self._lock:
                del self._by_watch[tended.watch]

    async def close(self) -> None:
        """Stop hearing. Who prints without end is not waited for: the next server goes on where this one stopped."""
        left = list(self._tended.values())
        self._tended.clear()
        for tended in left:
            tended.is_left = True
            if tended.timer is not None:
                tended.timer.cancel()
        if works := [tended.work for tended in left if tended.work is not None]:
            await asyncio.wait(works)
        self._inotify.close()
        await asyncio.to_thread(self._pool.shutdown)

    def _look(self, tended: _Tended) -> None:
        tended.due = True
        if tended.work is None:
            tended.work = asyncio.create_task(self._tend(tended))

    async def _tend(self, tended: _Tended) -> None:
        loop = asyncio.get_running_loop()
        try:
            while tended.due and not tended.is_left:
                tended.due = False
                if not await loop.run_in_executor(self._pool, self._once, tended):
                    tended.due = True
                self._hear()  # of what was told meanwhile, also of others
        finally:
            tended.work = None
        if tended.watch is None and tended.directory in self._tended:
            tended.timer = loop.call_later(_LOOK_S, self._look, tended)

    def _once(self, tended: _Tended) -> bool:
        counted = 0

        def begun() -> int | None:
            nonlocal counted
            self._count()
            with self._lock:
                counted = tended.begun
                return counted if tended.is_counted else None

        try:
            is_done = segments.tend(tended.directory, segments.Known(begun, tended.printed, tended.is_read))
        except OSError as error:  # such as a disk that is full: the next file of the monitor is another chance
            if not tended.has_failed:
                tended.has_failed = True
                _log.warning("the log in %s is not tended: %s", tended.directory.name, error)
            return True
        if is_done:
            with self._lock:
                tended.begun -= counted
                tended.is_counted = tended.watch is not None
        return is_done

    def _hear(self) -> None:
        self._count()
        with self._lock:
            news, self._news = self._news, set()
        for tended in news:
            self._look(tended)

    def _count(self) -> None:
        """Take what the kernel has told; from any thread."""
        with self._lock:
            while notices := self._inotify.take():
                for notice in notices:
                    self._note(notice)

    def _note(self, notice: Notice) -> None:
        if notice.watch is None:  # something was lost, of any of them
            for tended in self._by_watch.values():
                tended.is_counted = False
            self._news.update(self._by_watch.values())
        elif notice.change & Change.MOVED_TO and notice.name == b"log" and (found := self._by_watch.get(notice.watch)):
            found.begun += 1
            self._news.add(found)
