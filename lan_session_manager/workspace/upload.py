"""A file that arrives from a client: written in constant memory, in its place only when it is complete."""

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from lan_session_manager.errors import ConflictError, NotFoundError, StorageError, TooLargeError
from lan_session_manager.workspace.directories import make_directories, missing
from lan_session_manager.workspace.listing import Entry, entry_of
from lan_session_manager.workspace.opener import IS_A_DIRECTORY, closing, open_directory, refusals
from lan_session_manager.workspace.owner import acting_as
from lan_session_manager.workspace.paths import Parts, stored
from lan_session_manager.workspace.usage import DIRECTORY_BYTES, Quota
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
        self._check_disk(announced)
        with workspace.opened() as root:
            directories = missing(root, path[:-1])
            if not directories:
                self._check_target(root)
        self._overhead = directories * DIRECTORY_BYTES
        self._reservation = workspace.reserve(announced + self._overhead, quota, 1 + directories)
        try:
            with workspace.room(), refusals():
                self._staged = workspace.staged()
        except BaseException:
            self._reservation.release()
            raise

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises TooLargeError, QuotaError, StorageError; the upload is aborted then."""
        with self._going_on():
            end = self._written + len(chunk)
            self._check_limit(end)
            if end + self._overhead > self._reservation.size:
                self._reservation.extend(end + self._overhead - self._reservation.size)
            rest = memoryview(chunk)
            with acting_as(self._workspace.owner):  # root may write into what a file system keeps back, and past quotas
                while rest:
                    rest = rest[os.write(self._staged.fd, rest) :]
            self._written = end
            if end >= self._look_at:
                self._look_at = end + _LOOK_EVERY
                self._check_disk(0)

    def commit(self) -> Entry:
        """Put the file in its place, making the directories on the way, and say what stands there now.

        Raises ConflictError, SecurityError, StorageError; the upload is aborted then.
        """
        with self._going_on():
            info = os.fstat(self._staged.fd)
            with (
                self._workspace.opened() as root,
                closing(make_directories(root, self._path[:-1])) as parent,
            ):
                try:
                    self._staged.put(parent, stored(self._path[-1]), overwrite=self._overwrite)
                except FileExistsError:
                    raise ConflictError(what=_EXISTS) from None
            self._open = False
            self._reservation.settle(self._written + self._overhead)
        return entry_of(stored(self._path[-1]), info)

    def abort(self) -> None:
        """Leave nothing of it. Does nothing once it is committed or aborted."""
        with self._lock:
            if self._open:
                self._open = False
                self._staged.discard()
                self._reservation.release()
                self._workspace.touch()  # directories on the way may have been made

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        # An aborted upload's descriptor may be another file's by now: it must not be touched.
        with self._lock:
            if not self._open:
                raise ConflictError(what=_OVER)
            try:
                with self._workspace.room(), refusals():
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

    def _check_disk(self, size: int) -> None:
        disk = os.statvfs(self._workspace.data_dir)  # a volume has another file system
        if disk.f_bavail * disk.f_frsize < size + self._reserve:
            raise StorageError

    def _check_target(self, root: int) -> None:
        """Refuse before the bytes come what would be refused after; `commit` decides, as all may change until then."""
        try:
            with refusals(), closing(open_directory(root, self._path[:-1])) as parent:
                info = os.stat(stored(self._path[-1]), dir_fd=parent, follow_symlinks=False)
        except NotFoundError:
            return
        if stat.S_ISDIR(info.st_mode):
            raise ConflictError(what=IS_A_DIRECTORY)
        if not self._overwrite:
            raise ConflictError(what=_EXISTS)
