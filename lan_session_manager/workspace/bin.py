"""What was deleted and can be brought back, as it lies on the disk: a directory beside the uploads on their way.

That is on the workspace's own file system, within the same quota, and out of the sight of tasks: a rename takes a thing
there and back. Each has a directory of its own with what is known of it (`facts`), which is on the disk before the
thing itself (`data`) comes; so at any moment it is either in the workspace or here, whole. What is to go for good is
renamed first, so that half of it is never found again. A task that was in there stays in there, and may go on writing:
removing has a time, and what is left of it counts (`leaving`).
"""

import json
import logging
import os
import re
import secrets
import stat
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lan_session_manager.errors import LSMError
from lan_session_manager.workspace.emptying import remove_at
from lan_session_manager.workspace.opener import closing
from lan_session_manager.workspace.owner import Owner, acting_as
from lan_session_manager.workspace.paths import Parts, joined, parse_path
from lan_session_manager.workspace.walk import Walk

_log = logging.getLogger(__name__)

BIN = "trash"
KEPT_S = 24 * 3600
PURGE_S = 2.0  # what is removed in that time is gone; the rest goes on leaving
MOST = 200  # things in it at once; one more, and the oldest goes
DATA = b"data"
_FACTS = b"facts"
_GONE = ".gone-"
_LONGEST_FACTS = 64 * 1024
_BLOCK = 512
_ID = re.compile(r"[0-9a-f]{16}")
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Kept:
    """One deleted thing. `is_content`: everything that was in the directory `path`, which itself is still there."""

    id: str
    path: Parts
    deleted_at: float  # Unix time
    is_content: bool


@dataclass(frozen=True)
class Amount:
    """What deleted things take on the disk. Not `complete`: there is more than is looked at."""

    bytes: int = 0
    files: int = 0  # directories among them
    complete: bool = True


def opened(staging: int, *, make: bool) -> int:
    """A descriptor of the bin. To be called acting as the owner. Raises OSError; FileNotFoundError if there is none."""
    if make:
        with suppress(FileExistsError):
            os.mkdir(BIN, 0o700, dir_fd=staging)
    return os.open(BIN, _OPEN, dir_fd=staging)


def add(directory: int, path: Parts, *, is_content: bool) -> tuple[Kept, int]:
    """Make a place for a thing, and give a descriptor of it. To be called acting as the owner. Raises OSError."""
    ids = _by_age(directory)
    _purge(directory, ids[: len(ids) - MOST + 1] if len(ids) >= MOST else [])
    kept = Kept(secrets.token_hex(8), path, time.time(), is_content)
    os.mkdir(kept.id, 0o700, dir_fd=directory)
    try:
        place = os.open(kept.id, _OPEN, dir_fd=directory)
        try:
            _write_facts(place, kept)
        except BaseException:
            os.close(place)
            raise
    except BaseException:
        forget(directory, kept.id)
        raise
    return kept, place


def find(directory: int, kept_id: str) -> tuple[Kept, int] | None:
    """What is known of a thing, and a descriptor of its place. To be called acting as the owner."""
    if not _ID.fullmatch(kept_id):
        return None
    try:
        place = os.open(kept_id, _OPEN, dir_fd=directory)
    except FileNotFoundError:
        return None
    kept = _read_facts(place, kept_id)
    if kept is None:
        os.close(place)
        return None
    return kept, place


def everything(directory: int) -> list[Kept]:
    """All that can be brought back, the newest first. To be called acting as the owner. Raises OSError."""
    found = []
    for kept_id in _by_age(directory):
        if (known := find(directory, kept_id)) is not None:
            kept, place = known
            with closing(place), suppress(FileNotFoundError):
                os.stat(DATA, dir_fd=place, follow_symlinks=False)
                found.append(kept)
    # Times on the disk are those of the last tick, which two may share.
    return sorted(found, key=lambda kept: kept.deleted_at, reverse=True)


def forget(directory: int, kept_id: str) -> None:
    """Remove the place of a thing that is not there any more. To be called acting as the owner."""
    with suppress(FileNotFoundError):
        with closing(os.open(kept_id, _OPEN, dir_fd=directory)) as place, suppress(FileNotFoundError):
            if _is_there(place):
                return
            os.unlink(_FACTS, dir_fd=place)
        with suppress(OSError):  # what is still in it goes with its age
            os.rmdir(kept_id, dir_fd=directory)


def amounts(directory: int) -> dict[str, Amount]:
    """What each thing takes, by id. To be called with the right to search."""
    return _counted(directory).each


@dataclass(frozen=True)
class Count:
    """What each thing takes, by id; what all of them take; and what each takes that is leaving, by the same id."""

    each: dict[str, Amount]
    total: Amount
    leaving: dict[str, Amount]


def count(staging: Path, owner: Owner) -> Count:
    """What is in it. Not to be called acting. Raises OSError."""
    with _bin_of(staging, owner, searching=True) as directory:
        return Count({}, Amount(), {}) if directory is None else _counted(directory)


def _counted(directory: int) -> Count:
    """A file with several names counts once."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    seen: set[tuple[str, int, int]] = set()
    walk = Walk(directory)
    for path, info in walk:
        kept_id, _, rest = os.fsdecode(path).partition("/")
        if kept_id.startswith(_GONE):
            kinds = [kept_id]
        elif rest.partition("/")[0] == DATA.decode():
            kinds = [kept_id, ""]
        else:
            continue
        for kind in kinds:
            if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
                if (kind, info.st_dev, info.st_ino) in seen:
                    continue
                seen.add((kind, info.st_dev, info.st_ino))
            sums[kind][0] += info.st_blocks * _BLOCK
            sums[kind][1] += 1
    found = {kind: Amount(size, files, walk.complete) for kind, (size, files) in sums.items()}
    total = found.pop("", Amount(complete=walk.complete))
    leaving = {name.removeprefix(_GONE): found.pop(name) for name in [*found] if name.startswith(_GONE)}
    return Count(found, total, leaving)


def purge(staging: Path, owner: Owner, kept_id: str | None = None, *, seconds: float = PURGE_S) -> int:
    """Remove one thing for good, or all; gives how many. What takes longer than `seconds` is left for the next time.

    Not to be called acting. Raises OSError.
    """
    with _bin_of(staging, owner) as directory:
        if directory is None:
            return 0
        ids = [each for each in _by_age(directory) if kept_id in (None, each)]
        return _purge(directory, ids, seconds)


def remove_leaving(staging: Path, owner: Owner, seconds: float) -> bool:
    """Go on with what an earlier removal has left; gives whether that took all the time that it had.

    Not to be called acting. Raises OSError.
    """
    until = time.monotonic() + seconds
    with _bin_of(staging, owner) as directory:
        if directory is not None:
            _purge(directory, (), seconds)
    return time.monotonic() >= until


def expire(staging: int, kept_s: float = KEPT_S, seconds: float = PURGE_S) -> None:
    """Remove what is old, and what a server that was killed has left half-removed. To be called acting as the owner."""
    try:
        directory = opened(staging, make=False)
    except FileNotFoundError:
        return
    with closing(directory):
        old = [kept_id for kept_id in _by_age(directory) if _changed(directory, kept_id) < time.time() - kept_s]
        _purge(directory, old, seconds)


@contextmanager
def _bin_of(staging: Path, owner: Owner, *, searching: bool = False) -> Iterator[int | None]:
    try:
        fd = os.open(staging, _OPEN)
    except FileNotFoundError:
        yield None
        return
    with closing(fd), acting_as(owner, searching=searching):
        try:
            directory = opened(fd, make=False)
        except FileNotFoundError:
            yield None
            return
        with closing(directory):
            yield directory


def _is_there(place: int) -> bool:
    try:
        os.stat(DATA, dir_fd=place, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _by_age(directory: int) -> list[str]:
    ids = [name for name in os.listdir(directory) if _ID.fullmatch(name)]
    return sorted(ids, key=lambda kept_id: _changed(directory, kept_id))


def _changed(directory: int, name: str) -> float:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return 0.0


def _purge(directory: int, ids: Iterable[str], seconds: float = PURGE_S) -> int:
    until = time.monotonic() + seconds
    gone = 0
    for kept_id in ids:
        with suppress(FileNotFoundError):
            os.rename(kept_id, _GONE + kept_id, src_dir_fd=directory, dst_dir_fd=directory)
            gone += 1
    for name in os.listdir(directory):
        if name.startswith(_GONE):
            try:
                remove_at(directory, os.fsencode(name), until)
            except FileNotFoundError:
                continue
            except (OSError, LSMError) as error:  # too much for the time, or not its own: the next time, then
                _log.info("something in the trash could not be removed: %s", error)
    return gone


def _write_facts(place: int, kept: Kept) -> None:
    facts = {"path": "/".join(kept.path), "deleted_at": kept.deleted_at, "is_content": kept.is_content}
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with closing(os.open(_FACTS, flags, 0o600, dir_fd=place)) as fd:
        rest = memoryview(json.dumps(facts).encode())
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)  # before the thing itself comes: else it would be here without its name


def _read_facts(place: int, kept_id: str) -> Kept | None:
    try:
        with closing(os.open(_FACTS, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)) as fd:
            known = json.loads(os.read(fd, _LONGEST_FACTS))
        path = parse_path(known["path"])
        kept = Kept(kept_id, path, float(known["deleted_at"]), bool(known["is_content"]))
    except (OSError, ValueError, TypeError, KeyError, LSMError):
        return None
    return kept if joined(path) != b"." else None
