"""An upload in as many requests as it takes: each goes on where the bytes that are here end."""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from lan_session_manager.errors import ConflictError, NotFoundError, OffsetError, TooLargeError
from lan_session_manager.workspace.listing import Entry
from lan_session_manager.workspace.opener import refusals
from lan_session_manager.workspace.owner import acting_as
from lan_session_manager.workspace.paths import Parts
from lan_session_manager.workspace.staging import KEPT_S, PART, Staged
from lan_session_manager.workspace.target import Target
from lan_session_manager.workspace.unfinished import Arriving, Facts, boot_id
from lan_session_manager.workspace.upload import LOOK_EVERY
from lan_session_manager.workspace.usage import DIRECTORY_BYTES, Quota
from lan_session_manager.workspace.workspace import Workspace

_TAKEN_OVER = "Another request goes on with this upload. Ask for its offset, and send what comes after it."


@dataclass(frozen=True)
class State:
    """How far an upload is; times are Unix times in seconds."""

    id: str
    path: Parts
    size: int  # bytes
    offset: int  # bytes that are here
    created_at: float
    expires_at: float
    is_complete: bool  # and in its place


class Resumable:
    """The uploads of one workspace. For use from any thread."""

    def __init__(self, workspace: Workspace, *, limit_bytes: int, reserve_bytes: int) -> None:
        """`limit_bytes` bounds each file, and `reserve_bytes` of the disk stay free. Raises StorageError."""
        self._workspace = workspace
        self._limit = limit_bytes
        self._reserve = reserve_bytes
        if workspace.is_made:  # else there is nothing, and a look does not make it
            with refusals():
                workspace.unfinished.load(workspace.staging, workspace.owner)

    def begin(self, path: Parts, size: int, quota: Quota, *, overwrite: bool = True) -> State:
        """Promise `size` bytes of the quota to a new upload to `path`.

        Raises TooManyUploadsError, and what `Target.check` and `Workspace.reserve` raise.
        """
        workspace = self._workspace
        directories = self._target(path, overwrite).check(size)
        held = size + directories * DIRECTORY_BYTES
        facts = Facts(secrets.token_hex(16), path, size, overwrite, time.time(), held, 1 + directories, boot_id())
        reservation = workspace.reserve(held, quota, facts.held_files)
        try:
            with workspace.room(), refusals():
                workspace.unfinished.add(facts, reservation, workspace.staging, workspace.owner)
        except BaseException:
            reservation.release()
            raise
        return self.state(facts.id)

    def all(self) -> list[State]:
        """Those that have not ended, oldest first."""
        return [_state(arriving) for arriving in self._workspace.unfinished.all()]

    def state(self, upload_id: str) -> State:
        """How far it is; an upload that has ended is remembered for a while. Raises NotFoundError."""
        return _state(self._workspace.unfinished.find(upload_id))

    def go_on(self, upload_id: str, offset: int, length: int | None = None) -> "Appending":
        """Add to an upload from `offset` on, in the place of any request that does so now.

        `length` is how many bytes come, if that is known. Raises NotFoundError, OffsetError, TooLargeError.
        """
        arriving = self._workspace.unfinished.find(upload_id)
        if isinstance(arriving, Facts):
            raise OffsetError(offset=arriving.size)
        target = self._target(arriving.facts.path, arriving.facts.overwrite)
        return Appending(target, arriving, offset, length or 0)

    def give_up(self, upload_id: str) -> None:
        """Leave nothing of it. Raises NotFoundError; nothing is done for one that has ended."""
        arriving = self._workspace.unfinished.find(upload_id)
        if isinstance(arriving, Arriving):
            self._workspace.unfinished.give_up(arriving)

    def _target(self, path: Parts, overwrite: bool) -> Target:
        return Target(self._workspace, path, self._limit, self._reserve, overwrite)


class Appending:
    """The bytes of one request. As a context manager it lets go of the upload, which keeps what has arrived."""

    def __init__(self, target: Target, arriving: Arriving, offset: int, length: int) -> None:
        self._target = target
        self._workspace = target.workspace
        self._arriving = arriving
        self._look_at = 0
        self._staged: Staged | None = None
        with arriving.lock:
            if arriving.is_gone:
                raise NotFoundError
            if offset != arriving.offset:
                raise OffsetError(offset=arriving.offset)
            self._check_size(offset + length)
            with refusals():
                self._staged = Staged(
                    self._workspace.staging, self._workspace.owner, arriving.facts.id + PART, is_there=True
                )
            arriving.writer = self

    @property
    def offset(self) -> int:
        """How many bytes are here."""
        return self._arriving.offset

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises TooLargeError, QuotaError, StorageError, and ConflictError once another request
        has taken over; what has arrived before stays.
        """
        with self._own() as staged:
            arriving = self._arriving
            self._check_size(arriving.offset + len(chunk))
            if arriving.offset >= self._look_at:
                self._look_at = arriving.offset + LOOK_EVERY
                self._target.check_disk(arriving.facts.size - arriving.offset)
            rest = memoryview(chunk)
            with acting_as(self._workspace.owner):
                while rest:
                    written = os.pwrite(staged.fd, rest, arriving.offset)
                    arriving.offset += written
                    rest = rest[written:]
            arriving.used_at = time.time()

    def finish(self) -> Entry | None:
        """Put the file in its place if all of it is here, else None. Raises ConflictError, SecurityError, StorageError;
        the bytes stay then, and a request without any tries it again.
        """
        with self._own() as staged:
            arriving = self._arriving
            if arriving.offset < arriving.facts.size:
                return None
            entry = self._target.put(staged)
            self._staged = None
            arriving.is_gone = True
            arriving.reservation.settle(arriving.facts.held_bytes)
        self._workspace.unfinished.end(arriving)
        return entry

    def close(self) -> None:
        """Let go of the upload."""
        with self._arriving.lock:
            if self._arriving.writer is self:
                self._arriving.writer = None
            if self._staged is not None:
                self._staged.close()
                self._staged = None

    @contextmanager
    def _own(self) -> Iterator[Staged]:
        with self._arriving.lock:
            if self._arriving.is_gone:
                raise NotFoundError
            if self._arriving.writer is not self or self._staged is None:
                raise ConflictError(what=_TAKEN_OVER)
            with self._workspace.room(), refusals():
                yield self._staged

    def _check_size(self, size: int) -> None:
        if size > self._arriving.facts.size:
            raise TooLargeError(allowed=f"the {self._arriving.facts.size} bytes that were announced")

    def __enter__(self) -> "Appending":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _state(found: Arriving | Facts) -> State:
    facts, offset, used_at = (
        (found, found.size, found.created_at)
        if isinstance(found, Facts)
        else (found.facts, found.offset, found.used_at)
    )
    return State(facts.id, facts.path, facts.size, offset, facts.created_at, used_at + KEPT_S, isinstance(found, Facts))
