"""The workspaces of all sessions below one data directory."""

import json
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lan_session_manager.errors import LSMError, ReadOnlyError, SecurityError, StorageError
from lan_session_manager.settings import STATE_DIR
from lan_session_manager.workspace import validate
from lan_session_manager.workspace.directories import make_in_place, move_aside
from lan_session_manager.workspace.meter import Meter, Reservation, Scanner
from lan_session_manager.workspace.opener import DIRECTORY, Owner, beneath, closing, open_directory, refusals
from lan_session_manager.workspace.paths import Parts
from lan_session_manager.workspace.staging import Staged, sweep
from lan_session_manager.workspace.usage import FACTS, Quota, Usage, changed_since, measure
from lan_session_manager.workspace.validate import SHARED, TOP

_log = logging.getLogger(__name__)

_SHARED_TOP = ("templates", "references")
_STAGING = "uploads"  # below the server's own directory
_NAME = re.compile(r"[A-Za-z0-9_~-]{1,200}")
_MOST_OUTPUTS = 100


@dataclass(frozen=True)
class Workspace:
    """One session's directory, or the shared resources, which nobody changes through here (`read_only`)."""

    name: str
    owner: Owner
    read_only: bool
    data_dir: Path
    meter: Meter

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the directory. Raises NotFoundError when it was never made."""
        with refusals():
            fd = _open(self.data_dir, self.name)
        with closing(fd):
            yield fd

    def create(self) -> None:
        """Make the directory with inputs/, outputs/ and temp/, mode 0700, its owner's; what is there already stays.

        What stands in the place of one of the three and is no directory is moved aside. Raises StorageError.
        """
        with (
            refusals(),
            closing(os.open(self.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as data,
            closing(make_in_place(data, self.name.encode(), self.owner)) as root,
        ):
            os.fchmod(root, 0o700)
            for top in TOP:
                os.close(make_in_place(root, top.encode(), self.owner))

    def write_facts(self, facts: Mapping[str, object]) -> None:
        """Write session.json, for people and scripts. It is a copy: that it cannot be written is noted, no more."""
        try:
            with self.opened() as root:
                staged = self.staged()
                try:
                    os.write(staged.fd, json.dumps(facts, indent=2).encode() + b"\n")
                    try:
                        staged.put(root, FACTS.encode(), overwrite=True)
                    except IsADirectoryError:
                        move_aside(root, FACTS.encode())
                        staged.put(root, FACTS.encode(), overwrite=True)
                except BaseException:
                    staged.discard()
                    raise
        except (OSError, LSMError) as error:
            _log.warning("the facts of the session %s could not be written: %s", self.name, error)

    def staged(self) -> Staged:
        """A new file on its way into this workspace. Raises OSError."""
        return Staged(self.data_dir / STATE_DIR / _STAGING, self.owner)

    def check_writable(self, path: Parts) -> None:
        """Raise ReadOnlyError for what a client may not replace or remove, SecurityError for the workspace itself."""
        if not path:
            raise SecurityError
        if self.read_only or path in ((FACTS,), *((top,) for top in TOP)):
            raise ReadOnlyError(path="/".join((SHARED, *path) if self.read_only else path))

    def usage(self) -> Usage:
        """What the last scan found; all zero before the first one. Never waits."""
        return self.meter.usage

    def touch(self) -> None:
        """Something has changed in here: scan it when it is time."""
        self.meter.touch()

    def reserve(self, size: int, quota: Quota) -> Reservation:
        """Promise a file of `size` bytes of the quota to an upload: see `Meter.reserve`."""
        return self.meter.reserve(size, quota)

    def outputs_since(self, since: float, most: int = _MOST_OUTPUTS) -> tuple[list[tuple[str, int]], int]:
        """The files below outputs/ that were made or changed since a Unix time: (path from the workspace, bytes).

        The first `most` by path, and the count of all. Raises NotFoundError, and SecurityError for a link in its place.
        """
        with self.opened() as root, closing(open_directory(root, ("outputs",))) as outputs:
            files, count = changed_since(outputs, since, most)
        return [(f"outputs/{path}", size) for path, size in files], count


class Workspaces:
    """All workspaces of one data directory. For use from any thread."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self._scanner = Scanner()
        self._meters: dict[str, Meter] = {}

    def prepare(self) -> None:
        """Make the data directory (0700), the server's own in it, and shared/ with its two. Raises StorageError."""
        try:
            for private in (self.data_dir, self.data_dir / STATE_DIR, self.data_dir / STATE_DIR / _STAGING):
                private.mkdir(mode=0o700, parents=True, exist_ok=True)
                if stat.S_IMODE(private.stat().st_mode) != 0o700:
                    private.chmod(0o700)
            for public in (self.data_dir / SHARED, *(self.data_dir / SHARED / top for top in _SHARED_TOP)):
                if not public.is_dir():
                    public.mkdir()
                    public.chmod(0o755)
            sweep(self.data_dir / STATE_DIR / _STAGING)
        except OSError as error:
            raise StorageError from error

    def workspace(self, name: str, uid: int, uids: range | None = None) -> Workspace:
        """The workspace `name` of the user id `uid`, made or not; `uids` are all ids that its files may have.

        A server that is not root cannot give files away: all are its own then. Raises ValueError for an unsafe name.
        """
        if not _NAME.fullmatch(name) or name == SHARED:
            raise ValueError(f"{name!r} is no name of a workspace")
        if os.geteuid():
            owner = Owner(os.geteuid(), os.getegid(), range(os.geteuid(), os.geteuid() + 1))
        else:
            owner = Owner(uid, uid, uids if uids is not None else range(uid, uid + 1))
        return Workspace(name, owner, False, self.data_dir, self._meter(name))

    def shared(self) -> Workspace:
        """The shared resources: read-only, whoever owns their files."""
        owner = Owner(os.geteuid(), os.getegid(), range(2**32))
        return Workspace(SHARED, owner, True, self.data_dir, self._meter(SHARED))

    def place(self, workspace: Workspace, path: Parts) -> tuple[Workspace, Parts]:
        """Where a client's path leads: "shared" and what is below it into the shared resources, else `workspace`."""
        return (self.shared(), path[1:]) if path[:1] == (SHARED,) else (workspace, path)

    def is_inside(self, name: str, text: str) -> bool:
        """Whether `text` names something in the workspace `name` or in shared/: see `validate.is_inside`."""
        return validate.is_inside(self.data_dir, name, text)

    def _meter(self, name: str) -> Meter:
        def scan() -> Usage:
            with closing(_open(self.data_dir, name)) as root:
                return measure(root)

        return self._meters.setdefault(name, Meter(scan, self._scanner))


def _open(data_dir: Path, name: str) -> int:
    """A descriptor of a workspace's directory. Raises OSError."""
    with closing(os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as data:
        return beneath(data, name.encode(), DIRECTORY)
