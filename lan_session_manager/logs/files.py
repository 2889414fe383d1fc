"""One file of records, read by decoded offsets and by lines."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lan_session_manager.logs.index import START, Identity, Index, Place, load
from lan_session_manager.logs.records import (
    HEADER,
    KINDS,
    LogPiece,
    cut,
    decode,
    is_plain,
    kind_of,
    measure,
    whole_lines,
)

_BLOCK = 64 * 1024  # read at once; the longest record has 8 KiB of payload
_BLOCKS = 16  # given at once, unless they hold too many pieces
_PIECES = 100
_KEPT = 4 * 1024 * 1024  # raw bytes of a file of which an index is worth a file of its own: some ms of counting


class RecordFile:
    """The records in the file at `path`, which may grow, and may be replaced by another one.

    `cache` is where its index is kept, if anywhere: see `save`.
    For use from any thread, but from one at a time: reading moves the index. Nothing stays open between two calls.
    Every call raises FileNotFoundError where there is no file.
    """

    def __init__(self, path: Path, cache: Path | None = None) -> None:
        self._path = path
        self._cache = cache
        self._identity: Identity | None = None
        self._index = Index()
        self._here = START  # where the reader who goes on in order goes on
        self._saved = START  # as far as the kept index goes

    def read(self, after: int, limit: int) -> list[LogPiece]:
        """What follows decoded offset `after`: at most `limit` bytes, and at most what some blocks of the file hold.

        Consecutive bytes of one stream are one piece. An empty list, and only that, means that there is no more now.
        """
        pieces: list[LogPiece] = []
        with self._opened() as fd:
            place, blocks = self._nearest(after), 0
            while blocks < _BLOCKS and len(pieces) < _PIECES and (block := _block(fd, place.raw)):
                if place.decoded + len(block) <= after:
                    place = self._pass(place, block)
                    continue
                runs = decode(block)
                size, lines = sum(len(data) for _, data in runs), sum(data.count(b"\n") for _, data in runs)
                end = self._note(Place(place.raw + len(block), place.decoded + size, place.lines + lines))
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

    def end(self) -> Place:
        """Where the next record will start. Only what was not seen before is looked at."""
        with self._opened() as fd:
            place = self._index.front
            while block := _block(fd, place.raw):
                place = self._pass(place, block)
            return place

    def advance(self, most: int) -> int:
        """Look at about `most` raw bytes that nobody has seen before; gives how many are still unseen."""
        with self._opened() as fd:
            place = self._index.front
            until = place.raw + most
            while place.raw < until and (block := _block(fd, place.raw)):
                place = self._pass(place, block)
            return max(0, os.fstat(fd).st_size - place.raw)

    def unseen(self) -> int:
        """How many raw bytes nobody has seen before."""
        with self._opened() as fd:
            return max(0, os.fstat(fd).st_size - self._index.front.raw)

    def save(self) -> None:
        """Keep the index, if it is worth it and has grown. Raises OSError."""
        front, identity = self._index.front, self._identity
        if self._cache and identity and front.raw >= _KEPT and front != self._saved:
            self._index.save(self._cache, identity)
            self._saved = front

    def skip(self, after: int, until: int, may_skip: Callable[[bytes], bool]) -> int:
        """The offset behind those blocks of whole lines from `after` on that `may_skip` lets pass.

        It is shown a block as it is in the file if that will do, else what one stream after the other printed. None of
        them ends behind `until`. Nothing is passed over unless a record begins at `after`.
        """
        with self._opened() as fd:
            place = self._nearest(after)
            while place.decoded == after < until and (block := whole_lines(_block(fd, place.raw))):
                if not (may_skip(block) and is_plain(block)) and not all(may_skip(data) for _, data in decode(block)):
                    break
                end = self._pass(place, block)
                if end.decoded > until:
                    break
                place = self._here = end
                after = place.decoded
        return after

    def lines_before(self, after: int) -> int:
        """How many line feeds are before a decoded offset."""
        with self._opened() as fd:
            place = self._nearest(after)
            for start, block, end in self._blocks(fd, place):
                if end.decoded > after:
                    data = b"".join(data for _, data in decode(block))
                    return start.lines + data.count(b"\n", 0, after - start.decoded)
                place = end
            return place.lines

    def line_start(self, lines: int) -> int | None:
        """The decoded offset behind so many line feeds; None if there are fewer."""
        if lines == 0:
            return 0
        with self._opened() as fd:
            for start, block, end in self._blocks(fd, self._index.before_line(lines)):
                if end.lines >= lines:
                    data = b"".join(data for _, data in decode(block))
                    at = 0
                    for _ in range(lines - start.lines):
                        at = data.index(b"\n", at) + 1
                    return start.decoded + at
            return None

    def ends_a_line(self) -> bool:
        """Whether the last record ends with a line feed of the task's own; so does a file without a record."""
        end = self.end().raw
        with self._opened() as fd:
            start = max(0, end - _BLOCK)
            last = os.pread(fd, end - start, start).removesuffix(b"\n").rpartition(b"\n")[2]
        return not last or KINDS.get(kind_of(last), ("", False))[1]

    def _forget(self) -> None:
        self._identity = None
        self._index = Index()
        self._here = self._saved = START

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The file for reading; what is known of another file of that name is forgotten."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            self._forget()
            raise
        try:
            self._recognise(fd)
            yield fd
        finally:
            os.close(fd)

    def _recognise(self, fd: int) -> None:
        info = os.fstat(fd)
        identity = Identity(info.st_ino, os.pread(fd, HEADER, 0))
        if info.st_size < self._index.front.raw or (self._index.front.raw and identity != self._identity):
            self._forget()
        if identity == self._identity:
            return
        self._identity = identity
        if self._cache and info.st_size >= _KEPT and (kept := load(self._cache, identity)):
            raw = kept.front.raw
            if 0 < raw <= info.st_size and os.pread(fd, 1, raw - 1) == b"\n":
                self._index, self._saved = kept, kept.front

    def _nearest(self, after: int) -> Place:
        """The last known start of a record at or before decoded offset `after`."""
        known = self._index.before_byte(after)
        return self._here if known.decoded < self._here.decoded <= after else known

    def _blocks(self, fd: int, place: Place) -> Iterator[tuple[Place, bytes, Place]]:
        """The blocks from a place on, each with where it starts and where it ends."""
        while block := _block(fd, place.raw):
            end = self._pass(place, block)
            yield place, block, end
            place = end

    def _pass(self, place: Place, block: bytes) -> Place:
        """The place after a block."""
        decoded, lines = measure(block)
        return self._note(Place(place.raw + len(block), place.decoded + decoded, place.lines + lines))

    def _note(self, place: Place) -> Place:
        self._index.add(place)
        return place


def _block(fd: int, raw: int) -> bytes:
    """Whole lines from `raw` on; empty while the monitor has not finished the next one."""
    chunk = os.pread(fd, _BLOCK, raw)
    end = chunk.rfind(b"\n") + 1
    # A full block without a line feed cannot be a record: it is passed over.
    return chunk[:end] if end or len(chunk) < _BLOCK else chunk


def _add(pieces: list[LogPiece], more: list[LogPiece]) -> None:
    """Add the pieces that follow, with no two in a row of one stream."""
    if pieces and pieces[-1].stream == more[0].stream:
        last, first = pieces.pop(), more.pop(0)
        pieces.append(LogPiece(last.after, first.next, last.stream, last.data + first.data))
    pieces += more
