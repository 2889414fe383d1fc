"""What a box is: one task's program with everything that the kernel is told about it.

Names that the host can see (container ids, cgroups, directories) are digests: no address and no word of a user stands
in them.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

TASK_UID = 1000  # the user id, and group id, that a task sees itself run as
RANGE_SIZE = 65536  # host user ids of one session: every id that the box knows is mapped to one of them
FIRST_HOST_UID = 1_000_000  # above what distributions give to people, services and /etc/subuid by default
_UID_END = 2**32 - 1  # the last one, (uid_t)-1, means "no user"


class SandboxError(Exception):
    """A box, or what all boxes need of the host, could not be made; the text is for people, without internals."""


class NoUserIdsError(SandboxError, ValueError):
    """There are no user ids for a session."""


@dataclass(frozen=True)
class BoxLimits:
    """What one box may use at most."""

    memory_bytes: int
    pids: int
    file_bytes: int  # the largest single file, 64 KiB at least; 0: nothing can be written to a file
    log_bytes: int
    open_files: int = 65536  # of each of its processes
    cpu_cores: float | None = None  # not above its group's; None: only its group's quota holds


@dataclass(frozen=True)
class GroupLimits:
    """What all boxes of one group, the boxes of one session, may use together."""

    memory_bytes: int
    pids: int
    cpu_cores: float


@dataclass(frozen=True)
class Box:
    """One box. `box_id` and `group` come from `opaque_id` and `group_id`."""

    box_id: str
    group: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    workspace: Path
    shared: Path
    uid_base: int
    limits: BoxLimits
    group_limits: GroupLimits


@functools.cache
def last_slot() -> int:
    """The last slot for which this process has user ids and group ids; -1: for none.

    Root has them all, up to 32 bits; in a holder's namespaces there are those of /etc/subuid and /etc/subgid.
    """
    ends = [_mapped_end(Path(f"/proc/self/{kind}_map").read_text()) for kind in ("uid", "gid")]
    return (min(ends) - FIRST_HOST_UID) // RANGE_SIZE - 1


def _mapped_end(text: str) -> int:
    """Up to which id, without it, those from FIRST_HOST_UID on are all in a map (user_namespaces(7))."""
    end = FIRST_HOST_UID
    for first, _, count in sorted([int(word) for word in line.split()] for line in text.splitlines()):
        if first <= end < first + count:
            end = first + count
    return min(end, _UID_END)


def user_range(slot: int) -> int:
    """The first of the RANGE_SIZE user ids of slot `slot`, as this process sees them. Raises NoUserIdsError."""
    if not 0 <= slot <= last_slot():
        raise NoUserIdsError(f"The task could not be started: this server has user ids for {last_slot() + 1} sessions.")
    return FIRST_HOST_UID + slot * RANGE_SIZE


def opaque_id(name: str) -> str:
    """A container id for a task's id: 32 hex digits."""
    return sha256(name.encode()).hexdigest()[:32]


def group_id(name: str) -> str:
    """A cgroup's name for a session's workspace: "s" and 16 hex digits."""
    return "s" + sha256(name.encode()).hexdigest()[:16]
