"""Keeps the ends of the logs of running boxes: hears that a monitor has begun another file, and tends the log at once.

How many files were begun is counted by the kernel's notices (inotify(7)), because that is what tells a segment that
follows the one before it from one that comes after others that nobody saw.
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lan_session_manager.logs import segments

_log = logging.getLogger(__name__)

# Two equal notices in a row come as one. The making of a file between two renamings keeps these apart.
_IN_CREATE, _IN_MOVED_TO = 0x00000100, 0x00000080
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_OVERFLOW = -1  # in place of a watch
_READ_AT_ONCE = 64 * 1024
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
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int | None = None
        self._pool = ThreadPoolExecutor(_THREADS, "logs")
        self._lock = threading.Lock()  # for what is counted
        self._tended: dict[Path, _Tended] = {}
        self._by_watch: dict[int, _Tended] = {}
        self._news: set[_Tended] = set()

    def begin(self, directory: Path, printed: Callable[[], int | None], is_read: Callable[[], bool]) -> None:
        """Tend the log in `directory` from now on. `printed` and `is_read`: see `segments.Known`."""
        tended = self._tended[directory] = _Tended(directory, printed, is_read)
        watch = self._add(directory)
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
        if tended.watch is not None and self._fd is not None:
            self._libc.inotify_rm_watch(self._fd, tended.watch)
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
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
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

    def _add(self, directory: Path) -> int | None:
        if self._fd is None:
            fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
            if fd < 0:
                return None
            self._fd = fd
            asyncio.get_running_loop().add_reader(fd, self._hear)
        watch = int(self._libc.inotify_add_watch(self._fd, os.fsencode(directory), _IN_CREATE | _IN_MOVED_TO))
        return watch if watch >= 0 else None

    def _hear(self) -> None:
        self._count()
        with self._lock:
            news, self._news = self._news, set()
        for tended in news:
            self._look(tended)

    def _count(self) -> None:
        """Take what the kernel has told; from any thread."""
        with self._lock, contextlib.suppress(BlockingIOError):
            while self._fd is not None:
                told, at = os.read(self._fd, _READ_AT_ONCE), 0
                while at < len(told):
                    watch, mask, _, length = _EVENT.unpack_from(told, at)
                    name = told[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                    at += _EVENT.size + length
                    if watch == _OVERFLOW:  # something was lost, of any of them
                        for tended in self._by_watch.values():
                            tended.is_counted = False
                        self._news.update(self._by_watch.values())
                    elif mask & _IN_MOVED_TO and name == b"log" and (found := self._by_watch.get(watch)):
                        found.begun += 1
                        self._news.add(found)
