"""What a workspace takes on the disk, and what in it is new: both looked up on the disk, by a walk.

A file counts with the blocks that it takes (st_blocks × 512 bytes), so that a sparse one is small and one with several
names is counted once.
"""

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import nsmallest

from lan_session_manager.workspace.paths import shown
from lan_session_manager.workspace.walk import Walk

FACTS = "session.json"
DIRECTORY_BYTES = 4096  # what a new directory takes on most file systems: one block
_FACTS_BYTES = 4096  # up to here it is the server's own copy of the facts; else it is something that a task put there
_BLOCK = 512
_COARSE_S = 0.02  # how much the time of a change may lie behind: the kernel's tick, 10 ms at the most


@dataclass(frozen=True)
class Usage:
    """What a workspace takes on the disk. Not `complete`: it holds more than a scan looks at, and counts as full."""

    bytes: int = 0
    files: int = 0  # everything but directories
    inputs_bytes: int = 0
    outputs_bytes: int = 0
    temp_bytes: int = 0
    complete: bool = True
    directories: int = 0  # but for inputs/, outputs/ and temp/
    trash_bytes: int = 0  # beside all of the above: what can be brought back, until its space is needed
    trash_files: int = 0  # directories among them

    @property
    def entries(self) -> int:
        """Files and directories: what takes an inode, of which a disk has only so many."""
        return self.files + self.directories


@dataclass(frozen=True)
class Quota:
    """What a workspace may hold at most."""

    bytes: int
    files: int  # directories among them

    def holds(self, usage: Usage) -> bool:
        """Whether a workspace is within it. What cannot be counted to its end is not."""
        return usage.complete and usage.bytes <= self.bytes and usage.entries <= self.files

    def holds_trash(self, usage: Usage, size: int = 0, files: int = 0) -> bool:
        """Whether there is room for what is in the trash beside everything else, and so much more."""
        has_bytes = usage.bytes + usage.trash_bytes + size <= self.bytes
        return has_bytes and usage.entries + usage.trash_files + files <= self.files


def measure(root: int) -> Usage:
    """The usage of the workspace whose directory is `root`. An empty one takes nothing. Raises OSError."""
    sums = {b"inputs": 0, b"outputs": 0, b"temp": 0}
    total = files = directories = 0
    seen: set[tuple[int, int]] = set()
    walk = Walk(root)
    for path, info in walk:
        if stat.S_ISDIR(info.st_mode):
            if path in sums:
                continue
            directories += 1
        else:
            if info.st_nlink > 1:
                if (info.st_dev, info.st_ino) in seen:
                    continue
                seen.add((info.st_dev, info.st_ino))
            if path == FACTS.encode() and info.st_size <= _FACTS_BYTES:
                continue
            files += 1
        size = info.st_blocks * _BLOCK
        total += size
        top = path.partition(b"/")[0]
        if top in sums:
            sums[top] += size
    return Usage(total, files, sums[b"inputs"], sums[b"outputs"], sums[b"temp"], walk.complete, directories)


def changed_since(directory: int, since: float, most: int) -> tuple[list[tuple[str, int]], int]:
    """The regular files below `directory` made or changed since a Unix time: (path from there, size in bytes).

    The first `most` by path, and the count of all. The change time decides, as no task can set it. Raises OSError.
    """
    count = 0

    def changed() -> Iterator[tuple[bytes, int]]:
        nonlocal count
        for path, info in Walk(directory):
            if stat.S_ISREG(info.st_mode) and info.st_ctime >= since - _COARSE_S:
                count += 1
                yield path, info.st_size

    first = nsmallest(most, changed())
    return [("/".join(map(shown, path.split(b"/"))), size) for path, size in first], count
