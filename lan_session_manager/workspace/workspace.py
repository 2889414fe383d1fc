"""The workspaces of all sessions below one data directory."""

import json
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lan_session_manager.errors import (
    LSMError,
    QuotaError,
    ReadOnlyError,
    SecurityError,
    StorageError,
    TooManyFilesError,
)
from lan_session_manager.settings import MB, STATE_DIR
from lan_session_manager.workspace import bin as bins
from lan_session_manager.workspace import validate
from lan_session_manager.workspace.bin import Amount
from lan_session_manager.workspace.clock import SetClock
from lan_session_manager.workspace.directories import make_and_give, make_own, move_aside
from lan_session_manager.workspace.emptier import Emptier
from lan_session_manager.workspace.meter import Meter, Reservation, Scanner
from lan_session_manager.workspace.opener import DIRECTORY, beneath, closing, open_directory, refusals, unlock
from lan_session_manager.workspace.owner import Owner, acting_as
from lan_session_manager.workspace.paths import Parts
from lan_session_manager.workspace.staging import Staged, sweep, sweep_each
from lan_session_manager.workspace.unfinished import Unfinished
from lan_session_manager.workspace.usage import FACTS, Quota, Usage, changed_since, measure
from lan_session_manager.workspace.validate import SHARED, TOP
from lan_session_manager.workspace.volumes.base import NO_ROOM, Held, Place, Volumes, staging_directories
from lan_session_manager.workspace.volumes.loops import ToolError, remove_tree

_log = logging.getLogger(__name__)

_SHARED_TOP = ("templates", "references")
_STAGING = "uploads"  # below the server's own directory; in it, one directory for each workspace
_NAME = re.compile(r"[A-Za-z0-9_~-]{1,200}")
_MOST_OUTPUTS = 100
_UNLIMITED = 1 << 62
_PIECE_S = 1.0  # for what is leaving a bin, before another one has its turn
# With less left of a quota that the kernel keeps, so much or that part of it, a task may fail for what is in the trash.
_SHORT, _SHORT_PART = 64 * MB, 20


@dataclass(frozen=True)
class Workspace:
    """One session's directory, or the shared resources, which nobody changes through here (`read_only`).

    With `volumes` the kernel keeps its quota, which `quota` tells; `parts` then scans how it is shared out, and `meter`
    has the kernel's count. `is_idle` tells whether no box of the session is there, so that its files may be moved.
    `unfinished` are its uploads that go on later. `at_hand` has the names of all workspaces that are made, and mounted
    if they are volumes; `on_made` is called when this one comes to be.
    """

    name: str
    owner: Owner
    read_only: bool
    data_dir: Path
    meter: Meter
    parts: Meter
    unfinished: Unfinished
    volumes: Volumes | None = None
    quota: Callable[[], Quota] | None = None
    is_idle: Callable[[], bool] | None = None
    at_hand: set[str] = field(default_factory=set)
    on_made: Callable[[], object] | None = None

    @contextmanager
    def opened(self) -> Iterator[int]:
        """A descriptor of the directory. This thread acts as the owner until the end, by the rules of `owner`.

        Raises StorageError and VolumeError.
        """
        self.ensure()
        with self._opened() as fd:
            yield fd

    @contextmanager
    def _opened(self) -> Iterator[int]:
        place = self._place()
        with refusals():
            fd = _open(place.parent, place.name)
        with closing(fd), acting_as(self.owner):
            yield fd

    @property
    def is_made(self) -> bool:
        """Whether there is a directory, or an image of one, which is mounted then."""
        if (self.data_dir / self.name).is_dir():
            return True
        return self.volumes is not None and self.volumes.place(self.name) is not None

    def ensure(self) -> None:
        """Have the directory be there and its quota be kept. Whatever needs them does this; a visit alone does not.

        Raises like `create`.
        """
        is_there = self.name in self.at_hand and (self.data_dir / self.name).is_dir()
        if not is_there and not self.read_only:
            self.create()

    def create(self) -> None:
        """Make the directory with inputs/, outputs/ and temp/, mode 0700, its owner's; what is there already stays.

        What stands in the place of one of the three and is no directory is moved aside. The quota in force now is the
        kernel's from here on, where it keeps it. Raises StorageError and VolumeError.
        """
        if self.volumes and self.quota:
            self.volumes.ready(self.name, self.owner, self.quota(), may_move=self.is_idle or (lambda: False))
        place = self._place()
        with (
            refusals(),
            closing(os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as parent,
            closing(make_and_give(parent, place.name.encode(), self.owner)) as root,
            acting_as(self.owner),
        ):
            os.fchmod(root, 0o700)
            for top in TOP:
                make_own(root, top.encode(), self.owner)
        if self.name not in self.at_hand:
            self.at_hand.add(self.name)
            if self.on_made:
                self.on_made()

    def write_facts(self, facts: Mapping[str, object]) -> None:
        """Write session.json, for people and scripts. It is a copy: that it cannot be written is noted, no more.

        Where the workspace is not made, or its image not mounted, nothing is written.
        """
        if not any(os.path.lexists(self.data_dir / self.name / name) for name in (*TOP, FACTS)):
            return
        try:
            staged = Staged(self._place().staging, self.owner)
            try:
                os.write(staged.fd, json.dumps(facts, indent=2).encode() + b"\n")
                with self._opened() as root:
                    unlock(root)
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

    @property
    def staging(self) -> Path:
        """Where files on their way into this workspace are: out of its tasks' sight, on the workspace's file system."""
        self.ensure()
        return self._place().staging

    def _place(self) -> Place:
        place = self.volumes.place(self.name) if self.volumes and not self.read_only else None
        return place or _plain_place(self.data_dir, self.name)

    def staged(self) -> Staged:
        """A new file on its way into this workspace. Raises OSError."""
        return Staged(self.staging, self.owner)

    def check_writable(self, path: Parts) -> None:
        """Raise ReadOnlyError for what a client may not replace or remove, SecurityError for the workspace itself."""
        if not path:
            raise SecurityError
        if self.read_only or path in ((FACTS,), *((top,) for top in TOP)):
            raise ReadOnlyError(path="/".join((SHARED, *path) if self.read_only else path))

    def usage(self) -> Usage:
        """What the kernel counts, else what the last scan found; all zero before the first one. Never waits."""
        if (held := self.held()) is not None:
            return held.usage(self.parts.usage)
        return self.meter.usage

    def held(self) -> Held | None:
        """What the session holds by the kernel's own count; None where its quota is kept by watching."""
        return self.volumes.held(self.name) if self.volumes and not self.read_only else None

    def watched(self, quota: Quota) -> Quota:
        """What of a quota is kept by watching: of one that the kernel keeps, only far too many files.

        An image has a few files more than the quota, and it cannot have fewer when the owner takes some away.
        """
        return quota if self.held() is None else Quota(_UNLIMITED, quota.files + quota.files // 8 + 2048)

    @contextmanager
    def room(self) -> Iterator[None]:
        """What the kernel refuses as it keeps the quota becomes the error that says so. Not to be called acting."""
        try:
            yield
        except (OSError, StorageError) as error:
            cause = error if isinstance(error, OSError) else error.__cause__
            held = self.held() if isinstance(cause, OSError) and cause.errno in NO_ROOM else None
            if held is None or self.quota is None:
                raise
            if not held.free_files:
                raise TooManyFilesError(quota_files=self.quota().files) from error
            raise QuotaError(quota_mb=self.quota().bytes // MB) from error

    def touch(self) -> None:
        """Something has changed in here: scan it when it is time."""
        self.meter.touch()

    def reserve(self, size: int, quota: Quota, files: int = 1) -> Reservation:
        """Promise so many bytes and files, directories among them, of the quota: see `Meter.reserve`."""
        with refusals():
            self.unfinished.load(self.staging, self.owner)  # what an earlier server has promised counts as well
        if not self._has_room_beside_trash(size, quota, files):
            self.empty_trash()
        return self.meter.reserve(size, quota, files)

    def _has_room_beside_trash(self, size: int, quota: Quota, files: int) -> bool:
        usage = self.meter.known
        if usage is None or not usage.trash_files:
            return True
        promised, promised_files = self.meter.uploads[1]
        held = self.held()
        if held is not None and (held.free_bytes < size + promised or held.free_files < files + promised_files):
            return False
        return quota.holds_trash(usage, size + promised, files + promised_files)

    def empty_trash(self) -> int:
        """Remove for good what could be brought back; gives how many things that were. Raises StorageError."""
        if self.read_only or not self.is_made:
            return 0
        with refusals():
            gone = bins.purge(self.staging, self.owner)
        self.parts.touch()
        self.meter.touch()
        return gone

    def outputs_since(self, since: float, most: int = _MOST_OUTPUTS) -> tuple[list[tuple[str, int]], int]:
        """The files below outputs/ that were made or changed since a Unix time: (path from the workspace, bytes).

        The first `most` by path, and the count of all. Raises NotFoundError, and SecurityError for a link in its place.
        """
        with self.opened() as root, closing(open_directory(root, ("outputs",))) as outputs:
            files, count = changed_since(outputs, since, most)
        return [(f"outputs/{path}", size) for path, size in files], count


class Workspaces:
    """All workspaces of one data directory. For use from any thread."""

    def __init__(self, data_dir: Path, volumes: Volumes | None = None) -> None:
        """With `volumes` the kernel keeps the quotas."""
        self.data_dir = data_dir.absolute()
        self.volumes = volumes
        self._scanner = Scanner()
        self._emptier = Emptier()
        self._meters: dict[str, tuple[Meter, Meter]] = {}
        self._at_hand: set[str] = set()
        self._unfinished: dict[str, Unfinished] = {}
        self._quotas: dict[str, Callable[[], Quota]] = {}
        self._leaving: dict[str, dict[str, Amount]] = {}  # of each workspace, the least that was seen of each thing
        self._clock = SetClock()

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
            self.sweep()
        except OSError as error:
            raise StorageError from error

    def sweep(self, reserve_bytes: int = 0) -> None:
        """Give up uploads that nobody went on with for long, of this server and of earlier ones, and old trash.

        Of the latter everything, if the disk has less than `reserve_bytes` left. A clock that was set meanwhile makes
        nothing older. Raises OSError.
        """
        disk = os.statvfs(self.data_dir)
        kept_s = bins.KEPT_S + self._clock.ahead() if disk.f_bavail * disk.f_frsize >= reserve_bytes else 0.0
        for unfinished in list(self._unfinished.values()):
            unfinished.expire()
        sweep(self.data_dir / STATE_DIR / _STAGING, kept_s)
        for staging in staging_directories(self.data_dir):
            sweep_each(staging, kept_s)

    def workspace(
        self,
        name: str,
        uid: int,
        uids: range | None = None,
        quota: Callable[[], Quota] | None = None,
        is_idle: Callable[[], bool] | None = None,
        on_made: Callable[[], object] | None = None,
    ) -> Workspace:
        """The workspace `name` of the user id `uid`, made or not; `uids` are all ids that its files may have.

        `quota` and `is_idle` are for what the kernel is to keep; for these and `on_made` see `Workspace`.
        A server that is not root cannot give files away: all are its own then. Raises ValueError for an unsafe name.
        """
        if not _NAME.fullmatch(name) or name == SHARED:
            raise ValueError(f"{name!r} is no name of a workspace")
        if os.geteuid():
            owner = Owner(os.geteuid(), os.getegid(), range(os.geteuid(), os.geteuid() + 1))
        else:
            owner = Owner(uid, uid, uids if uids is not None else range(uid, uid + 1))
        if quota:
            self._quotas[name] = quota
        meter, parts = self._meters_of(name, owner)
        unfinished = self._unfinished.setdefault(name, Unfinished(meter))
        kept = (self.volumes, quota, is_idle, self._at_hand, on_made)
        return Workspace(name, owner, False, self.data_dir, meter, parts, unfinished, *kept)

    def release(self, name: str) -> None:
        """Let go of what the host keeps for a workspace, if nobody uses it; its files stay."""
        self._at_hand.discard(name)
        if self.volumes:
            self.volumes.release(name)

    def discard(self, workspace: Workspace) -> None:
        """Remove a workspace with everything in it, also what the kernel keeps for it. Raises OSError and LSMError."""
        name = workspace.name
        self._at_hand.discard(name)
        if self.volumes:
            self.volumes.discard(name)
        for directory in (self.data_dir / name, self.data_dir / STATE_DIR / _STAGING / name):
            try:
                remove_tree(directory)
            except ToolError as error:
                raise StorageError from error
        self._meters.pop(name, None)
        self._leaving.pop(name, None)
        self._quotas.pop(name, None)
        self._unfinished.pop(name, None)

    def shared(self, reader: Owner) -> Workspace:
        """The shared resources, read-only, as `reader` may read them: whoever owns the files, just as in a task."""
        owner = Owner(reader.uid, reader.gid, range(2**32))
        meter, parts = self._meters_of(SHARED, owner)
        return Workspace(SHARED, owner, True, self.data_dir, meter, parts, Unfinished(meter))

    def place(self, workspace: Workspace, path: Parts) -> tuple[Workspace, Parts]:
        """Where a client's path leads: "shared" and what is below it into the shared resources, else `workspace`."""
        return (self.shared(workspace.owner), path[1:]) if path[:1] == (SHARED,) else (workspace, path)

    def is_inside(self, name: str, text: str) -> bool:
        """Whether `text` names something in the workspace `name` or in shared/: see `validate.is_inside`."""
        if self.volumes:
            self.volumes.place(name)
        return validate.is_inside(self.data_dir, name, text)

    def _meters_of(self, name: str, owner: Owner) -> tuple[Meter, Meter]:
        """What counts, and what scans how it is shared out: the same where the kernel does not count."""
        if name in self._meters:
            return self._meters[name]
        volumes = self.volumes if name != SHARED else None

        def scan() -> Usage:
            place = (volumes.place(name) if volumes else None) or _plain_place(self.data_dir, name)
            try:
                root = _open(place.parent, place.name)
            except FileNotFoundError:  # it is not made yet
                return Usage()
            # A task that locks a directory must not hide from its quota what is in it.
            with closing(root), acting_as(owner, searching=True):
                found = measure(root)
            return self._with_trash(found, name, place.staging, owner) if name != SHARED else found

        parts = Meter(scan, self._scanner)
        if volumes is None:
            return self._meters.setdefault(name, (parts, parts))
        counted: list[Held] = []

        def count() -> Usage:
            held = volumes.held(name)
            if held is None:
                return scan()
            quota = self._quotas.get(name)
            short = min(_SHORT, quota().bytes // _SHORT_PART) if quota else 0
            if held.free_bytes < short and parts.known and parts.known.trash_files:
                staging = (volumes.place(name) or _plain_place(self.data_dir, name)).staging
                bins.purge(staging, owner, seconds=0)
                self._remove_soon(name, staging, owner)
                parts.touch()
            if [held] != counted:
                counted[:] = [held]
                parts.touch()
            return held.usage(parts.known or Usage())

        return self._meters.setdefault(name, (Meter(count, self._scanner), parts))

    def _remove_soon(self, name: str, staging: Path, owner: Owner) -> None:
        def remove() -> bool:
            is_left = bins.remove_leaving(staging, owner, _PIECE_S)
            if name in self._meters:
                self._meters[name][1].touch()
            return is_left

        self._emptier.add(name, remove)

    def _with_trash(self, found: Usage, name: str, staging: Path, owner: Owner) -> Usage:
        """The usage with what is in the trash, which goes for good where the quota has no room for it.

        What is leaving counts as the workspace's own as far as it has grown since: a task that stays in there and goes
        on writing is stopped for that, as anywhere else.
        """
        found_there = bins.count(staging, owner)
        trash, leaving = found_there.total, found_there.leaving
        known = self._leaving.pop(name, {})
        least = {one: known.get(one, now) for one, now in leaving.items()}
        left = {one: Amount(min(a.bytes, b.bytes), min(a.files, b.files)) for one, (a, b) in _pairs(least, leaving)}
        usage = replace(found, trash_bytes=trash.bytes, trash_files=trash.files)
        quota = self._quotas.get(name)
        if trash.files and quota and not (trash.complete and quota().holds_trash(usage)):
            bins.purge(staging, owner, seconds=0)
            usage, left = found, left | found_there.each
        if not left:
            return usage
        self._leaving[name] = left
        self._remove_soon(name, staging, owner)
        return replace(
            usage,
            bytes=usage.bytes + sum(max(0, now.bytes - before.bytes) for _, (before, now) in _pairs(least, leaving)),
            files=usage.files + sum(max(0, now.files - before.files) for _, (before, now) in _pairs(least, leaving)),
            complete=found.complete and all(now.complete or one not in known for one, now in leaving.items()),
        )


def _pairs(least: Mapping[str, Amount], now: Mapping[str, Amount]) -> list[tuple[str, tuple[Amount, Amount]]]:
    return [(one, (least[one], now[one])) for one in now]


def _plain_place(data_dir: Path, name: str) -> Place:
    return Place(data_dir, name, data_dir / STATE_DIR / _STAGING / name)


def _open(data_dir: Path, name: str) -> int:
    """A descriptor of a workspace's directory. Raises OSError."""
    with closing(os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as data:
        return beneath(data, name.encode(), DIRECTORY)
