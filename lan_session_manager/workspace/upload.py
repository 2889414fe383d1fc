"""A file that arrives from a client: written in constant memory, in its place only when it is complete."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from lan_session_manager.errors import ConflictError
from lan_session_manager.workspace.listing import Entry
from lan_session_manager.workspace.opener import refusals
from lan_session_manager.workspace.owner import acting_as
from lan_session_manager.workspace.paths import Parts
from lan_session_manager.workspace.target import Target
from lan_session_manager.workspace.usage import DIRECTORY_BYTES, Quota
from lan_session_manager.workspace.workspace import Workspace

_OVER = "The upload has ended already. Start it again."
LOOK_EVERY = 16 * 1024 * 1024  # bytes between two looks at the free space


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
        self._workspace = workspace
        self._target = Target(workspace, path, limit_bytes, reserve_bytes, overwrite)
        self._written = 0
        self._look_at = 0
        self._lock = threading.RLock()
        self._open = True
        announced = size or 0
        directories = self._target.check(announced)
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
            self._target.check_size(end)
            if end + self._overhead > self._reservation.size:
                self._reservation.extend(end + self._overhead - self._reservation.size)
            rest = memoryview(chunk)
            with acting_as(self._workspace.owner):  # root may write into what a file system keeps back, and past quotas
                while rest:
                    rest = rest[os.write(self._staged.fd, rest) :]
            self._written = end
            if end >= self._look_at:
                self._look_at = end + LOOK_EVERY
                self._target.check_disk(0)

    def commit(self) -> Entry:
        """Put the file in its place, making the directories on the way, and say what stands there now.

        Raises ConflictError, SecurityError, StorageError; the upload is aborted then.
        """
        with self._going_on():
            entry = self._target.put(self._staged)
            self._open = False
            self._reservation.settle(self._written + self._overhead)
        return entry

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
