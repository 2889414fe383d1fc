"""A file on its way into a workspace: written where no task can see or touch it, then put in its place at once.

Each workspace has a staging directory, its owner's, so that the owner's rights are enough for the whole way.
"""

import errno
import logging
import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from lan_session_manager.errors import LSMError, StorageError
from lan_session_manager.workspace.bin import BIN, expire
from lan_session_manager.workspace.bin import KEPT_S as BIN_KEPT_S
from lan_session_manager.workspace.opener import closing
from lan_session_manager.workspace.owner import Owner, acting_as

_log = logging.getLogger(__name__)

_STALE_S = 3600  # a staged file that nobody wrote to for so long was left by a server that was killed
KEPT_S = 24 * 3600  # the same of an upload that goes on later
_BIN_S = 0.5  # for what goes for good of one bin: the others wait for that, and so does a start
PART, FACTS = ".part", ".facts"  # such an upload's bytes, and what is known of it
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Staged:
    """A new empty file, mode 0600, of `owner`, with a random name in the staging directory, which is made if need be.

    With `name` it has that one; `is_there`: it is opened, not made. Raises OSError.
    """

    def __init__(self, directory: Path, owner: Owner, name: str | None = None, *, is_there: bool = False) -> None:
        self._name = name or secrets.token_hex(16)
        self._owner = owner
        making = 0 if is_there else os.O_CREAT | os.O_EXCL
        self._directory = opened_staging(directory, owner)
        try:
            with acting_as(owner):
                self.fd = os.open(
                    self._name,
                    os.O_WRONLY | making | os.O_NOFOLLOW | os.O_CLOEXEC,
                    0o600,
                    dir_fd=self._directory,
                )
        except BaseException:
            os.close(self._directory)
            raise

    def put(self, parent: int, name: bytes, *, overwrite: bool) -> None:
        """Move it to `name` in the directory `parent`, in the place of any file or link there if `overwrite`.

        To be called acting as the owner. Raises OSError (FileExistsError, IsADirectoryError) and StorageError; then it
        can be put elsewhere or discarded.
        """
        try:
            if overwrite:
                os.rename(self._name, name, src_dir_fd=self._directory, dst_dir_fd=parent)
            else:
                os.link(self._name, name, src_dir_fd=self._directory, dst_dir_fd=parent, follow_symlinks=False)
                os.unlink(self._name, dir_fd=self._directory)
        except OSError as error:
            if error.errno == errno.EXDEV:  # the workspace lies on a file system of its own
                raise StorageError from error
            raise
        self.close()

    def discard(self) -> None:
        """Leave nothing of it. Not to be called acting as the owner."""
        try:
            with acting_as(self._owner), suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=self._directory)
        finally:
            self.close()

    def close(self) -> None:
        """Leave it as it is. Not to be called after it was put in its place or discarded."""
        os.close(self.fd)
        os.close(self._directory)


def sweep(directory: Path, bin_kept_s: float = BIN_KEPT_S) -> None:
    """Do `sweep_each` for all staging directories below `directory`. Raises OSError."""
    for found in directory.iterdir():
        info = found.lstat()
        if stat.S_ISDIR(info.st_mode):
            sweep_each(found, bin_kept_s)
        elif info.st_mtime < time.time() - _STALE_S:  # an earlier version had one directory for all workspaces
            found.unlink(missing_ok=True)


def sweep_each(directory: Path, bin_kept_s: float = BIN_KEPT_S) -> None:
    """Do `sweep_one`; that it cannot be done for one workspace stops it for no other."""
    try:
        sweep_one(directory, bin_kept_s)
    except (OSError, LSMError) as error:
        _log.warning("what is old could not be removed from %s: %s", directory, error)


def sweep_one(directory: Path, bin_kept_s: float = BIN_KEPT_S) -> None:
    """Remove what servers that were killed have left in one staging directory, and what is old in the trash.

    Raises OSError.
    """
    with closing(os.open(directory, _DIRECTORY)) as fd:
        info = os.fstat(fd)
        if not info.st_uid:  # made a moment ago: nothing is in it yet
            return
        with acting_as(Owner(info.st_uid, info.st_gid, range(info.st_uid, info.st_uid + 1))):
            expire(fd, bin_kept_s, _BIN_S)
            changed: dict[str, float] = {}
            for name in set(os.listdir(fd)) - {BIN}:
                with suppress(FileNotFoundError):
                    changed[name] = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mtime
            for name, at in changed.items():
                # What is known of an upload is as old as its bytes.
                bytes_at = changed.get(name.removesuffix(FACTS) + PART, at) if name.endswith(FACTS) else at
                limit = KEPT_S if name.endswith((PART, FACTS)) else _STALE_S
                if bytes_at < time.time() - limit:
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=fd)


def opened_staging(directory: Path, owner: Owner) -> int:
    """A descriptor of a staging directory, which is made if need be. Not to be called acting. Raises OSError."""
    try:
        fd = os.open(directory, _DIRECTORY)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        fd = os.open(directory, _DIRECTORY)
    try:
        if os.fstat(fd).st_uid != owner.uid:  # made here, or by a server that was stopped before it gave it away
            os.fchown(fd, owner.uid, owner.gid)
    except BaseException:
        os.close(fd)
        raise
    return fd
