"""Keeps each session's files within its quota while tasks write them, and a part of the disk free for the host.

A task that starts in a full workspace may delete files and not write any, so that a task can make room and one that
writes cannot fill the disk a bit more with every try. While tasks run, the disk's free space, which costs nothing to
ask for, tells when a scan may find a session past its quota.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lan_session_manager.engine.base import Engine
from lan_session_manager.growth import Amount, Ledger, Most
from lan_session_manager.sessions import Sessions
from lan_session_manager.settings import MB
from lan_session_manager.states import Reason
from lan_session_manager.store.records import SessionRecord
from lan_session_manager.workspace import Quota, Usage, Workspace

_log = logging.getLogger(__name__)

_LOOK_S = 0.025  # a look takes 10 to 20 µs with one or two sessions
_UNLINKED_EVERY = 40  # looks; to find what a task holds open without a name costs more than the others
_NOISE, _NOISE_FILES = MB, 100  # the server's own writing does not make a scan urgent
_BEYOND = 1 << 62  # more than any disk has
_STEP = 32  # this part of the reserve goes before the next session is stopped for it
_FAR = 1024 * MB  # what a session may hold beyond twice its quota, and still start tasks that delete

_FULL = "The workspace was full when the task started: it could delete files, and not write any."
_NO_DISK = "The server's disk was nearly full when the task started: it could delete files, and not write any."
_FAR_BEYOND = "The workspace holds far more than it may. Delete files on the page, then run the task again."
_TOO_MUCH = "The session's files took {used} MB in {files} files; it may have {quota} MB in {most}."
_UNCOUNTED = "The session has more files than can be counted."
_ADDED = "The task added {bytes} MB in {files} files to the workspace; it may add {most}."
_GREW_MOST = "The server's disk was nearly full, and the files of this session had grown the most."


@dataclass(frozen=True)
class Holding:
    """What a session holds on the disk while tasks of it run; `before` has what it held when each task started."""

    usage: Usage
    quota: Quota
    before: Mapping[str, Usage]
    over: Mapping[str, str] = field(default_factory=dict)  # tasks that added more than they may, with that in words

    @property
    def grown(self) -> int:
        """Bytes since the first of the tasks started."""
        return self.usage.bytes - min((before.bytes for before in self.before.values()), default=self.usage.bytes)


@dataclass(frozen=True)
class Start:
    """Whether a task may start, whether it may write files then, and what its owner is told if that was its end."""

    allowed: bool = True
    writes: bool = True
    note: str = ""


def may_start(usage: Usage, quota: Quota, free: int, reserve: int) -> Start:
    """How a task of a session that holds `usage` starts on a disk with `free` bytes, of which `reserve` should stay."""
    if not usage.complete or usage.bytes > 2 * quota.bytes + _FAR or usage.entries > 2 * quota.files:
        return Start(allowed=False, writes=False, note=_FAR_BEYOND)
    if not quota.holds(usage):
        return Start(writes=False, note=_FULL)
    if free < reserve:
        return Start(writes=False, note=_NO_DISK)
    return Start()


def to_stop(holdings: Iterable[Holding], free: int, enough: int) -> dict[str, str]:
    """The tasks that are stopped, each with the reason in words.

    Every task that added more than it may itself. In a session past its quota: every task since whose start the session
    has grown. On a disk with less than `enough` bytes free: every task of the session that has grown most, if one has,
    and of no other.
    """
    holdings = list(holdings)
    stopped: dict[str, str] = {}
    if free < enough and holdings:
        most = max(holdings, key=lambda holding: holding.grown)
        if most.grown > 0:  # else others fill the disk, and the end of no task would make room
            stopped.update(dict.fromkeys(most.before, _GREW_MOST))
    for holding in holdings:
        stopped.update(holding.over)
        usage, quota = holding.usage, holding.quota
        if quota.holds(usage):
            continue
        why = _UNCOUNTED
        if usage.complete:
            why = _TOO_MUCH.format(
                used=-(-usage.bytes // MB), files=usage.entries, quota=quota.bytes // MB, most=quota.files
            )
        for task_id, before in holding.before.items():
            if not usage.complete or usage.bytes > before.bytes or usage.entries > before.entries:
                stopped[task_id] = why
    return stopped


def _in_words(added: Amount, most: Most) -> str:
    size, files = most
    parts = [f"{size // MB} MB"] if size is not None else []
    parts += [f"{files} files"] if files is not None else []
    return _ADDED.format(bytes=max(0, -(-added[0] // MB)), files=max(0, added[1]), most=" and ".join(parts))


@dataclass
class _Task:
    """A task that is watched; `before` is None until the first scan of one that was adopted."""

    session_id: str
    before: Usage | None
    most: Most
    unlinked: int | None = 0  # bytes; None: too many files are open to be counted
    stopped: str = ""
    kept: Amount | None = None


@dataclass
class _Session:
    """A session with watched tasks: its last scan, and the free space and inodes of the disk before that."""

    workspace: Workspace
    quota: Quota
    ledger: Ledger
    usage: Usage | None = None
    free: int = 0
    inodes: int = 0


class DiskWatch:
    """Watches what the running tasks of all sessions write below `data_dir`. For one event loop."""

    def __init__(self, data_dir: Path, sessions: Sessions, engine: Engine, reserve: int) -> None:
        """`reserve` is how many bytes of the disk should stay free."""
        self._data_dir = data_dir
        self._sessions = sessions
        self._engine = engine
        self._reserve = reserve
        self._enough = reserve
        self._tasks: dict[str, _Task] = {}
        self._watched: dict[str, _Session] = {}
        self._last = (0, 0)
        self._looks = 0
        self._keep: Callable[[str, Amount], None] = lambda *_: None

    def listen(self, keep: Callable[[str, Amount], None]) -> None:
        """Have `keep` called with a task's id and `base` whenever that changes: what `adopt` is to be given later."""
        self._keep = keep

    def base(self, task_id: str) -> Amount | None:
        """See `growth.Ledger.base`; None for a task that is not watched or that has no such limit."""
        task = self._tasks.get(task_id)
        if task is None or task.most == (None, None):
            return None
        return self._watched[task.session_id].ledger.base(task_id)

    async def begin(self, task_id: str, session: SessionRecord, most: Most = (None, None)) -> Start:
        """Watch a task that is about to start, and say how it may. May wait for a scan of the workspace.

        `most` is what the task may add, in bytes and files.
        """
        watched = self._watch(session)
        usage = watched.workspace.meter.known
        if usage is None or not watched.quota.holds(usage) or most != (None, None):
            usage = await asyncio.to_thread(watched.workspace.meter.recent)
            watched = self._watch(session)  # again: it may have been let go of meanwhile
        start = may_start(usage, watched.quota, self._free()[0], self._reserve)
        if start.allowed:
            self._tasks[task_id] = _Task(session.id, usage, most)
            watched.ledger.begin(task_id, most, (usage.bytes, usage.entries))
        else:
            self._forget_idle()
        return start

    def adopt(
        self, task_id: str, session: SessionRecord, most: Most = (None, None), base: Amount | None = None
    ) -> None:
        """Watch a task that an earlier server started, and of which it had kept that `base`."""
        watched = self._watch(session)
        self._tasks[task_id] = _Task(session.id, None, most)
        watched.ledger.begin(task_id, most, base)

    def end(self, task_id: str) -> str:
        """Watch a task no more; gives why it was stopped, in words, if it was."""
        task = self._tasks.pop(task_id, None)
        if task and (watched := self._watched.get(task.session_id)):
            watched.ledger.end(task_id)
        self._forget_idle()
        return task.stopped if task else ""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Look once at what is watched, and stop what has to be stopped."""
        if not self._tasks:
            return
        free, inodes = self._free()
        urgent = [self._look_at(session_id, free, inodes) for session_id in self._watched]
        self._last = free, inodes
        self._looks += 1
        if any(urgent) or self._looks % _UNLINKED_EVERY == 0:
            await self._find_unlinked()
        if free >= self._reserve:
            self._enough = self._reserve
        for task_id, why in to_stop(self._holdings(), free, self._enough).items():
            self._tasks[task_id].stopped = why
            _log.info("task %s is stopped: %s", task_id, why)
        if any(task.stopped == _GREW_MOST for task in self._tasks.values()):
            # Until they have ended, and from then on, only what falls further needs another stop.
            self._enough = free - self._reserve // _STEP
        # Again at every look: a task that was not yet started when it was stopped has not heard of it.
        for task_id in [task_id for task_id, task in self._tasks.items() if task.stopped]:
            await self._engine.cancel(task_id, Reason.DISK_QUOTA)

    def _look_at(self, session_id: str, free: int, inodes: int) -> bool:
        """Have a session scanned: soon, and True, if so much was written that it may be past its quota."""
        watched = self._watched[session_id]
        meter = watched.workspace.meter
        meter.touch()
        usage = meter.known
        if usage is None:
            return False
        if usage is not watched.usage:
            watched.usage = usage
            watched.free, watched.inodes = self._last  # of before the scan: what was written during it may not be in it
            if usage.complete:
                watched.ledger.scanned((usage.bytes, usage.entries), meter.uploads[0])
            for task in self._tasks.values():
                if task.session_id == session_id and task.before is None:
                    task.before = usage
            self._keep_bases(session_id)
        own_room, own_files = watched.ledger.room()
        room = min(watched.quota.bytes - usage.bytes, _BEYOND if own_room is None else own_room)
        files = min(watched.quota.files - usage.entries, _BEYOND if own_files is None else own_files)
        if free < 2 * self._reserve:
            room = 0  # who has grown most has to be known by the time when the reserve is reached
        urgent = watched.free - free > max(room, _NOISE) or watched.inodes - inodes > max(files, _NOISE_FILES)
        if urgent:
            meter.hurry()
        return urgent

    def _keep_bases(self, session_id: str) -> None:
        for task_id, task in self._tasks.items():
            if task.session_id == session_id and (base := self.base(task_id)) not in (None, task.kept):
                task.kept = base
                self._keep(task_id, base)

    async def _find_unlinked(self) -> None:
        for task_id, task in list(self._tasks.items()):
            watched = self._watched.get(task.session_id)
            if watched and watched.workspace.held() is None:  # else the kernel counts them as well
                task.unlinked = await self._engine.unlinked_bytes(task_id)

    def _holdings(self) -> list[Holding]:
        found = []
        for session_id, watched in self._watched.items():
            tasks = {key: task for key, task in self._tasks.items() if task.session_id == session_id}
            before = {key: task.before for key, task in tasks.items() if task.before is not None and not task.stopped}
            if watched.usage is None or not before:
                continue
            unlinked = [task.unlinked for task in tasks.values()]
            usage = replace(
                watched.usage,
                bytes=watched.usage.bytes + sum(size or 0 for size in unlinked),
                complete=watched.usage.complete and None not in unlinked,
            )
            hidden = {key: task.unlinked or 0 for key, task in tasks.items()}
            over = watched.ledger.over(hidden, watched.workspace.meter.uploads[1])
            words = {key: _in_words(added, tasks[key].most) for key, added in over.items() if key in before}
            found.append(Holding(usage, watched.quota, before, words))
        return found

    def _watch(self, session: SessionRecord) -> _Session:
        watched = self._watched.get(session.id)
        if watched is None:
            self._last = self._free()
            workspace = self._sessions.workspace(session)
            uploaded, usage = workspace.meter.uploads[0], workspace.meter.known
            ledger = Ledger((usage.bytes, usage.entries) if usage else None, uploaded)
            watched = self._watched[session.id] = _Session(workspace, Quota(0, 0), ledger)
        watched.quota = watched.workspace.watched(self._sessions.quota(session))
        return watched

    def _forget_idle(self) -> None:
        busy = {task.session_id for task in self._tasks.values()}
        self._watched = {key: watched for key, watched in self._watched.items() if key in busy}

    def _free(self) -> tuple[int, int]:
        """Bytes and inodes that are free on the disk."""
        disk = os.statvfs(self._data_dir)
        return disk.f_bavail * disk.f_frsize, disk.f_favail
