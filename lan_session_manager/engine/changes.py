"""Hearing that a file, or one in a directory, has grown, without looking (inotify(7))."""

import asyncio
import contextlib
import ctypes
import os
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_IN_MODIFY, _IN_MOVED_TO = 0x00000002, 0x00000080
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_OVERFLOW = -1  # in place of a watch
_READ_AT_ONCE = 64 * 1024


class FileChanges:
    """Sets events when files are written to. For one event loop; `close` at the end."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int | None = None
        self._heard_by: defaultdict[int, set[asyncio.Event]] = defaultdict(set)

    @contextlib.contextmanager
    def watch(self, path: Path, event: asyncio.Event) -> Iterator[bool]:
        """Set `event` whenever the file at `path`, or one in the directory there, is written to, or gets a name there.

        Gives whether that works: not where there is nothing at `path`, nor past the kernel's bounds on watches.
        """
        watch = self._add(path)
        if watch is None:
            yield False
            return
        self._heard_by[watch].add(event)
        try:
            yield True
        finally:
            self._heard_by[watch].discard(event)
            if not self._heard_by[watch]:
                del self._heard_by[watch]
                if self._fd is not None:
                    self._libc.inotify_rm_watch(self._fd, watch)  # fails where the file is gone, and the watch with it

    def close(self) -> None:
        """Stop hearing."""
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _add(self, path: Path) -> int | None:
        if self._fd is None:
            fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
            if fd < 0:
                return None
            self._fd = fd
            asyncio.get_running_loop().add_reader(fd, self._hear)
        watch = int(self._libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_MODIFY | _IN_MOVED_TO))
        return watch if watch >= 0 else None

    def _hear(self) -> None:
        if self._fd is None:
            return
        with contextlib.suppress(BlockingIOError):
            told, at = os.read(self._fd, _READ_AT_ONCE), 0
            while at < len(told):
                watch, _, _, length = _EVENT.unpack_from(told, at)
                at += _EVENT.size + length
                # The kernel had no room for some of what it had to tell: anybody may have missed something.
                heard_by = self._heard_by.values() if watch == _OVERFLOW else (self._heard_by.get(watch, ()),)
                for events in heard_by:
                    for event in events:
                        event.set()
