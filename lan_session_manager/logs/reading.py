"""A log read by offsets, whichever files it is in."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lan_session_manager.logs.records import GAP, LogPiece, RecordFile, cut
from lan_session_manager.logs.segments import Segment, kept

FULL = b"[The log is full: what the task printed after this was not kept.]\n"  # only of a log of an earlier version
_TRIES = 10
_FEW = 100_000  # what is known of a gap is not better than this
_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


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
        for _ in range(_TRIES):
            segments = self._segments()
            try:
                return self._read(segments, after, limit) if segments else self._read_single(after, limit)
            except FileNotFoundError:  # let go of since it was listed
                continue
        return []

    def size(self) -> int:
        """The offset after the last byte so far. Only what was not seen before is looked at."""
        for _ in range(_TRIES):
            segments = self._segments()
            try:
                if not segments:
                    end = self._file(self._path).end().decoded
                    return end + len(self._last_line())
                last, offset = segments[-1]
                return offset + self._file(last.path).end().decoded
            except FileNotFoundError:
                continue
        return 0

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

    def _segments(self) -> list[tuple[Segment, int]]:
        segments = [(segment, segment.offset) for segment in kept(self._path.parent) if segment.offset is not None]
        used = {segment.path for segment, _ in segments} or {self._path}
        self._files = {path: file for path, file in self._files.items() if path in used}
        return segments

    def _file(self, path: Path) -> RecordFile:
        return self._files.setdefault(path, RecordFile(path))


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
