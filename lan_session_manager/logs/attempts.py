"""Goes on with the log of a task that is tried once more: one log over all attempts, with a line between them.

Offsets neither fall nor come twice: the next attempt's first byte follows the last one that is there.
"""

import os
from pathlib import Path

from lan_session_manager.logs.files import RecordFile
from lan_session_manager.logs.records import notice
from lan_session_manager.logs.segments import (
    NOTHING_KNOWN,
    Segment,
    drop_middle,
    keep_beginning,
    kept,
    segment_bytes,
    tend,
)

_SMALL = 8  # a beginning of less than this part of a segment has room for what the next attempt prints first


def begin_attempt(directory: Path, attempt: int, why: str, bound_bytes: int) -> int:
    """Have the monitor of the next attempt write behind what is in the log in `directory`, after a line with `why`.

    No monitor writes there any more. Gives the offset of the attempt's first byte. Once more for the same attempt,
    nothing is written. Raises OSError.
    """
    _settle(directory)
    before = kept(directory)
    line = f"[{f'{why} ' if why else ''}Attempt {attempt} begins here.]\n".encode()
    if not before:
        return _begin(directory, None, notice(line), 0)
    last = before[-1]
    file, offset = RecordFile(last.path), last.offset or 0
    end = file.end()
    if _last_record(last.path, end.raw).endswith(b" Attempt %d begins here.]\n" % attempt):
        return offset + end.decoded
    records = notice(line) if file.ends_a_line() else notice(b"\n") + notice(line)
    if last.number == 0 and end.raw * _SMALL < segment_bytes(bound_bytes) and _is_present(directory, last):
        os.truncate(last.path, end.raw)  # what the monitor had not finished when it died
        _append(last.path, records)
        return offset + RecordFile(last.path).end().decoded
    return _begin(directory, last, records, offset + end.decoded)


def _settle(directory: Path) -> None:
    """Give every file that is there its name as a segment, also where a server died while it made one."""
    log, new, before = directory / "log", directory / "log.tmp", kept(directory)
    if before and new.exists() and os.path.samestat(new.stat(), before[-1].path.stat()):
        new.replace(log)
    if log.exists():
        keep_beginning(directory)
        tend(directory, NOTHING_KNOWN)


def _begin(directory: Path, last: Segment | None, records: bytes, offset: int) -> int:
    """Make the next file, with its name as a segment first: a server may die between any two steps."""
    new = directory / "log.tmp"
    new.unlink(missing_ok=True)
    _append(new, records)
    number, unknown = (last.number + 1, last.unknown) if last else (0, False)
    os.link(new, directory / f"log.{number}.{offset}{'.x' if unknown else ''}")
    new.replace(directory / "log")
    drop_middle(directory)
    return offset + RecordFile(directory / "log").end().decoded


def _is_present(directory: Path, segment: Segment) -> bool:
    log = directory / "log"
    return log.exists() and os.path.samestat(log.stat(), segment.path.stat())


def _last_record(path: Path, end: int) -> bytes:
    """The record that ends at raw byte `end`, if it is one of the server's own."""
    with path.open("rb") as file:
        start = max(0, end - 1024)
        file.seek(start)
        last = file.read(end - start).removesuffix(b"\n").rpartition(b"\n")[2] + b"\n"
    return last if last.startswith(notice(b"")) else b""


def _append(path: Path, records: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        left = memoryview(records)
        while left:
            left = left[os.write(fd, left) :]
        os.fsync(fd)
    finally:
        os.close(fd)
