"""What a box is: one task's program with everything that the kernel is told about it.

Names that the host can see (container ids, cgroups, directories) are digests: no address and no word of a user stands
in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

TASK_UID = 1000  # the user id, and group id, that a task sees itself run as
RANGE_SIZE = 65536  # host user ids of one session: every id that the box knows is mapped to one of them
FIRST_HOST_UID = 1_000_000  # above what distributions give to people, services and /etc/subuid by default
_UID_END = 2**32 - 1  # the last one, (uid_t)-1, means "no user"
LAST_SLOT = (_UID_END - FIRST_HOST_UID) // RANGE_SIZE - 1


class SandboxError(Exception):
    """A box, or what all boxes need of the host, could not be made; the text is for people, without internals."""


@dataclass(frozen=True)
class BoxLimits:
    """What one box may use at most."""

    memory_bytes: int
    pids: int
    file_bytes: int  # the largest single file, 64 KiB at least; 0: nothing can be written to a file
    log_bytes: int


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


def user_range(slot: int) -> int:
    """The first of the RANGE_SIZE host user ids of slot `slot`. Raises ValueError for one that leaves 32 bits."""
    if not 0 <= slot <= LAST_SLOT:
        raise ValueError(f"slot {slot} has no user ids")
    return FIRST_HOST_UID + slot * RANGE_SIZE


def opaque_id(name: str) -> str:
    """A container id for a task's id: 32 hex digits."""
    return sha256(name.encode()).hexdigest()[:32]


def group_id(name: str) -> str:
    """A cgroup's name for a session's workspace: "s" and 16 hex digits."""
    return "s" + sha256(name.encode()).hexdigest()[:16]
