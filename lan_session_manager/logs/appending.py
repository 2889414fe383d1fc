"""Writes a log whose bytes come from somewhere else than a monitor, such as a remote worker, at offsets.

The files are those that a monitor under the eyes of a server would leave (see `segments`), so that every reader of logs
reads them; here the offset of each segment is known exactly, and nothing has to look for it.
"""

import os
import time
from pathlib import Path

from lan_session_manager.logs.files import RecordFile
from lan_session_manager.logs.segments import Segment, drop_middle, keep_beginning, kept, segment_bytes

_PAYLOAD = 8192  # bytes of one record at most, as a monitor's
_STREAMS = frozenset({"stdout", "stderr"})


class LogHoleError(Exception):
    """Bytes between the end of the log and these are missing; `expected` is the offset that has to come next."""

    def __init__(self, expected: int) -> None:
        super().__init__(f"the log ends at {expected}")
        self.expected = expected


class LogAppender:
    """The log in `directory`, with its end open for more; it takes at most `bound_bytes` of disk (see `segments`).

    The directory exists; the log may be there already, also one that a server left when it died: a record that was
    begun and not finished is taken away. One appender for one log at a time, and one call at a time, from any thread.
    Nothing stays open between two calls. Raises OSError.
    """

    def __init__(self, directory: Path, bound_bytes: int) -> None:
        self._directory = directory
        self._log = directory / "log"
        self._most = segment_bytes(bound_bytes)
        last = self._recovered()
        end = RecordFile(last.path).end()
        os.truncate(last.path, end.raw)
        self._number, self._raw = last.number, end.raw
        self._next = (last.offset or 0) + end.decoded

    @property
    def next(self) -> int:
        """The offset of the byte that comes next: how many bytes were appended so far, kept or not."""
        return self._next

    def append(self, offset: int, stream: str, data: bytes) -> int:
        """Append what the stream "stdout" or "stderr" printed, whose first byte has `offset`; gives the next offset.

        Bytes that are there already are not written again: only what goes beyond the end is, so that who got no answer
        may send the same once more. Raises LogHoleError, and appends nothing, if `offset` is beyond the end. If an
        OSError comes, as of a full disk, make a new appender: its `next` says how much was written.
        """
        if stream not in _STREAMS or offset < 0:
            raise ValueError("a log has stdout and stderr, and its offsets start at 0")
        if offset > self._next:
            raise LogHoleError(self._next)
        fresh = data[self._next - offset :]
        at, head = 0, f"{_stamp()} {stream} ".encode()
        while at < len(fresh):
            at += self._fill(head, fresh, at)
        return self._next

    def _fill(self, head: bytes, data: bytes, at: int) -> int:
        """Write what the present file has room for, one record at least; gives how many bytes of `data` these were."""
        records, room, begun = [], self._most - self._raw, at
        while at < len(data):
            end = data.find(b"\n", at, at + _PAYLOAD) + 1
            record = b"%sF %s" % (head, data[at:end]) if end else b"%sP %s\n" % (head, data[at : at + _PAYLOAD])
            if len(record) > room:
                break
            records.append(record)
            room -= len(record)
            at = end or min(len(data), at + _PAYLOAD)
        if records:
            self._write(b"".join(records), at - begun)
        else:
            self._begin()
        return at - begun

    def _write(self, block: bytes, decoded: int) -> None:
        fd = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            left = memoryview(block)
            while left:
                left = left[os.write(fd, left) :]
        finally:
            os.close(fd)
        self._raw += len(block)
        self._next += decoded

    def _begin(self) -> None:
        """Begin the next file. It has its name as a segment first: a server may die between any two steps."""
        new = self._directory / "log.tmp"
        new.unlink(missing_ok=True)
        _create(new)
        os.link(new, self._directory / f"log.{self._number + 1}.{self._next}")
        new.replace(self._log)
        self._number, self._raw = self._number + 1, 0
        drop_middle(self._directory)

    def _recovered(self) -> Segment:
        """The last segment, which is what the log's name names, whatever was done when a server died."""
        segments = kept(self._directory)
        if not segments:
            if not self._log.exists():
                _create(self._log)
            keep_beginning(self._directory)
            segments = kept(self._directory)
        last = segments[-1]
        if not self._log.exists() or not os.path.samestat(self._log.stat(), last.path.stat()):
            new = self._directory / "log.tmp"
            new.unlink(missing_ok=True)
            os.link(last.path, new)
            new.replace(self._log)
        return last


def _create(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _stamp() -> str:
    """The present moment as monitors write it: 35 characters."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{nanoseconds:09d}+00:00"
