"""Where a file that arrives shall stand: what is refused before its bytes come, and how it is put there at the end."""

import os
import stat
from dataclasses import dataclass

from lan_session_manager.errors import ConflictError, NotFoundError, StorageError, TooLargeError
from lan_session_manager.workspace.directories import make_directories, missing
from lan_session_manager.workspace.listing import Entry, entry_of
from lan_session_manager.workspace.opener import IS_A_DIRECTORY, closing, open_directory, refusals
from lan_session_manager.workspace.paths import Parts, stored
from lan_session_manager.workspace.staging import Staged
from lan_session_manager.workspace.workspace import Workspace

EXISTS = "There is a file of that name already. Choose another name, or upload it so that it replaces the other."
_MB = 1024 * 1024


@dataclass(frozen=True)
class Target:
    """One file's place in a workspace. It may have `limit_bytes`, and `reserve_bytes` of the disk stay free."""

    workspace: Workspace
    path: Parts
    limit_bytes: int
    reserve_bytes: int
    overwrite: bool = True

    def check(self, size: int) -> int:
        """How many directories on the way are missing; raises what can be known before the `size` bytes come.

        ReadOnlyError, SecurityError, ConflictError, TooLargeError, StorageError.
        """
        self.workspace.check_writable(self.path)
        self.check_size(size)
        self.check_disk(size)
        with self.workspace.opened() as root:
            directories = missing(root, self.path[:-1])
            if not directories:
                self._check_name(root)
        return directories

    def check_size(self, size: int) -> None:
        """Raise TooLargeError for more than a file may have."""
        limit = self.limit_bytes
        if size > limit:
            raise TooLargeError(allowed=f"{limit // _MB} MB" if limit >= _MB else f"{limit} bytes")

    def check_disk(self, size: int) -> None:
        """Raise StorageError if `size` bytes more would take of what is to stay free."""
        if not self._has_disk(size) and not (self.workspace.empty_trash() and self._has_disk(size)):
            raise StorageError

    def _has_disk(self, size: int) -> bool:
        disk = os.statvfs(self.workspace.data_dir)  # a volume has another file system
        return disk.f_bavail * disk.f_frsize >= size + self.reserve_bytes

    def put(self, staged: Staged) -> Entry:
        """Put the file in its place, making the directories on the way, and say what stands there now.

        Raises ConflictError, SecurityError, StorageError, OSError; the file is where it was then.
        """
        info = os.fstat(staged.fd)
        with (
            self.workspace.opened() as root,
            closing(make_directories(root, self.path[:-1])) as parent,
        ):
            try:
                staged.put(parent, stored(self.path[-1]), overwrite=self.overwrite)
            except FileExistsError:
                raise ConflictError(what=EXISTS) from None
        return entry_of(stored(self.path[-1]), info)

    def _check_name(self, root: int) -> None:
        """Refuse before the bytes come what would be refused after; `put` decides, as all may change until then."""
        try:
            with refusals(), closing(open_directory(root, self.path[:-1])) as parent:
                info = os.stat(stored(self.path[-1]), dir_fd=parent, follow_symlinks=False)
        except NotFoundError:
            return
        if stat.S_ISDIR(info.st_mode):
            raise ConflictError(what=IS_A_DIRECTORY)
        if not self.overwrite:
            raise ConflictError(what=EXISTS)
