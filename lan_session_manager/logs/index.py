"""A sparse index of one file of records: at some starts of records, how many bytes and lines are before them.

It is a cache. On the disk it stands beside the file that it is of (`index.<number>` for `log.<number>...`), says which
file it knows and how much of it, and what does not fit is not believed: then it is made anew from the file.
"""

import contextlib
import os
import struct
import threading
import zlib
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path

_SPACING = 256 * 1024  # raw bytes between two entries, to begin with
_MOST = 4096  # entries: when there are more every second one goes, so that a log of any size takes 100 KB of memory
_MAGIC = b"LSM log index 1\n"
_HEAD = struct.Struct("<16sQ45sQQQQQ")  # inode, first header, the place to which it knows the file, spacing, entries
_SUM = struct.Struct("<I")


@dataclass(frozen=True)
class Place:
    """The start of a record: its offset in the file, and the bytes and line feeds of the task before it."""

    raw: int
    decoded: int
    lines: int


START = Place(0, 0, 0)


@dataclass(frozen=True)
class Identity:
    """Which file it is. An inode number is used again: the time in the first header tells two such files apart."""

    inode: int
    header: bytes


class Index:
    """The places of one file, `front` the last of them: as far as anybody has looked."""

    def __init__(self) -> None:
        self.front = START
        self._spacing = _SPACING
        self._columns = tuple(array("Q", [0]) for _ in range(3))  # raw, decoded, lines

    def add(self, place: Place) -> None:
        """Note a place; one that is not behind the front is known already."""
        if place.raw <= self.front.raw:
            return
        self.front = place
        if place.raw - self._columns[0][-1] < self._spacing:
            return
        for column, value in zip(self._columns, (place.raw, place.decoded, place.lines), strict=True):
            column.append(value)
        if len(self._columns[0]) > _MOST:
            self._columns = tuple(column[::2] for column in self._columns)
            self._spacing *= 2

    def before_byte(self, decoded: int) -> Place:
        """The last known place at or before a decoded offset."""
        if self.front.decoded <= decoded:
            return self.front
        return self._at(bisect_right(self._columns[1], decoded) - 1)

    def before_line(self, lines: int) -> Place:
        """The last known place with fewer than so many line feeds before it; the start for 0."""
        if self.front.lines < lines:
            return self.front
        return self._at(max(0, bisect_left(self._columns[2], lines) - 1))

    def _at(self, number: int) -> Place:
        raws, decodeds, lines = self._columns
        return Place(raws[number], decodeds[number], lines[number])

    def save(self, path: Path, identity: Identity) -> None:
        """Keep it at `path`, in one step. Raises OSError."""
        front, entries = self.front, len(self._columns[0])
        place = (front.raw, front.decoded, front.lines)
        head = _HEAD.pack(_MAGIC, identity.inode, identity.header, *place, self._spacing, entries)
        body = head + b"".join(column.tobytes() for column in self._columns)
        new = path.with_name(f".{path.name}.{threading.get_ident()}")
        try:
            with open(new, "wb", opener=_private) as file:
                file.write(body + _SUM.pack(zlib.crc32(body)))
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise


def load(path: Path, identity: Identity) -> Index | None:
    """What was kept at `path` of this file; None if that is nothing, of another file, or damaged."""
    with contextlib.suppress(OSError, struct.error, ValueError):
        kept = path.read_bytes()
        body, (checksum,) = kept[: -_SUM.size], _SUM.unpack(kept[-_SUM.size :])
        magic, inode, header, raw, decoded, lines, spacing, entries = _HEAD.unpack_from(body)
        columns, size = [], 8 * entries
        for begin in range(_HEAD.size, _HEAD.size + 3 * size, size or 1):
            columns.append(array("Q"))
            columns[-1].frombytes(body[begin : begin + size])
        whole = len(body) == _HEAD.size + 3 * size and 0 < entries <= _MOST and zlib.crc32(body) == checksum
        if whole and magic == _MAGIC and Identity(inode, header) == identity:
            index = Index()
            index.front, index._spacing, index._columns = Place(raw, decoded, lines), spacing, tuple(columns)
            return index
    return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
