"""The kernel's notices of what happens to files (inotify(7)), on the event loop."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_OVERFLOW = -1  # in place of a watch
_READ_AT_ONCE = 64 * 1024


class Change(IntFlag):
    """What is noticed; the values are the kernel's (linux/inotify.h)."""

    MODIFIED = 0x002
    MOVED_TO = 0x080
    CREATED = 0x100


@dataclass(frozen=True)
class Notice:
    """One thing that happened. `watch` None: the kernel had no room for some of what it had to tell, of any watch."""

    watch: int | None
    change: int
    name: bytes  # of the file in the watched directory; empty: it is what is watched itself


class Inotify:
    """Watches of one event loop. `hear` is called there when there are notices; `close` at the end."""

    def __init__(self, changes: Change, hear: Callable[[], None]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._changes = int(changes)
        self._hear = hear
        self._fd: int | None = None

    def add(self, path: Path) -> int | None:
        """Watch a file, or what is in a directory; None where there is nothing, or past the kernel's bounds.

        The same path once more is the same watch.
        """
        if self._fd is None:
            fd = self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
            if fd < 0:
                return None
            self._fd = fd
            asyncio.get_running_loop().add_reader(fd, self._hear)
        watch = int(self._libc.inotify_add_watch(self._fd, os.fsencode(path), self._changes))
        return watch if watch >= 0 else None

    def remove(self, watch: int) -> None:
        """Watch it no more; nothing where what was watched has gone, and the watch with it."""
        if self._fd is not None:
            self._libc.inotify_rm_watch(self._fd, watch)

    def take(self) -> list[Notice]:
        """Some of what the kernel has told and nobody has taken; none: that was all. From one thread at a time."""
        if self._fd is None:
            return []
        try:
            told = os.read(self._fd, _READ_AT_ONCE)
        except BlockingIOError:
            return []
        notices, at = [], 0
        while at < len(told):
            watch, change, _, length = _EVENT.unpack_from(told, at)
            at += _EVENT.size + length
            name = told[at - length : at].rstrip(b"\0")
            notices.append(Notice(None if watch == _OVERFLOW else watch, change, name))
        return notices

    def close(self) -> None:
        """Stop watching."""
        if self._fd is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None
