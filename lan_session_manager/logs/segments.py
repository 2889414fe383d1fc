"""The files of one log: its monitor begins a new one whenever the present one is full, and what is kept has a name.

    log                       what the monitor writes now; a full one is lost once the next takes this name, unless
    log.<number>.<offset>     is a hard link to it: the segments that are kept, by the offset of their first byte

Number 0, the beginning, is linked before the task starts, so that it stays whoever looks. A running server links each
new segment as it appears and keeps the last two: the present one and the full one before it. What is between the
beginning and those is the gap. A segment whose number is not the next one comes after segments that nobody saw; how
much they held is then known only from what the monitor has read, and where even that is not known the name ends with
".x". Names are the only record, and each is made in one step: a server may die between any two.

Beside a large one stands its index (see `index`), which goes with it.

Four segments exist at most, even while no server runs: the beginning, the two that a server had linked when it died,
and the present one.
"""

import contextlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from lan_session_manager.logs.files import RecordFile
from lan_session_manager.logs.records import HEADER

_MOST = 4
_SPARE = 16  # a sixteenth of the bound is for the rounding of files to blocks and for the records beside the log
_LEAST = 16 * 1024  # the longest record has 8 KiB of payload
_NAME = re.compile(r"log\.(\d+)(?:\.(\d+)(\.x)?)?", re.ASCII)
_TRIES = 10
_UNCUT = 2  # the number of the last segment of a log of which nothing is left out yet
_SHORT = 64  # raw bytes of a record: a monitor that writes shorter ones does not get far
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Segment:
    """A kept segment. `offset` is None for a moment: until it is worked out no reader is shown the segment."""

    path: Path
    number: int
    offset: int | None
    unknown: bool  # how much is missing before it


def segment_bytes(bound: int) -> int:
    """How large one file may be, so that all of a log never take more than `bound` bytes of disk."""
    return max(_LEAST, (bound - bound // _SPARE) // _MOST)


def index_path(path: Path) -> Path:
    """Where the index of a file of the log is kept: `index` for `log`, `index.<number>` for a segment."""
    return path.with_name(".".join(["index", *path.name.split(".")[1:2]]))


def keep_beginning(directory: Path) -> None:
    """Keep the first segment of the log in `directory`, unless it has one; before the task starts."""
    if not kept(directory):
        os.link(directory / "log", directory / "log.0.0")


def kept(directory: Path) -> list[Segment]:
    """The segments in order; none for a log that an earlier version has begun, or of which there is nothing yet."""
    with contextlib.suppress(FileNotFoundError):
        found = (match for name in os.listdir(directory) if (match := _NAME.fullmatch(name)))
        segments = (
            Segment(
                path=directory / match[0],
                number=int(match[1]),
                offset=None if match[2] is None else int(match[2]),
                unknown=match[3] is not None,
            )
            for match in found
        )
        return sorted(segments, key=lambda segment: segment.number)
    return []


def is_present_kept(directory: Path) -> bool:
    """Whether the segment that the monitor writes now is kept already."""
    with contextlib.suppress(FileNotFoundError):
        segments = kept(directory)
        return bool(segments) and os.path.samestat((directory / "log").stat(), segments[-1].path.stat())
    return False


def is_cut(directory: Path) -> bool:
    """Whether something of the log is left out."""
    return any(after.number != before.number + 1 for before, after in pairwise(kept(directory)))


@dataclass(frozen=True)
class Known:
    """What the caller of `tend` knows, to be asked at the right moment."""

    begun: Callable[[], int | None]  # segments since the last that is kept; None: that is not known
    printed: Callable[[], int | None]  # about how many bytes the task has printed so far; None: that is not known
    is_read: Callable[[], bool]  # whether somebody reads the log: then it is worth to count every byte of it


NOTHING_KNOWN = Known(lambda: None, lambda: None, lambda: False)


def tend(directory: Path, known: Known) -> bool:
    """Keep the segment that the monitor writes now, and let go of what is then in the middle.

    One call at a time for one log. False: the monitor was faster, look again.
    """
    segments = kept(directory)
    if not segments:
        return True
    if segments[-1].offset is None:  # a server died here
        segments[-1] = _placed(segments[-1], segments[-2], known)
    segments = _with_one_gap(segments)
    for _ in range(_TRIES):
        if (new := _next(directory, segments, known)) is None:
            return True
        if new is not segments[-1]:
            _with_one_gap([*segments, _placed(new, segments[-1], known)])
            return True
    return False


def drop_middle(directory: Path) -> list[Segment]:
    """Let go of what lies between the beginning and the last two segments; gives what is kept then."""
    return _with_one_gap(kept(directory))


def _with_one_gap(segments: list[Segment]) -> list[Segment]:
    """What is kept, without what lies between two gaps."""
    last = segments[-1]
    for segment in segments[1:-1]:
        if segment.number < last.number - 1:
            segment.path.unlink(missing_ok=True)
            index_path(segment.path).unlink(missing_ok=True)
    return [segment for segment in segments if segment.number >= last.number - 1 or segment.number == 0]


def _next(directory: Path, segments: list[Segment], known: Known) -> Segment | None:
    """The present segment, linked; None if it is kept already; the last that is kept if there is a newer one by now."""
    last, log = segments[-1], directory / "log"
    fd = os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:  # as long as it is open no other file gets its inode
        present = os.fstat(fd)
        if os.path.samestat(present, last.path.stat()):
            return None
        number = last.number + (1 if known.begun() == 1 else 2)
        for middle in segments[1:-1]:  # before there is one more
            middle.path.unlink(missing_ok=True)
            index_path(middle.path).unlink(missing_ok=True)
        new = directory / f"log.{number}"
        try:
            os.link(log, new)
        except FileNotFoundError:  # renamed over at this moment
            return last
        if os.path.samestat(present, new.stat()):
            return Segment(new, number, None, unknown=False)
        new.unlink()
        return last
    finally:
        os.close(fd)


def _placed(new: Segment, before: Segment, known: Known) -> Segment:
    """The segment with its offset, in its name as well. `before` is the last that was kept when it began."""
    is_exact = new.number <= _UNCUT or known.is_read()
    end = (before.offset or 0) + (_counted(before.path) if is_exact else _at_most(before.path))
    if new.number == before.number + 1:
        offset, unknown = end, before.unknown
    else:
        size, total = new.path.stat().st_size, known.printed()
        seen = RecordFile(new.path).end()  # it has grown by then
        begin = 0 if total is None else total - seen.decoded * size // max(seen.raw, 1)
        # Never 0 bytes: who is told of a gap is behind it afterwards.
        offset, unknown = max(end + 1, begin), total is None
    path = new.path.with_name(f"log.{new.number}.{offset}{'.x' if unknown else ''}")
    new.path.rename(path)
    return Segment(path, new.number, offset, unknown)


def _counted(path: Path) -> int:
    """How many bytes a file of records, to which nothing is added any more, holds decoded."""
    file = RecordFile(path, index_path(path))
    decoded = file.end().decoded
    with contextlib.suppress(OSError):  # it is only for who looks later
        file.save()
    return decoded


def _at_most(path: Path) -> int:
    """How many bytes a file of records holds decoded, at little cost; 1 too many for a record without a line feed."""
    size = lines = 0
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            size += len(block)
            lines += block.count(b"\n")
    return size - HEADER * lines if size >= _SHORT * lines else RecordFile(path).end().decoded


def sync(directory: Path) -> None:
    """Have the disk keep what is in the log now, through a fall of the host."""
    for path in [segment.path for segment in kept(directory)] or [directory / "log"]:
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
