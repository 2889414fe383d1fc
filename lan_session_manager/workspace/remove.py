"""Deleting for good in a workspace, and making a directory."""

import os

from lan_session_manager.workspace.directories import make_directories, missing
from lan_session_manager.workspace.emptying import empty, remove_at
from lan_session_manager.workspace.opener import closing, open_directory, refusals
from lan_session_manager.workspace.paths import Parts, stored
from lan_session_manager.workspace.usage import DIRECTORY_BYTES, Quota
from lan_session_manager.workspace.validate import TOP
from lan_session_manager.workspace.workspace import Workspace


def make_directory(workspace: Workspace, path: Parts, quota: Quota) -> None:
    """Make the directory `path`, with those on the way; one that is there is left as it is.

    Raises ReadOnlyError, SecurityError, ConflictError, QuotaError, TooManyFilesError and StorageError.
    """
    workspace.check_writable(path)
    with workspace.opened() as root:
        directories = missing(root, path)
    size = directories * DIRECTORY_BYTES
    reservation = workspace.reserve(size, quota, directories) if directories else None
    try:
        with workspace.room(), workspace.opened() as root:
            os.close(make_directories(root, path))
    except BaseException:
        if reservation:
            reservation.release()
            workspace.touch()  # some may have been made
        raise
    if reservation:
        reservation.settle(size)


def remove(workspace: Workspace, path: Parts) -> None:
    """Delete what is at `path`, a directory with everything in it, a link itself; inputs, outputs and temp are emptied.

    Raises NotFoundError, ReadOnlyError, SecurityError, and ConflictError when a task goes on writing there.
    """
    emptied = len(path) == 1 and path[0] in TOP and not workspace.read_only
    if not emptied:
        workspace.check_writable(path)
    try:
        with workspace.opened() as root, refusals():
            if emptied:
                with closing(open_directory(root, path)) as top:
                    empty(top)
            else:
                with closing(open_directory(root, path[:-1])) as parent:
                    remove_at(parent, stored(path[-1]))
    finally:
        workspace.touch()
