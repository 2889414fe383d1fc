"""The files of a plain workspace on their way into an image: whether they can go, and what changed while they did."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lan_session_manager.settings import MB
from lan_session_manager.workspace.opener import DIRECTORY, closing
from lan_session_manager.workspace.usage import Quota, measure
from lan_session_manager.workspace.walk import Walk

_ROOM = 64 * MB  # of the disk that stay free beside a copy
_COARSE_S = 1  # a change within so much of the beginning may have been before it or after


def can_be_copied(directory: Path) -> bool:
    """Whether everything in it can be counted, and a second time be on its disk. Raises OSError."""
    with _opened(directory) as root:
        used, disk = measure(root), os.fstatvfs(root)
    return used.complete and used.bytes + _ROOM <= disk.f_bavail * disk.f_frsize


def with_room_for(directory: Path, quota: Quota) -> Quota:
    """The quota, and more where what is in the directory takes more than it. Raises OSError."""
    with _opened(directory) as root:
        used, entries = measure(root), sum(1 for _ in Walk(root))
    return Quota(max(quota.bytes, used.bytes + used.bytes // 20 + MB), max(quota.files, entries))


def changed_since(directory: Path, began: float) -> bool:
    """Whether anything in it changed since a Unix time. Raises OSError."""
    with _opened(directory) as root:
        return any(info.st_ctime >= began - _COARSE_S for _, info in Walk(root))


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    with closing(os.open(directory, DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)) as root:
        yield root
