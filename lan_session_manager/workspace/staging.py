"""A file on its way into a workspace: written where no task can see or touch it, then put in its place at once."""

import errno
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path

from lan_session_manager.errors import StorageError
from lan_session_manager.workspace.opener import Owner

_STALE_S = 3600  # a staged file that nobody wrote to for so long was left by a server that was killed


class Staged:
    """A new empty file, mode 0600, of `owner`, with a random name in the server's own directory. Raises OSError."""

    def __init__(self, directory: Path, owner: Owner) -> None:
        self._path = directory / secrets.token_hex(16)
        self.fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchown(self.fd, owner.uid, owner.gid)
        except BaseException:
            self.discard()
            raise

    def put(self, parent: int, name: bytes, *, overwrite: bool) -> None:
        """Move it to `name` in the directory `parent`, in the place of any file or link there if `overwrite`.

        Raises OSError (FileExistsError, IsADirectoryError) and StorageError; then it can be put elsewhere or discarded.
        """
        try:
            if overwrite:
                os.rename(self._path, name, dst_dir_fd=parent)
            else:
                os.link(self._path, name, dst_dir_fd=parent, follow_symlinks=False)
                os.unlink(self._path)
        except OSError as error:
            if error.errno == errno.EXDEV:  # the workspace lies on a file system of its own
                raise StorageError from error
            raise
        os.close(self.fd)

    def discard(self) -> None:
        """Leave nothing of it."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)
        os.close(self.fd)


def sweep(directory: Path) -> None:
    """Remove what servers that were killed have left in the staging directory."""
    for found in directory.iterdir():
        with suppress(FileNotFoundError):
            if found.lstat().st_mtime < time.time() - _STALE_S:
                found.unlink()
