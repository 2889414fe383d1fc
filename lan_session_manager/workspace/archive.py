"""A directory on its way to a client as a zip: streamed, in memory that does not grow with the files.

Nothing is compressed: on a local network the compressor would be slower than the wire, and take the tasks' cores.
"""

import io
import os
import re
import stat
import time
import zipfile
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass

from lan_session_manager.errors import LSMError
from lan_session_manager.workspace.opener import closing, open_directory, open_regular
from lan_session_manager.workspace.owner import Owner, acting_as
from lan_session_manager.workspace.paths import Parts, shown, stored
from lan_session_manager.workspace.walk import Walk
from lan_session_manager.workspace.workspace import Workspace

MOST = 50_000  # entries: each takes about a kilobyte of memory until the end, for the zip's own directory
_CHUNK = 1 << 20
_GATHERED = 1 << 18  # what small files are gathered to before it is given out
_NOTE = "ARCHIVE-INCOMPLETE.txt"
_WHY = b"This archive does not hold everything: the directory has more entries, or deeper ones, than it can take.\n"
# What some system takes for a separator, a drive, a control or nothing; "%" as well, so that no two names become one.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\\:*?"<>|%\u2028\u2029\uef80-\uefff]|[. ]+\Z')


def archive(workspace: Workspace, path: Parts) -> Generator[bytes, None, None]:
    """The bytes of a zip of the directory `path`; all names in it start with the directory's own.

    Links, pipes and devices are left out, and so is what vanishes meanwhile; a file that changes is there as far as it
    could be read. Beyond 50,000 entries or 64 directories in one another a note in the archive says that there is more.
    Raises NotFoundError and SecurityError, at once.
    """
    with workspace.opened() as root:
        os.close(open_directory(root, path))
    return _zip(workspace, path)


def _zip(workspace: Workspace, path: Parts) -> Generator[bytes, None, None]:
    # Opened here and not by the caller: an iterator that nobody starts must not keep a descriptor.
    with workspace.opened() as root:
        top = open_directory(root, path)
    prefix = _safe(path[-1] if path else workspace.name)
    sink = _Sink()
    with closing(top):
        with zipfile.ZipFile(sink, "w") as target:
            walk = Walk(top, MOST)
            entries = iter(walk)
            while found := _next(entries, top, workspace.owner):
                name = "/".join((prefix, *map(_safe, found.names)))
                if found.fd is not None:
                    yield from _file(target, sink, name, found.fd, found.info)
                elif stat.S_ISDIR(found.info.st_mode):
                    target.writestr(_member(name + "/", found.info.st_mtime, stat.S_IFDIR | 0o755), b"")
                if sink.size >= _GATHERED:
                    yield sink.taken()
            if not walk.complete:
                target.writestr(_member(f"{prefix}/{_NOTE}", time.time(), stat.S_IFREG | 0o644), _WHY)
        yield sink.taken()


@dataclass(frozen=True)
class _Found:
    names: Parts
    info: os.stat_result
    fd: int | None  # of a regular file that can be read


def _next(entries: Iterator[tuple[bytes, os.stat_result]], top: int, owner: Owner) -> _Found | None:
    """What comes next, found and opened as its owner. What is given out in between needs no rights any more."""
    with acting_as(owner):
        found, info = next(entries, (b"", None))
        if info is None:
            return None
        names = tuple(map(shown, found.split(b"/")))
        if stat.S_ISREG(info.st_mode):
            with suppress(LSMError):
                fd, info = open_regular(top, names, owner)
                return _Found(names, info, fd)
        return _Found(names, info, None)


def _file(target: zipfile.ZipFile, sink: "_Sink", name: str, fd: int, info: os.stat_result) -> Iterator[bytes]:
    with closing(fd):
        member = _member(name, info.st_mtime, stat.S_IFREG | 0o644)
        member.file_size = info.st_size  # at most this is read; it decides on the format for large files
        with target.open(member, "w") as file:
            at = 0
            while at < info.st_size and (chunk := os.pread(fd, min(_CHUNK, info.st_size - at), at)):
                file.write(chunk)
                at += len(chunk)
                if sink.size >= _GATHERED:
                    yield sink.taken()


def _member(name: str, modified: float, mode: int) -> zipfile.ZipInfo:
    when = time.localtime(min(max(modified, 0), 2**32))[:6]
    member = zipfile.ZipInfo(name, max(when, (1980, 1, 1, 0, 0, 0)))  # the first time that a zip can tell
    member.external_attr = mode << 16
    return member


def _safe(name: str) -> str:
    """The name as one that means the same wherever the archive is unpacked."""
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in stored(found[0])), name)


class _Sink(io.RawIOBase):
    """Where the zip is written to: it holds what was not taken yet."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Hold the bytes."""
        self._written.append(data)
        self.size += len(data)
        return len(data)

    def taken(self) -> bytes:
        """All that is held, which is held no more."""
        taken, self._written, self.size = b"".join(self._written), [], 0
        return taken
