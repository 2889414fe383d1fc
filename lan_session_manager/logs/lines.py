"""The lines of a log around any byte or line of it, some at a time, as a window that is scrolled both ways needs them.

A line is what stands between two line feeds of the decoded stream. Where both streams print into one line at once, each
piece of it is given for itself, with the number of that line.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lan_session_manager.logs.reading import LogFile, Position
from lan_session_manager.logs.records import GAP, LogPiece

MOST_LINES = 2000
_BYTES = 256 * 1024  # of the log, in one answer
_LONG = 64 * 1024  # bytes of a line that are looked at
_SHOWN = 32 * 1024  # and shown
_LEAST = 4096  # bytes of a line that has too many pieces
_READ = 64 * 1024


@dataclass(frozen=True)
class Line:
    """A line, or a piece of one, from offset `after` to `next`; its text is without the line feed.

    `is_partial`: no line feed follows it; not yet, or the other stream or a gap comes first. `cut` is how many bytes
    of a very long line are left out of `text`, before it or behind it.
    """

    after: int
    next: int
    number: int | None
    stream: str  # "stdout", "stderr" or GAP
    text: str
    is_partial: bool
    cut: int = 0


@dataclass(frozen=True)
class LinePage:
    """Some lines in a row, and where they are: what is before the first of them and behind the last one was not asked.

    `first` and `end` are those of the log; `gaps` is what is left out of it.
    """

    lines: list[Line]
    first: Position
    end: Position
    gaps: list[tuple[int, int]]


def lines_after(log: LogFile, byte: int, most: int) -> LinePage:
    """The lines from `byte` on, which should be the first of a line: `most` at most, and what 256 KB hold."""
    end = log.end()
    return _page(log, _some(log, byte, end.byte, most, _BYTES), end)


def lines_before(log: LogFile, byte: int | None, most: int) -> LinePage:
    """The lines up to `byte`, which should be the first of a line; None: up to the end."""
    end = log.end()
    until = end.byte if byte is None else min(byte, end.byte)
    start = log.back(until, most, _BYTES)
    found = _some(log, start, until, 4 * most, 2 * _BYTES)
    if found and found[-1].next < until:  # of a line with very many pieces only the last ones
        found = _some(log, max(start, until - _LEAST), until, _LEAST, _BYTES)
    return _page(log, found[-most:], end)


def lines_of(log: LogFile, line: int, most: int) -> LinePage:
    """The lines from that one on, by its number from 1; from where the numbers end if it has none."""
    return lines_after(log, log.byte_of(line), most)


def start_of_tail(log: LogFile, back: int) -> int:
    """The first byte of the line that is about `back` bytes before the end; of a very long line any byte of it."""
    byte = max(0, log.size() - back)
    start = log.line_start(byte)
    return start if byte - start <= max(back, _LONG) else byte


def _page(log: LogFile, lines: list[Line], end: Position) -> LinePage:
    return LinePage(lines, Position(0, 1), end, log.gaps())


def _some(log: LogFile, start: int, until: int, most: int, room: int) -> list[Line]:
    found: list[Line] = []
    for line in _lines(log, start, until):
        found.append(line)
        room -= len(line.text)
        if len(found) == most or room <= 0:
            break
    return found


class _Open:
    """A line that is being put together."""

    def __init__(self, start: int) -> None:
        self.begin(start, "")

    def begin(self, after: int, stream: str) -> None:
        """Nothing of the next line is there yet."""
        self.after = self.next = after
        self.stream = stream
        self.data = b""
        self.is_partial = True

    def add(self, data: bytes) -> None:
        """More of it."""
        self.data += data
        self.next += len(data)
        self.is_partial = not data.endswith(b"\n")

    def pass_to(self, end: int, last: bytes) -> None:
        """It ends at `end`, with these bytes: what is shown is its beginning, or what has overwritten that."""
        self.is_partial = not last.endswith(b"\n")
        _, overwritten, text = last.rstrip(b"\r\n").partition(b"\r")
        self.data = text if overwritten else self.data[:_SHOWN]
        self.next = end

    def line(self, number: int | None) -> Line:
        """What is there; the next line begins behind it."""
        data = self.data.removesuffix(b"\n")
        cut = self.next - self.after - len(data) - (not self.is_partial)
        text = data.decode("utf-8", "replace")
        line = Line(self.after, self.next, number, self.stream, text, self.is_partial, cut)
        self.begin(self.next, self.stream)
        return line


def _lines(log: LogFile, start: int, until: int) -> Iterator[Line]:
    """The lines from `start` to `until`, each as it is complete."""
    number, line, at = log.line_at(start), _Open(start), start
    while at < until and (pieces := log.read(at, min(_READ, until - at))):
        for piece in pieces:
            if line.data and piece.stream != line.stream:
                yield line.line(number)
            if piece.stream == GAP:
                number = None
                text = piece.data.decode().strip()
                yield Line(piece.after, piece.next, None, GAP, text, is_partial=False)
            if not line.data:
                line.begin(piece.next if piece.stream == GAP else piece.after, piece.stream)
            for part in _parts(piece):
                line.add(part)
                if not line.is_partial:
                    yield line.line(number)
                    number = None if number is None else number + 1
        at = pieces[-1].next
        if len(line.data) > _LONG and at < (end := min(until, log.line_end(at))):
            line.pass_to(end, _last(log, max(at, end - _SHOWN), end, line.stream))
            at = end
            if not line.is_partial:
                yield line.line(number)
                number = None if number is None else number + 1
    if line.data:
        yield line.line(number)


def _parts(piece: LogPiece) -> list[bytes]:
    """The lines of a piece with their line feeds."""
    if piece.stream == GAP:
        return []
    *whole, rest = piece.data.split(b"\n")
    return [*(part + b"\n" for part in whole), *([rest] if rest else [])]


def _last(log: LogFile, after: int, end: int, stream: str) -> bytes:
    """What a stream printed between two offsets."""
    found = b""
    while after < end and (pieces := log.read(after, end - after)):
        found += b"".join(piece.data for piece in pieces if piece.stream == stream)
        after = pieces[-1].next
    return found
