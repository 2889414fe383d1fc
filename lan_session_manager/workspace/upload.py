"""A file that arrives from a client: written in constant memory, in its place only when it is complete."""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from lan_session_manager.errors import ConflictError, StorageError, TooLargeError
from lan_session_manager.workspace.directories import IN_THE_WAY, make_directories
from lan_session_manager.workspace.listing import Entry, entry_of
from lan_session_manager.workspace.opener import DIRECTORY, IS_A_DIRECTORY, beneath, closing, refusals
from lan_session_manager.workspace.paths import Parts, joined, stored
from lan_session_manager.workspace.usage import Quota
from lan_session_manager.workspace.workspace import Workspace

_EXISTS = "There is a file of that name already. Choose another name, or upload it so that it replaces the other."
_OVER = "The upload has ended already. Start it again."
_LOOK_EVERY = 16 * 1024 * 1024  # bytes between two looks at the free space
_MB = 1024 * 1024


class Upload:
    """One file on its way to `path`. As a context manager it is aborted unless it was committed.

    For use from any thread, and `abort` while another call is under way: it waits for that, which is then the last one.

    `size` is what the client announced, if it did; `limit_bytes` bounds the file, `quota` the whole workspace, and
    `reserve_bytes` of the disk stay free. Raises at once what can be known at once: ReadOnlyError, SecurityError,
    ConflictError, TooLargeError, QuotaError, TooManyFilesError, StorageError.
    """

    def __init__(
        self,
        workspace: Workspace,
        path: Parts,
        *,
        limit_bytes: int,
        quota: Quota,
        reserve_bytes: int,
        size: int | None = None,
        overwrite: bool = True,
    ) -> None:
        workspace.check_writable(path)
        self._workspace = workspace
        self._path = path
        self._limit = limit_bytes
        self._reserve = reserve_bytes
        self._overwrite = overwrite
        self._written = 0
        self._look_at = 0
        self._lock = threading.RLock()
        self._open = True
        announced = size or 0
        self._check_limit(announced)
        with workspace.opened() as root:
            self._check_target(root)
            self._check_disk(root, announced)
        self._reservation = workspace.reserve(announced, quota)
        try:
            with refusals():
                self._staged = workspace.staged()
        except BaseException:
            self._reservation.release()
            raise

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises TooLargeError, QuotaError, StorageError; the upload is aborted then."""
        with self._going_on():
            end = self._written + len(chunk)
            self._check_limit(end)
            if end > self._reservation.size:
                self._reservation.extend(end - self._reservation.size)
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._staged.fd, rest) :]
            self._written = end
            if end >= self._look_at:
                self._look_at = end + _LOOK_EVERY
                self._check_disk(self._staged.fd, 0)

    def commit(self) -> Entry:
        """Put the file in its place, making the directories on the way, and say what stands there now.

        Raises ConflictError, SecurityError, StorageError; the upload is aborted then.
        """
        with self._going_on():
            info = os.fstat(self._staged.fd)
            with (
                self._workspace.opened() as root,
                closing(make_directories(root, self._path[:-1], self._workspace.owner)) as parent,
            ):
                try:
                    self._staged.put(parent, stored(self._path[-1]), overwrite=self._overwrite)
                except FileExistsError:
                    raise ConflictError(what=_EXISTS) from None
            self._open = False
            self._reservation.settle(self._written)
        return entry_of(stored(self._path[-1]), info)

    def abort(self) -> None:
        """Leave nothing of it. Does nothing once it is committed or aborted."""
        with self._lock:
            if self._open:
                self._open = False
                self._staged.discard()
                self._reservation.release()

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        # An aborted upload's descriptor may be another file's by now: it must not be touched.
        with self._lock:
            if not self._open:
                raise ConflictError(what=_OVER)
            try:
                with refusals():
                    yield
            except BaseException:
                self.abort()
                raise

    def __enter__(self) -> "Upload":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _check_limit(self, size: int) -> None:
        if size > self._limit:
            raise TooLargeError(allowed=f"{self._limit // _MB} MB" if self._limit >= _MB else f"{self._limit} bytes")

    def _check_disk(self, fd: int, size: int) -> None:
        disk = os.fstatvfs(fd)
        if disk.f_bavail * disk.f_frsize < size + self._reserve:
            raise StorageError

    def _check_target(self, root: int) -> None:
        """Refuse before the bytes come what would be refused after; `commit` decides, as all may change until then."""
        with refusals():
            try:
                with closing(beneath(root, joined(self._path[:-1]), DIRECTORY)) as parent:
                    info = os.stat(stored(self._path[-1]), dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                return
            except NotADirectoryError:
                raise ConflictError(what=IN_THE_WAY) from None
        if stat.S_ISDIR(info.st_mode):
            raise ConflictError(what=IS_A_DIRECTORY)
        if not self._overwrite:
            raise ConflictError(what=_EXISTS)
