"""A task's output: the records that its monitor writes, read as the bytes that the task printed.

The monitor (conmon, log driver `k8s-file`) writes a record for each chunk that it receives:

    <timestamp, 35 characters> SP stdout|stderr SP F|P SP <payload> LF

F says that the chunk ended with a line feed, P that it did not. A payload holds no line feed and every record starts
with a header of the monitor's own, so that nothing a task prints can pass for one. What callers see is the decoded
stream: the payloads of both streams in order of arrival, with the line feed of every F. All offsets count bytes of it.

The monitor keeps nothing of what comes once the file has as many bytes as it may. Such a log ends with a line that says
so, which is in no file.
"""

import codecs
import os
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

_HEADER = 45
_KINDS = {
    b" stdout F ": ("stdout", True),
    b" stdout P ": ("stdout", False),
    b" stderr F ": ("stderr", True),
    b" stderr P ": ("stderr", False),
}
_kind_of = itemgetter(slice(35, _HEADER))
_BLOCK = 64 * 1024  # read at once; the longest record has 8 KiB of payload
_SPACING = 256 * 1024  # raw bytes between two entries of the index: 16 bytes of memory for each

LOOK_BACK = 64 * 1024
FULL = b"[The log is full: what the task printed after this was not kept.]\n"


@dataclass(frozen=True)
class LogPiece:
    """Consecutive bytes of one stream: from offset `after` to `next` of the task's log."""

    after: int
    next: int
    stream: str  # "stdout" or "stderr"
    data: bytes


@dataclass(frozen=True)
class TextPiece:
    """Valid text of one stream; whoever has it goes on at offset `next` of the task's log."""

    after: int
    next: int
    stream: str  # "stdout" or "stderr"
    text: str


@dataclass(frozen=True)
class _Place:
    """The start of a record: its offset in the file, and the decoded offset there."""

    raw: int
    decoded: int


_START = _Place(0, 0)


class LogFile:
    """The log that a monitor writes at `path`, which may not exist yet, may grow, and may be replaced by a shorter one.

    `bound` gives from how many bytes of the file on the monitor keeps no more; 0: that is not known, or not yet.
    For use from any thread, but from one at a time: reading moves the index. Nothing stays open between two calls.
    """

    def __init__(self, path: Path, bound: Callable[[], int] = lambda: 0) -> None:
        self._path = path
        self._bound = bound
        self._forget()

    def read(self, after: int, limit: int = 65536) -> list[LogPiece]:
        """What follows decoded offset `after`: at most `limit` bytes, and at most what one block of the file holds.

        Consecutive bytes of one stream are one piece. An empty list, and only that, means that there is no more now.
        """
        if after < 0 or limit < 1:
            raise ValueError("a log is read from 0 on, one byte or more at a time")
        fd = self._open()
        if fd is None:
            return []
        try:
            place = self._nearest(after)
            while block := _block(fd, place.raw):
                runs = _decode(block)
                end = self._pass(place, block, runs)
                if end.decoded > after:
                    pieces = _cut(runs, place.decoded, after, limit)
                    self._here = end if pieces[-1].next == end.decoded else place
                    return pieces
                place = end
            return _cut([("stdout", self._last_line(fd, place))], place.decoded, after, limit)
        finally:
            os.close(fd)

    def size(self) -> int:
        """How many decoded bytes there are so far. Only what was not seen before is looked at."""
        fd = self._open()
        if fd is None:
            return 0
        try:
            place = self._front
            while block := _block(fd, place.raw):
                place = self._pass(place, block, _decode(block))
            return place.decoded + len(self._last_line(fd, place))
        finally:
            os.close(fd)

    def _last_line(self, fd: int, end: _Place) -> bytes:
        """What a log that is full has after its `end`; nothing for one that is not."""
        bound = self._bound()
        if not bound or end.raw < bound:
            return b""
        start = max(0, end.raw - _BLOCK)
        last = os.pread(fd, end.raw - start, start).removesuffix(b"\n").rpartition(b"\n")[2]
        _, ends_a_line = _KINDS.get(_kind_of(last), ("", False))
        return FULL if ends_a_line else b"\n" + FULL

    def _forget(self) -> None:
        self._identity: tuple[int, int, bytes] | None = None
        self._raws, self._decodeds = array("Q", [0]), array("Q", [0])
        self._front = _START  # as far as anybody has read
        self._here = _START  # where the reader who goes on in order goes on

    def _open(self) -> int | None:
        """The file for reading, or None; what is known of another file of that name is forgotten."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            self._forget()
            return None
        try:
            info = os.fstat(fd)
            # An inode number is used again: the time in the first header tells two files apart that share one.
            identity = (info.st_dev, info.st_ino, os.pread(fd, _HEADER, 0))
            if info.st_size < self._front.raw or (self._front.raw and identity != self._identity):
                self._forget()
            self._identity = identity
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _nearest(self, after: int) -> _Place:
        """The last known start of a record at or before decoded offset `after`."""
        at = bisect_right(self._decodeds, after) - 1
        known = (self._front, self._here, _Place(self._raws[at], self._decodeds[at]))
        return max((place for place in known if place.decoded <= after), key=lambda place: place.decoded)

    def _pass(self, place: _Place, block: bytes, runs: Sequence[tuple[str, bytes]]) -> _Place:
        """The place after a block, entered in the index where that is due."""
        end = _Place(place.raw + len(block), place.decoded + sum(len(data) for _, data in runs))
        if end.raw > self._front.raw:
            self._front = end
            if end.raw - self._raws[-1] >= _SPACING:
                self._raws.append(end.raw)
                self._decodeds.append(end.decoded)
        return end


def _block(fd: int, raw: int) -> bytes:
    """Whole lines from `raw` on; empty while the monitor has not finished the next one."""
    chunk = os.pread(fd, _BLOCK, raw)
    end = chunk.rfind(b"\n") + 1
    # A full block without a line feed cannot be a record: it is passed over.
    return chunk[:end] if end or len(chunk) < _BLOCK else chunk


def _decode(block: bytes) -> list[tuple[str, bytes]]:
    """The (stream, bytes) of a block of whole lines, no two in a row of one stream; lines without a header left out."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    runs: list[tuple[str, list[bytes]]] = []
    for mark, group in groupby(lines, _kind_of):
        kind = _KINDS.get(mark)
        if kind is None:
            continue
        stream, full = kind
        payloads = [line[_HEADER:] for line in group]
        if full:
            payloads.append(b"")
        data = (b"\n" if full else b"").join(payloads)
        if not runs or runs[-1][0] != stream:
            runs.append((stream, []))
        runs[-1][1].append(data)
    return [(stream, data) for stream, parts in runs if (data := b"".join(parts))]


def _cut(runs: Sequence[tuple[str, bytes]], start: int, after: int, limit: int) -> list[LogPiece]:
    """The pieces from `after` to at most `after + limit` of runs whose first byte has offset `start`."""
    pieces: list[LogPiece] = []
    for stream, run in runs:
        first = max(after - start, 0)
        data = run[first : max(after + limit - start, 0)]
        if data:
            at = start + first
            pieces.append(LogPiece(at, at + len(data), stream, data))
        start += len(run)
    return pieces


class LogText:
    """Pieces of a log as text, from offset `after` on, without cutting a character between two of them.

    Each stream is decoded for itself as UTF-8; what is not UTF-8 becomes U+FFFD. Feed it the pieces from `start` on:
    those before `after` only tell it which characters were begun there. Each text starts where the one before it ended,
    and one who goes on at the `next` of what `feed` gave, with a new LogText, loses and repeats nothing. (Only a
    character that more than LOOK_BACK bytes of the other stream cut in two is not found again.)
    """

    def __init__(self, after: int) -> None:
        self.start = max(0, after - LOOK_BACK)
        self._after = after
        self._next = after
        self._end = after
        self._decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in ("stdout", "stderr")}

    def feed(self, piece: LogPiece) -> TextPiece | None:
        """The text that `piece` completes, if any. Pieces come in order, each where the one before it ended."""
        decoder = self._decoders[piece.stream]
        before = max(0, self._after - piece.after)
        decoder.decode(piece.data[:before])
        text = decoder.decode(piece.data[before:])
        self._end = max(self._after, piece.next)
        if not text:
            return None
        given = TextPiece(self._next, piece.next, piece.stream, text)
        self._next = piece.next
        return given

    def finish(self) -> list[TextPiece]:
        """The log has ended: U+FFFD for each character that was begun and never completed.

        Nothing if nothing came after the offset where this started: whoever was there before has had it.
        """
        if self._end == self._after:
            return []
        begun = [stream for stream, decoder in self._decoders.items() if decoder.getstate()[0]]
        return [TextPiece((self._next, self._end)[n], self._end, stream, "\ufffd") for n, stream in enumerate(begun)]
