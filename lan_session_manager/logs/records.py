"""One file of records, read by decoded offsets."""

import os
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

HEADER = 45
_KINDS = {
    b" stdout F ": ("stdout", True),
    b" stdout P ": ("stdout", False),
    b" stderr F ": ("stderr", True),
    b" stderr P ": ("stderr", False),
}
_kind_of = itemgetter(slice(35, HEADER))
_BLOCK = 64 * 1024  # read at once; the longest record has 8 KiB of payload
_BLOCKS = 16  # given at once, unless they hold too many pieces
_PIECES = 100
_SPACING = 256 * 1024  # raw bytes between two entries of the index: 16 bytes of memory for each

GAP = "gap"
REMOVED = b"[This log was removed to make room: the logs of the session's tasks took all the space that they may.]\n"


def notice(line: bytes) -> bytes:
    """The file of a log that has only this line, of the server's own."""
    return b"1970-01-01T00:00:00.000000000+00:00 stdout F " + line


@dataclass(frozen=True)
class LogPiece:
    """Consecutive bytes of one stream: from offset `after` to `next` of the task's log.

    The last byte has offset `next` - 1. In a log that is cut `data` may be shorter than `next` - `after`.
    A piece of the stream GAP stands for what is left out: its `data` is a line for people, and has not the length of
    what is missing.
    """

    after: int
    next: int
    stream: str  # "stdout", "stderr" or GAP
    data: bytes


@dataclass(frozen=True)
class Place:
    """The start of a record: its offset in the file, and the decoded offset there."""

    raw: int
    decoded: int


_START = Place(0, 0)


class RecordFile:
    """The records in the file at `path`, which may grow, and may be replaced by another one.

    For use from any thread, but from one at a time: reading moves the index. Nothing stays open between two calls.
    Every call raises FileNotFoundError where there is no file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def read(self, after: int, limit: int) -> list[LogPiece]:
        """What follows decoded offset `after`: at most `limit` bytes, and at most what some blocks of the file hold.

        Consecutive bytes of one stream are one piece. An empty list, and only that, means that there is no more now.
        """
        pieces: list[LogPiece] = []
        fd = self._open()
        try:
            place, blocks = self._nearest(after), 0
            while blocks < _BLOCKS and len(pieces) < _PIECES and (block := _block(fd, place.raw)):
                runs = _decode(block)
                end = self._pass(place, block, runs)
                if end.decoded > after:
                    blocks += 1
                    _add(pieces, cut(runs, place.decoded, after, limit))
                    limit -= pieces[-1].next - after
                    after = pieces[-1].next
                    self._here = end if after == end.decoded else place
                    if not limit:
                        break
                place = end
            return pieces
        finally:
            os.close(fd)

    def end(self) -> Place:
        """Where the next record will start. Only what was not seen before is looked at."""
        fd = self._open()
        try:
            place = self._front
            while block := _block(fd, place.raw):
                place = self._pass(place, block, _decode(block))
            return place
        finally:
            os.close(fd)

    def ends_a_line(self) -> bool:
        """Whether the last record ends with a line feed of the task's own; so does a file without a record."""
        end = self.end().raw
        fd = self._open()
        try:
            start = max(0, end - _BLOCK)
            last = os.pread(fd, end - start, start).removesuffix(b"\n").rpartition(b"\n")[2]
        finally:
            os.close(fd)
        return not last or _KINDS.get(_kind_of(last), ("", False))[1]

    def _forget(self) -> None:
        self._identity: tuple[int, int, bytes] | None = None
        self._raws, self._decodeds = array("Q", [0]), array("Q", [0])
        self._front = _START  # as far as anybody has read
        self._here = _START  # where the reader who goes on in order goes on

    def _open(self) -> int:
        """The file for reading; what is known of another file of that name is forgotten."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            self._forget()
            raise
        try:
            info = os.fstat(fd)
            # An inode number is used again: the time in the first header tells two files apart that share one.
            identity = (info.st_dev, info.st_ino, os.pread(fd, HEADER, 0))
            if info.st_size < self._front.raw or (self._front.raw and identity != self._identity):
                self._forget()
            self._identity = identity
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _nearest(self, after: int) -> Place:
        """The last known start of a record at or before decoded offset `after`."""
        at = bisect_right(self._decodeds, after) - 1
        known = (self._front, self._here, Place(self._raws[at], self._decodeds[at]))
        return max((place for place in known if place.decoded <= after), key=lambda place: place.decoded)

    def _pass(self, place: Place, block: bytes, runs: Sequence[tuple[str, bytes]]) -> Place:
        """The place after a block, entered in the index where that is due."""
        end = Place(place.raw + len(block), place.decoded + sum(len(data) for _, data in runs))
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
        payloads = [line[HEADER:] for line in group]
        if full:
            payloads.append(b"")
        data = (b"\n" if full else b"").join(payloads)
        if not runs or runs[-1][0] != stream:
            runs.append((stream, []))
        runs[-1][1].append(data)
    return [(stream, data) for stream, parts in runs if (data := b"".join(parts))]


def _add(pieces: list[LogPiece], more: list[LogPiece]) -> None:
    """Add the pieces that follow, with no two in a row of one stream."""
    if pieces and pieces[-1].stream == more[0].stream:
        last, first = pieces.pop(), more.pop(0)
        pieces.append(LogPiece(last.after, first.next, last.stream, last.data + first.data))
    pieces += more


def cut(runs: Sequence[tuple[str, bytes]], start: int, after: int, limit: int) -> list[LogPiece]:
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
