"""Where the kernel keeps the quota of a session: what all ways to do that have in common, and which of them works here.

Without a volume a workspace is a directory like any other, and its quota is kept by watching.
"""

import contextlib
import errno
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from lan_session_manager.settings import STATE_DIR
from lan_session_manager.workspace.owner import Owner
from lan_session_manager.workspace.usage import Quota, Usage

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_NEARLY = 64 * 1024


@dataclass(frozen=True)
class Place:
    """Where the server itself opens a workspace: the directory `name` in `parent`.

    `staging` is on the same mount, where no task can see it, so that a file can be renamed from there.
    """

    parent: Path
    name: str
    staging: Path


@dataclass(frozen=True)
class Held:
    """What a session holds by the kernel's own count, and what is left of its quota.

    Files have directories among them, but for inputs/, outputs/ and temp/.
    """

    bytes: int
    files: int
    free_bytes: int
    free_files: int

    @property
    def is_full(self) -> bool:
        """Whether a write may just have failed for it: of the last blocks some are for what describes the files."""
        return self.free_bytes < _NEARLY or self.free_files == 0

    def usage(self, parts: Usage) -> Usage:
        """As a usage, which is shared out as a scan has found it."""
        return replace(
            parts,
            bytes=max(0, self.bytes - parts.trash_bytes),
            files=max(0, self.files - parts.directories - parts.trash_files),
            complete=True,
        )


class Volumes(Protocol):
    """One way to have the kernel keep quotas. For use from any thread; several processes may use the same directory."""

    line: str  # what it is, for people

    def ready(self, name: str, owner: Owner, quota: Quota, *, may_move: Callable[[], bool]) -> None:
        """Have the kernel keep that quota for the workspace `name`, and make what is missing for it.

        A workspace that is still a plain directory with files is moved in, once, if it may be (nothing runs in it: that
        is asked when nobody else can move it); else it stays as it is. May take as long as a copy of it. Raises
        VolumeError.
        """

    def place(self, name: str) -> Place | None:
        """Where the workspace is opened, mounted if it was not; None: it is a plain directory. Raises VolumeError."""

    def held(self, name: str) -> Held | None:
        """What it holds, in a few system calls; None where the kernel does not count for it now."""

    def discard(self, name: str) -> None:
        """Remove what is kept for a workspace that nobody uses any more, its files too where they are in here.

        Raises OSError and VolumeError.
        """

    def release(self, name: str) -> None:
        """Let go of what the host keeps for it, if nobody uses it; the next use makes it anew."""


def volumes_directory(data_dir: Path) -> Path:
    """Where everything is that volumes need to be kept."""
    return data_dir / STATE_DIR / "volumes"


def staging_directories(data_dir: Path) -> list[Path]:
    """The staging directories of all volumes that are mounted."""
    directory = volumes_directory(data_dir)
    return [*directory.glob("*/staging"), *directory.glob("*.staging")]


def has_files(directory: Path) -> bool:
    """Whether there is anything in the directory; one that does not exist has nothing."""
    with contextlib.suppress(FileNotFoundError):
        return any(True for _ in directory.iterdir())
    return False
