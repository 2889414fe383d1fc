"""Deleting a name with everything below it: by descriptors, so that nothing outside can be hit.

What the session has locked is unlocked for that: it may go as well.
"""

import errno
import math
import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass

from lan_session_manager.errors import ConflictError
from lan_session_manager.workspace.opener import DIRECTORY, closing, reached, unlock

_LEVELS = 32  # directories open at once; what is deeper is moved up first, however deep a task has made it
_BUDGET = 2_000_000  # entries looked at: a task that makes files as fast as they are deleted is not waited for
_TRIES = 3  # a task may put something into a directory that was emptied, or swap it
_SWAPPED = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST)
_LOCKED = (errno.EACCES, errno.EPERM)
_REFUSALS = 64
_WAITING = 10_000  # directories remembered of one directory; the others are found when it is looked at again
_GROWS = (
    "Not everything could be deleted at once. Delete again, and first cancel the task that still writes there, if any."
)


def remove_at(parent: int, name: bytes, until: float = math.inf) -> None:
    """Delete what has that name in the directory `parent`, a directory with everything in it, a link itself.

    Not longer than `until`, by time.monotonic(). To be called acting as the owner. Raises OSError, and ConflictError
    when it took too long or a task goes on writing there.
    """
    unlock(parent)
    for _ in range(_TRIES):
        try:
            if not stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=parent)
                return
            with closing(reached(parent, name, DIRECTORY)) as top:
                _Emptying(top, until).run()
            os.rmdir(name, dir_fd=parent)
        except OSError as error:
            if error.errno in _LOCKED:
                unlock(parent)
            elif error.errno not in _SWAPPED or error.errno == errno.ENOENT:
                raise
        else:
            return
    raise ConflictError(what=_GROWS)


def empty(directory: int) -> None:
    """Delete everything in a directory. To be called acting as the owner; raises as `remove_at`."""
    _Emptying(directory).run()


@dataclass
class _Level:
    fd: int
    name: bytes
    waiting: list[bytes]  # directories in it that are still to be removed


class _Emptying:
    """Deletes everything in the directory `top`, without ever following a name out of it.

    Nothing is moved out of the workspace for that: a task whose current directory it is would be outside as well.
    """

    def __init__(self, top: int, until: float = math.inf) -> None:
        unlock(top)
        self._levels = [_Level(top, b"", [])]
        self._left = _BUDGET
        self._until = until
        self._refusals = _REFUSALS

    def run(self) -> None:
        """Raises OSError, and ConflictError when there is no end to it."""
        try:
            while True:
                level = self._levels[-1]
                if level.waiting:
                    self._remove(level, level.waiting.pop())
                elif len(self._levels) > 1:
                    self._levels.pop()
                    os.close(level.fd)
                    self._remove_emptied(self._levels[-1], level.name)
                else:
                    level.waiting = self._sweep(level.fd)
                    if not level.waiting:
                        return
        finally:
            for level in self._levels[1:]:
                os.close(level.fd)

    def _remove(self, level: _Level, name: bytes) -> None:
        """Go into a directory that is to be removed, or move it up if too many are open."""
        self._spend()
        try:
            if len(self._levels) == _LEVELS:
                top = self._levels[0]
                with closing(reached(level.fd, name, DIRECTORY)) as moving:
                    unlock(moving)  # its ".." changes
                moved = b".removed-" + secrets.token_hex(8).encode()
                os.rename(name, moved, src_dir_fd=level.fd, dst_dir_fd=top.fd)
                top.waiting.append(moved)
                return
            fd = reached(level.fd, name, DIRECTORY)
        except OSError as error:
            if error.errno in _LOCKED:
                self._refuse(level.fd, error)
                with suppress(OSError):
                    os.rmdir(name, dir_fd=level.fd)  # what is not in it need not be looked at
            elif error.errno not in _SWAPPED:
                raise
            return
        unlock(fd)
        self._levels.append(_Level(fd, name, []))
        self._levels[-1].waiting = self._sweep(fd)

    def _remove_emptied(self, parent: _Level, name: bytes) -> None:
        self._spend()
        try:
            os.rmdir(name, dir_fd=parent.fd)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                parent.waiting.append(name)
            elif error.errno in _LOCKED:
                self._refuse(parent.fd, error)
                parent.waiting.append(name)
            elif error.errno not in _SWAPPED:
                raise

    def _sweep(self, fd: int) -> list[bytes]:
        """Delete what is no directory, and give the names of the directories, so many as may be remembered."""
        waiting: list[bytes] = []
        with os.scandir(fd) as found:
            for entry in found:
                self._spend()
                name = os.fsencode(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(name)
                    if len(waiting) == _WAITING:
                        break
                    continue
                try:
                    os.unlink(name, dir_fd=fd)
                except FileNotFoundError:
                    continue
                except IsADirectoryError:
                    waiting.append(name)
                except PermissionError as error:
                    self._refuse(fd, error)
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=fd)
        return waiting

    def _refuse(self, fd: int, error: OSError) -> None:
        """Unlock a directory that a task has locked again, but not for ever: it may be somebody else's."""
        self._refusals -= 1
        if self._refusals < 0:
            raise error
        unlock(fd)

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0 or time.monotonic() > self._until:
            raise ConflictError(what=_GROWS)
