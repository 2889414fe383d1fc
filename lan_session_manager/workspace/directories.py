"""Making directories in a workspace, in the name of its owner, whatever stands in their place."""

import errno
import os
from contextlib import suppress

from lan_session_manager.errors import BusyError, ConflictError
from lan_session_manager.workspace.opener import DIRECTORY, Owner, beneath, refusals
from lan_session_manager.workspace.paths import Parts, stored

_TRIES = 16  # a task may take away or replace what was just made
IN_THE_WAY = "A part of this path is a file, not a directory. Choose another name, or delete the file first."


def make_directories(root: int, path: Parts, owner: Owner) -> int:
    """A new descriptor of the directory `path` below `root`; what is missing of it is made, mode 0700, for `owner`.

    Raises SecurityError for a link on the way, ConflictError for a file, StorageError when nothing can be written.
    """
    at = os.dup(root)
    for name in path:
        try:
            with refusals():
                try:
                    step = _made(at, stored(name), owner)
                except NotADirectoryError:
                    raise ConflictError(what=IN_THE_WAY) from None
        finally:
            os.close(at)
        at = step
    return at


def make_in_place(parent: int, name: bytes, owner: Owner) -> int:
    """As `make_directories` for one name of the server's own: what is in its way is moved aside, never deleted.

    Raises OSError.
    """
    for _ in range(_TRIES):
        try:
            return _made(parent, name, owner)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
        move_aside(parent, name)
    raise BusyError


def move_aside(parent: int, name: bytes) -> None:
    """Rename what has that name, a link itself, to the first of name.1, name.2, … that is free."""
    taken = {os.fsencode(found) for found in os.listdir(parent)}
    free = next(to for number in range(1, len(taken) + 2) if (to := b"%s.%d" % (name, number)) not in taken)
    try:
        os.rename(name, free, src_dir_fd=parent, dst_dir_fd=parent)
    except FileNotFoundError:
        return


def _made(parent: int, name: bytes, owner: Owner) -> int:
    for _ in range(_TRIES):
        try:
            fd = beneath(parent, name, DIRECTORY)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=parent)
            continue
        # Made a moment ago or by a server that was stopped before it gave it away. No link leads to a directory that is
        # not in the workspace, so what is given away is always the session's.
        try:
            if os.fstat(fd).st_uid not in owner.uids:
                os.fchown(fd, owner.uid, owner.gid)
        except BaseException:
            os.close(fd)
            raise
        return fd
    raise BusyError
