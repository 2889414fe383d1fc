"""Making directories in a workspace, acting as its owner, whatever stands in their place."""

import os
import stat
from contextlib import suppress

from lan_session_manager.errors import BusyError, ConflictError
from lan_session_manager.workspace.opener import DIRECTORY, beneath, reached, refusals, unlock
from lan_session_manager.workspace.owner import Owner
from lan_session_manager.workspace.paths import Parts, stored

_TRIES = 16  # a task may take away or replace what was just made
IN_THE_WAY = "A part of this path is a file, not a directory. Choose another name, or delete the file first."


def make_directories(root: int, path: Parts) -> int:
    """A new descriptor of the directory `path` below `root`; what is missing of it is made, mode 0700.

    Something can be put into it, whatever its mode was. To be called acting as the owner. Raises SecurityError for a
    link on the way, ConflictError for a file, StorageError when nothing can be written.
    """
    at = os.dup(root)
    for name in path:
        try:
            with refusals():
                unlock(at)
                try:
                    step = _made(at, stored(name))
                except NotADirectoryError:
                    raise ConflictError(what=IN_THE_WAY) from None
        finally:
            os.close(at)
        at = step
    unlock(at)
    return at


def missing(root: int, path: Parts) -> int:
    """How many directories `make_directories` would make now. To be called acting as the owner. Raises as that does."""
    at = os.dup(root)
    try:
        for number, name in enumerate(path):
            with refusals():
                try:
                    step = reached(at, stored(name), DIRECTORY)
                except FileNotFoundError:
                    return len(path) - number
                except NotADirectoryError:
                    raise ConflictError(what=IN_THE_WAY) from None
            os.close(at)
            at = step
    finally:
        os.close(at)
    return 0


def make_own(root: int, name: bytes, owner: Owner) -> None:
    """Have a directory of that name of the server's choice, of `owner`, mode 0700 if it is made.

    Nothing that is in its way is deleted: it is moved aside, but for an empty directory of somebody else. To be called
    acting as the owner. Raises OSError.
    """
    unlock(root)
    for _ in range(_TRIES):
        try:
            info = os.stat(name, dir_fd=root, follow_symlinks=False)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=root)
            continue
        if stat.S_ISDIR(info.st_mode):
            if info.st_uid in owner.uids:
                return
            with suppress(OSError):  # left by an earlier server that was stopped before it gave it away
                os.rmdir(name, dir_fd=root)
                continue
        move_aside(root, name)
    raise BusyError


def make_and_give(parent: int, name: bytes, owner: Owner) -> int:
    """A descriptor of the directory `name`, of `owner`, mode 0700 if it is made, in one of the server's own.

    Not to be called acting as the owner: nobody but the server can put anything into `parent`. Raises OSError.
    """
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    fd = beneath(parent, name, DIRECTORY)
    try:
        # Made here, or by a server that was stopped before it gave it away.
        if os.fstat(fd).st_uid not in owner.uids:
            os.fchown(fd, owner.uid, owner.gid)
    except BaseException:
        os.close(fd)
        raise
    return fd


def move_aside(parent: int, name: bytes) -> None:
    """Rename what has that name, a link itself, to the first of name.1, name.2, … that is free."""
    taken = {os.fsencode(found) for found in os.listdir(parent)}
    free = next(to for number in range(1, len(taken) + 2) if (to := b"%s.%d" % (name, number)) not in taken)
    try:
        os.rename(name, free, src_dir_fd=parent, dst_dir_fd=parent)
    except FileNotFoundError:
        return


def _made(parent: int, name: bytes) -> int:
    for _ in range(_TRIES):
        try:
            return reached(parent, name, DIRECTORY)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
    raise BusyError
