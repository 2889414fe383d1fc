"""A session's uploads that go on later, beyond a lost connection and a restarted server.

The bytes of each are a file of the staging directory that only grows, so that its length is where to go on; what is
known of the upload is a second file beside it, written before the first byte comes. An upload that has ended leaves the
second one alone for a while, which tells a client that did not get the last answer. Bytes of before a restart of the
machine may not all have reached the disk, whatever the length says: such an upload is given up.
"""

import json
import os
import stat
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from lan_session_manager.errors import LSMError, NotFoundError, TooManyUploadsError
from lan_session_manager.workspace.meter import Meter, Reservation
from lan_session_manager.workspace.opener import closing
from lan_session_manager.workspace.owner import Owner, acting_as
from lan_session_manager.workspace.paths import Parts, parse_new_path
from lan_session_manager.workspace.staging import FACTS, KEPT_S, PART, Staged

MOST = 16  # of a session at once
MOST_ENDED = 32  # that are remembered of a session
_LONGEST_FACTS = 64 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Facts:
    """What is known of an upload. `held_bytes` and `held_files` are promised to it of the quota."""

    id: str
    path: Parts
    size: int  # bytes
    overwrite: bool
    created_at: float  # Unix time
    held_bytes: int
    held_files: int
    boot_id: str


class Arriving:
    """One unfinished upload. What changes of it does so under `lock`; only `writer` may add to its bytes."""

    def __init__(self, facts: Facts, reservation: Reservation, offset: int, used_at: float) -> None:
        self.facts = facts
        self.reservation = reservation
        self.offset = offset  # bytes that are here
        self.used_at = used_at  # Unix time
        self.lock = threading.Lock()
        self.writer: object | None = None
        self.is_gone = False  # ended, or given up


class Unfinished:
    """All uploads of one workspace that go on later, and the last ones that ended. For use from any thread."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._lock = threading.Lock()
        self._place: tuple[Path, Owner] | None = None
        self._open: dict[str, Arriving] = {}
        self._ended: dict[str, Facts] = {}

    def load(self, staging: Path, owner: Owner) -> None:
        """Take over what earlier servers have left, the first time. Raises OSError."""
        with self._lock:
            if self._place is None:
                self._load(staging, owner)
            self._place = (staging, owner)

    def add(self, facts: Facts, reservation: Reservation, staging: Path, owner: Owner) -> None:
        """Begin an upload, without bytes yet. Raises TooManyUploadsError and OSError; nothing of it is left then."""
        with self._lock:
            if len(self._open) >= MOST:
                raise TooManyUploadsError(most=MOST)
            Staged(staging, owner, facts.id + PART).close()
            try:
                _write_facts(staging, owner, facts)
            except BaseException:
                _remove(staging, owner, facts.id, PART, FACTS)
                raise
            self._open[facts.id] = Arriving(facts, reservation, 0, time.time())

    def all(self) -> list[Arriving]:
        """Those that have not ended, oldest first."""
        with self._lock:
            return sorted(self._open.values(), key=lambda arriving: arriving.facts.created_at)

    def find(self, upload_id: str) -> Arriving | Facts:
        """An upload that goes on, or the facts of one that ended well a while ago. Raises NotFoundError."""
        with self._lock:
            found = self._open.get(upload_id) or self._ended.get(upload_id)
        if found is None:
            raise NotFoundError
        return found

    def end(self, arriving: Arriving) -> None:
        """It is in its place: only its facts stay for a while."""
        with self._lock:
            del self._open[arriving.facts.id]
            self._ended[arriving.facts.id] = arriving.facts
            over = [upload_id for upload_id, _ in zip(self._ended, range(len(self._ended) - MOST_ENDED), strict=False)]
            for upload_id in over:
                del self._ended[upload_id]
        self._remove(over, FACTS)

    def give_up(self, arriving: Arriving) -> None:
        """Leave nothing of it; what is writing to it is refused from now on."""
        with arriving.lock:
            if arriving.is_gone:
                return
            arriving.is_gone = True
            arriving.reservation.release()
        with self._lock:
            del self._open[arriving.facts.id]
        self._remove([arriving.facts.id], PART, FACTS)

    def expire(self) -> None:
        """Give up what nobody went on with for KEPT_S; forget what ended before that."""
        oldest = time.time() - KEPT_S
        for arriving in self.all():
            if arriving.used_at < oldest and arriving.writer is None:
                self.give_up(arriving)
        with self._lock:
            self._ended = {key: facts for key, facts in self._ended.items() if facts.created_at > oldest - KEPT_S}

    def _remove(self, upload_ids: list[str], *kinds: str) -> None:
        with self._lock:
            place = self._place
        if place is not None:
            for upload_id in upload_ids:
                _remove(*place, upload_id, *kinds)

    def _load(self, staging: Path, owner: Owner) -> None:
        try:
            opened = os.open(staging, _DIRECTORY)
        except FileNotFoundError:
            return
        now = time.time()
        with closing(opened) as fd, acting_as(owner):
            ids = [name.removesuffix(FACTS) for name in os.listdir(fd) if name.endswith(FACTS)]
            kept = [facts for upload_id in ids if (facts := _read_facts(fd, upload_id))]
            for facts in sorted(kept, key=lambda facts: facts.created_at):
                try:
                    info = os.stat(facts.id + PART, dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    self._ended[facts.id] = facts
                    continue
                fits = stat.S_ISREG(info.st_mode) and info.st_size <= facts.size and info.st_mtime > now - KEPT_S
                if fits and facts.boot_id == boot_id():
                    reservation = self._meter.adopt(facts.held_bytes, facts.held_files)
                    self._open[facts.id] = Arriving(facts, reservation, info.st_size, info.st_mtime)
                else:
                    _unlink(fd, facts.id, PART, FACTS)


@cache
def boot_id() -> str:
    """Which start of the machine this is."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _write_facts(staging: Path, owner: Owner, facts: Facts) -> None:
    staged = Staged(staging, owner, facts.id + FACTS)
    try:
        rest = memoryview(json.dumps(asdict(facts)).encode())
        with acting_as(owner):
            while rest:
                rest = rest[os.write(staged.fd, rest) :]
    finally:
        staged.close()


def _read_facts(directory: int, upload_id: str) -> Facts | None:
    """None for what a server that was killed has left half-written; it goes when it is old."""
    try:
        with closing(os.open(upload_id + FACTS, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)) as fd:
            known = json.loads(os.read(fd, _LONGEST_FACTS))
        facts = Facts(**{**known, "path": parse_new_path("/".join(known["path"]))})
    except (OSError, ValueError, TypeError, KeyError, LSMError):
        return None
    return facts if facts.id == upload_id else None


def _remove(staging: Path, owner: Owner, upload_id: str, *kinds: str) -> None:
    with suppress(FileNotFoundError), closing(os.open(staging, _DIRECTORY)) as fd, acting_as(owner):
        _unlink(fd, upload_id, *kinds)


def _unlink(directory: int, upload_id: str, *kinds: str) -> None:
    for kind in kinds:
        with suppress(FileNotFoundError):
            os.unlink(upload_id + kind, dir_fd=directory)
