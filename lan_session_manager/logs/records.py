"""The format of a monitor's records: blocks of them as the bytes that they hold, and only counted."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

HEADER = 45
KINDS = {
    b" stdout F ": ("stdout", True),
    b" stdout P ": ("stdout", False),
    b" stderr F ": ("stderr", True),
    b" stderr P ": ("stderr", False),
}
kind_of = itemgetter(slice(35, HEADER))
# Records of one kind, without going back: several times faster than a look at each.
_WHOLE_LINES = re.compile(rb"(?:.{35} std(?:out|err) F .*\n)*+")
_PARTS_OF_LINES = re.compile(rb"(?:.{35} std(?:out|err) P .*\n)*+")
_RUNS = 64  # of records of one kind, in a block for which that is worth it

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


def decode(block: bytes) -> list[tuple[str, bytes]]:
    """The (stream, bytes) of a block of whole lines, no two in a row of one stream; lines without a header left out."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    runs: list[tuple[str, list[bytes]]] = []
    for mark, group in groupby(lines, kind_of):
        kind = KINDS.get(mark)
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


def measure(block: bytes) -> tuple[int, int]:
    """How many bytes a block of whole lines holds decoded, and how many line feeds among them: what `decode` gives."""
    lines, partial, at = block.count(b"\n"), 0, 0
    for _ in range(_RUNS):
        at = _end_of(_WHOLE_LINES, block, at)
        if at == len(block):
            return at - HEADER * lines - partial, lines - partial
        end = _end_of(_PARTS_OF_LINES, block, at)
        if end == at:
            break
        partial += block.count(b"\n", at, end)
        at = end
    kinds = Counter(map(kind_of, block.split(b"\n")[:lines]))
    if kinds.keys() <= KINDS.keys() and block.endswith(b"\n"):
        partial = kinds[b" stdout P "] + kinds[b" stderr P "]
        return len(block) - HEADER * lines - partial, lines - partial
    runs = decode(block)
    return sum(len(data) for _, data in runs), sum(data.count(b"\n") for _, data in runs)


def is_plain(block: bytes) -> bool:
    """Whether all of a block are records that each hold a line with its line feed."""
    return _end_of(_WHOLE_LINES, block, 0) == len(block)


def whole_lines(block: bytes) -> bytes:
    """The block without the last records if they begin a line; nothing if these are many."""
    for _ in range(_RUNS):
        last = block.rfind(b"\n", 0, -1) + 1
        if KINDS.get(block[last + HEADER - 10 : last + HEADER], ("", False))[1]:
            return block
        block = block[:last]
    return b""


def _end_of(pattern: re.Pattern[bytes], block: bytes, at: int) -> int:
    found = pattern.match(block, at)
    return found.end() if found else at


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
