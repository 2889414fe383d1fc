"""A log read by offsets, whichever files it is in."""

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from lan_session_manager.logs.files import RecordFile
from lan_session_manager.logs.records import GAP, LogPiece, cut
from lan_session_manager.logs.runs import Run
from lan_session_manager.logs.segments import Segment, index_path, kept

FULL = b"[The log is full: what the task printed after this was not kept.]\n"  # only of a log of an earlier version
_T = TypeVar("_T")
_TRIES = 10
_FEW = 100_000  # what is known of a gap is not better than this
_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


@dataclass(frozen=True)
class Position:
    """A byte of a log, and the number of the line that it is in, from 1; None: behind a gap nobody knows that."""

    byte: int
    line: int | None


class LogFile:
    """The log that a monitor writes at `path`, which may not exist yet and may grow; with its other files beside it.

    An earlier version kept only the beginning, in one file: `bound` gives from how many bytes of it on the monitor kept
    no more; 0: that is not known. Such a log ends with the line FULL, which is in no file.
    For use from any thread, but from one at a time. Nothing stays open between two calls.
    """

    def __init__(self, path: Path, bound: Callable[[], int] = lambda: 0) -> None:
        self._path = path
        self._bound = bound
        self._files: dict[Path, RecordFile] = {}

    def read(self, after: int, limit: int = 65536) -> list[LogPiece]:
        """What follows offset `after`: at most `limit` bytes, and at most what some blocks of a file hold.

        Consecutive bytes of one stream are one piece. What is left out is one piece of the stream GAP, alone, whose
        `next` is the first byte that is kept after it. An empty list, and only that, means that there is no more now.
        """
        if after < 0 or limit < 1:
            raise ValueError("a log is read from 0 on, one byte or more at a time")

        def read() -> list[LogPiece]:
            segments = self._segments()
            return self._read(segments, after, limit) if segments else self._read_single(after, limit)

        return self._trying(read, [])

    def size(self) -> int:
        """The offset after the last byte so far. Only what was not seen before is looked at."""

        def size() -> int:
            segments = self._segments()
            if not segments:
                return self._file(self._path).end().decoded + len(self._last_line())
            last, offset = segments[-1]
            return offset + self._file(last.path).end().decoded

        return self._trying(size, 0)

    def unseen(self) -> int:
        """How many bytes of the file that `size` has to look at nobody has seen before."""
        return self._trying(lambda: self._last().unseen(), 0)

    def advance(self, most: int) -> int:
        """Look at about `most` bytes of that file that nobody has seen before; gives how many are still unseen."""
        return self._trying(lambda: self._last().advance(most), 0)

    def save(self) -> None:
        """Keep what is known of the files of the log, for the next who asks. Raises OSError."""
        for file in list(self._files.values()):
            with contextlib.suppress(FileNotFoundError):
                file.save()

    def end(self) -> Position:
        """The position after the last byte so far."""
        size = self.size()
        return Position(size, self.line_at(size))

    def gaps(self) -> list[tuple[int, int]]:
        """What is left out: (first byte that is, first byte that is not any more)."""

        def gaps() -> list[tuple[int, int]]:
            return [(before.end(), after.begin) for before, after in pairwise(self._runs())]

        return self._trying(gaps, [])

    def line_at(self, byte: int) -> int | None:
        """The number of the line that a byte is in; None for one that is behind a gap."""

        def line_at() -> int | None:
            runs = self._runs()
            return None if len(runs) > 1 and byte >= runs[1].begin else 1 + runs[0].lines_before(byte)

        return self._trying(line_at, None)

    def byte_of(self, line: int) -> int:
        """The first byte of a line; of one that is not there, or behind a gap: where the lines with numbers end."""

        def byte_of() -> int:
            run = self._runs()[0]
            start = run.line_start(line - 1)
            return run.end() if start is None else start

        return self._trying(byte_of, 0)

    def line_start(self, byte: int) -> int:
        """The first byte of the line that a byte is in."""

        def line_start() -> int:
            run = self._run(byte)
            start = run.line_start(run.lines_before(byte))
            return byte if start is None or byte >= run.end() else start

        return self._trying(line_start, byte)

    def line_end(self, byte: int) -> int:
        """The first byte of the line after the one that `byte` is in, or where that one ends without a line feed."""
        return self._trying(lambda: self._run(byte).line_end(byte), byte)

    def back(self, byte: int, lines: int, most: int) -> int:
        """Where that line begins which is so many lines before `byte`, or ends up to `most` bytes before it if nearer.

        Right behind a gap, and inside of one, it is where the gap begins; from further on no gap is looked across.
        """

        def back() -> int:
            run = self._run(byte, before=True)
            end = run.end()
            return end if byte > end else run.back(byte, lines, most)

        return self._trying(back, byte)

    def skip(self, after: int, until: int, may_skip: Callable[[bytes], bool]) -> int:
        """The offset behind the blocks of records from `after` on that `may_skip` lets pass, one after the other.

        They hold whole lines only, and none ends behind `until`. Nothing is passed over unless a record begins at
        `after` and is known to: so it is where `read` has given all up to there without being held up by its limit.
        """
        return self._trying(lambda: self._run(after).skip(after, until, may_skip), after)

    def _read(self, segments: list[tuple[Segment, int]], after: int, limit: int) -> list[LogPiece]:
        at = bisect_right(segments, after, key=lambda segment: segment[1]) - 1
        segment, offset = segments[at]
        # In this order: a segment after which there was another one in the list does not grow any more.
        if pieces := self._file(segment.path).read(after - offset, limit):
            return [replace(piece, after=piece.after + offset, next=piece.next + offset) for piece in pieces]
        if at + 1 == len(segments):
            return []
        following, first = segments[at + 1]
        if following.number == segment.number + 1:
            pieces = self._read(segments, first, limit)
            # Its offset can be a little more than the end of the one before: see segments.Known.is_read.
            return [replace(pieces[0], after=after), *pieces[1:]] if pieces else []
        is_end = after == offset + self._file(segment.path).end().decoded
        begin = b"" if is_end and self._file(segment.path).ends_a_line() else b"\n"
        return [LogPiece(after, first, GAP, begin + _said(None if following.unknown else first - after))]

    def _read_single(self, after: int, limit: int) -> list[LogPiece]:
        file = self._file(self._path)
        pieces = file.read(after, limit)
        return pieces or cut([("stdout", self._last_line())], file.end().decoded, after, limit)

    def _last_line(self) -> bytes:
        bound, file = self._bound(), self._file(self._path)
        if not bound or file.end().raw < bound:
            return b""
        return FULL if file.ends_a_line() else b"\n" + FULL

    def _last(self) -> RecordFile:
        segments = self._segments()
        return self._file(segments[-1][0].path if segments else self._path)

    def _runs(self) -> list[Run]:
        """The files of the log in order, with a gap between each run and the next; one run at least."""
        segments = self._segments()
        if not segments:
            return [Run(((self._file(self._path), 0),), self._last_line())]
        runs: list[list[tuple[RecordFile, int]]] = [[]]
        number = -1
        for segment, offset in segments:
            if segment.number != number + 1:
                runs.append([])
            runs[-1].append((self._file(segment.path), offset))
            number = segment.number
        return [Run(tuple(files)) for files in runs if files]

    def _run(self, byte: int, *, before: bool = False) -> Run:
        """The run that a byte is in, or in the gap behind it; `before`: the one before, if it is the first byte."""
        runs = self._runs()
        find = bisect_left if before else bisect_right
        return runs[max(0, find(runs, byte, key=lambda run: run.begin) - 1)]

    def _trying(self, call: Callable[[], _T], without: _T) -> _T:
        """What the call gives, which looks at files that may be let go of while it does; `without` any."""
        for _ in range(_TRIES):
            with contextlib.suppress(FileNotFoundError):
                return call()
        return without

    def _segments(self) -> list[tuple[Segment, int]]:
        segments = [(segment, segment.offset) for segment in kept(self._path.parent) if segment.offset is not None]
        used = {segment.path for segment, _ in segments} or {self._path}
        self._files = {path: file for path, file in self._files.items() if path in used}
        return segments

    def _file(self, path: Path) -> RecordFile:
        return self._files.setdefault(path, RecordFile(path, index_path(path)))


def _said(left_out: int | None) -> bytes:
    """The line in place of so many bytes; None: nobody knows how many."""
    if left_out is None:
        words = "an unknown amount"
    elif left_out < _FEW:
        words = f"less than {_FEW // 1000} kB"
    else:
        size, unit = next(unit for unit in _UNITS if left_out >= unit[0])
        words = f"about {left_out / size:.1f} {unit}"
    return f"[… {words} of output left out here …]\n".encode()
