"""What is in a directory of a workspace."""

import os
import stat
import time
from dataclasses import dataclass
from enum import StrEnum

from lan_session_manager.errors import NotFoundError
from lan_session_manager.workspace.opener import closing, open_directory, refusals
from lan_session_manager.workspace.paths import Parts, shown
from lan_session_manager.workspace.validate import TOP
from lan_session_manager.workspace.workspace import Workspace

MOST = 10_000
_YEAR_1, _YEAR_9999 = -62_135_596_800.0, 253_402_300_799.0  # Unix times of the first and the last second, UTC


class EntryType(StrEnum):
    """What an entry is; the names are what clients see as `type`."""

    FILE = "file"
    DIRECTORY = "directory"
    OTHER = "other"  # a link, a pipe, a socket or a device: it can be deleted, and nothing else


@dataclass(frozen=True)
class Entry:
    """One name in a directory. The name is fit for JSON and URLs, and `parse_path` finds the file by it."""

    name: str
    type: EntryType
    size: int  # bytes; 0 for what is no file
    modified: float  # Unix time in seconds


@dataclass(frozen=True)
class Listing:
    """A directory's entries, directories first, then by name; `truncated` when there are more than MOST."""

    entries: tuple[Entry, ...]
    truncated: bool


def list_directory(workspace: Workspace, path: Parts) -> Listing:
    """The entries of the directory `path`. Raises NotFoundError, and SecurityError for a link on the way.

    To look at a workspace that nobody has used does not make it.
    """
    if not workspace.is_made:
        return _unused(path)
    entries: list[Entry] = []
    truncated = False
    with workspace.opened() as root, refusals(), closing(open_directory(root, path)) as fd, os.scandir(fd) as found:
        for item in found:
            if len(entries) == MOST:
                truncated = True
                break
            try:
                entries.append(entry_of(os.fsencode(item.name), item.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
    entries.sort(key=lambda entry: (entry.type is not EntryType.DIRECTORY, entry.name.casefold(), entry.name))
    return Listing(tuple(entries), truncated)


def _unused(path: Parts) -> Listing:
    if not path:
        return Listing(tuple(Entry(top, EntryType.DIRECTORY, 0, time.time()) for top in TOP), False)
    if len(path) == 1 and path[0] in TOP:
        return Listing((), False)
    raise NotFoundError


def entry_of(name: bytes, info: os.stat_result) -> Entry:
    """The entry for a name and the facts of what it names, no link followed."""
    if stat.S_ISREG(info.st_mode):
        return Entry(shown(name), EntryType.FILE, info.st_size, modified(info))
    kind = EntryType.DIRECTORY if stat.S_ISDIR(info.st_mode) else EntryType.OTHER
    return Entry(shown(name), kind, 0, modified(info))


def modified(info: os.stat_result) -> float:
    """The Unix time of the last change, within the years 1 to 9999: a task may set any time at all."""
    return min(max(info.st_mtime, _YEAR_1), _YEAR_9999)
