"""Renaming and moving within a workspace: by descriptors, and never over anything."""

import errno
import os
import stat

from lan_session_manager.errors import ConflictError, InvalidInputError, NotFoundError
from lan_session_manager.workspace.listing import Entry, entry_of
from lan_session_manager.workspace.opener import beneath, closing, open_directory, refusals, unlock
from lan_session_manager.workspace.paths import Parts, stored
from lan_session_manager.workspace.renaming import rename_new
from lan_session_manager.workspace.workspace import Workspace

TAKEN = "There is something of that name already. Choose another name, or rename or delete the other first."
_ITSELF = "A folder cannot be moved into itself. Choose another place for it."
_NO_PLACE = "The folder that it should go to is not there. Make it first, or choose another one."
_BUSY = "The kernel does not let this be moved. Cancel the task that uses it, then try again."


def move(workspace: Workspace, source: Parts, target: Parts) -> Entry:
    """Give what is at `source` the path `target`, whose directory is there, and say what stands there now.

    A link is moved itself. Raises NotFoundError, ReadOnlyError, SecurityError, ConflictError and InvalidInputError.
    """
    workspace.check_writable(source)
    workspace.check_writable(target)
    if target[: len(source)] == source:
        raise ConflictError(what=TAKEN if target == source else _ITSELF)
    name, new_name = stored(source[-1]), stored(target[-1])
    try:
        with workspace.opened() as root, refusals(), closing(open_directory(root, source[:-1])) as parent:
            info = os.stat(name, dir_fd=parent, follow_symlinks=False)
            with closing(_place(root, target[:-1])) as place:
                unlock(parent)
                unlock(place)
                unlock_moved(parent, name, info)
                _rename(parent, name, place, new_name)
    finally:
        workspace.touch()
    return entry_of(new_name, info)


def _place(root: int, path: Parts) -> int:
    try:
        return open_directory(root, path)
    except NotFoundError:
        raise ConflictError(what=_NO_PLACE) from None


def unlock_moved(parent: int, name: bytes, info: os.stat_result) -> None:
    """Let a directory get another parent, which writes to it: its ".." changes. Nothing is done for what is none."""
    if stat.S_ISDIR(info.st_mode):
        with closing(beneath(parent, name, os.O_PATH)) as fd:
            unlock(fd)


def _rename(parent: int, name: bytes, place: int, new_name: bytes) -> None:
    try:
        rename_new(parent, name, place, new_name)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR):
            raise ConflictError(what=TAKEN) from None
        if error.errno == errno.EINVAL:
            raise ConflictError(what=_ITSELF) from None
        if error.errno in (errno.EBUSY, errno.EXDEV):
            raise ConflictError(what=_BUSY) from None
        if error.errno == errno.ENAMETOOLONG:
            raise InvalidInputError(what="The name is too long. Use a shorter one.") from None
        raise
