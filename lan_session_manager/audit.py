"""The audit log: who did what, on which object, and whether it was let. Rows are only ever added.

What a client has said is cut and escaped before it gets here for good, so that it reads the same on the page, in a
terminal and in the file itself.
"""

import asyncio
import ipaddress
import logging
import threading
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from enum import StrEnum

from lan_session_manager.errors import LSMError
from lan_session_manager.store import Store
from lan_session_manager.store.records import NewAudit

_log = logging.getLogger(__name__)

LONGEST = 200  # characters of a client's text
_EACH_S = 0.5
_WINDOW_S = 60.0
_MOST = 5_000  # entries in memory, some 3 MB
_SOURCES = 1_000  # addresses that are counted by themselves in one minute
_LISTED_REFUSED = 20  # of one address in one minute
_LISTED_ALLOWED = 300
_LISTED_OF_ALL = 200  # refused ones of all addresses in one minute
_OTHERS = "several addresses"
_ADMIN = "admin"
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class AuditVerdict(StrEnum):
    """Whether somebody was let."""

    ALLOWED = "allowed"
    REFUSED = "refused"


@dataclass(frozen=True)
class Entry:
    """Something that somebody did, or tried to do."""

    at: float  # Unix time in seconds
    session_id: str | None  # whose request it was
    device_id: str | None  # that has proven itself
    address: str
    operation: str
    object: str  # what it was done to, as the client named it
    verdict: AuditVerdict
    role: str = ""  # as whom: "admin", "worker" or a device
    detail: str = ""  # why it was refused, or what else is to be known


def escaped(text: str, most: int = LONGEST) -> str:
    """The first `most` characters of a text on one line, with everything that a reader does not see as an escape.

    Controls, marks that change the direction, line ends and what is no character at all stand as \\u001b does; so does
    the backslash itself, as two. A text that was cut ends in "…".
    """
    shown = "".join(_shown(character) for character in text[:most])
    return f"{shown}…" if len(text) > most else shown


def _shown(character: str) -> str:
    if character == "\\":
        return r"\\"
    if unicodedata.category(character) not in _UNSEEN:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


@dataclass
class _Minute:
    """What one source did in this minute."""

    listed: int = 0
    more: int = 0
    last: Entry | None = None  # of those that are counted


class Audit:
    """Takes entries from any thread and has them written down, some at once.

    Nothing is without bound: of one address (IPv6: one /64) so many entries of a minute are written one by one, and
    all further ones as one row that says how many there were. Where the disk does not keep up or is full, entries wait
    in memory; when there are too many, those of the address that has the most waiting become a count, and nobody
    else's.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time, most: int = _MOST) -> None:
        self._store = store
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._waiting: dict[str, list[Entry]] = {}  # by source, each in order
        self._count = 0
        self._minute = 0.0
        self._minutes: dict[tuple[str, AuditVerdict], _Minute] = {}
        self._refused = 0  # listed in this minute
        self._missed: dict[str, _Minute] = {}  # by source, for want of room
        self._taken: list[NewAudit] = []  # and not on disk yet
        self._writing: Future[None] | None = None  # what has those written down

    def note(self, entry: Entry) -> None:
        """Have an entry written down. Never waits and never raises."""
        with self._lock:
            self._turn()
            source = _ADMIN if entry.role == _ADMIN else _source(entry.address)
            minute = self._minute_of(source, entry.verdict)
            is_refused = entry.verdict is AuditVerdict.REFUSED
            bound = _LISTED_REFUSED if is_refused else _LISTED_ALLOWED
            if source != _ADMIN and (minute.listed >= bound or (is_refused and self._refused >= _LISTED_OF_ALL)):
                minute.more += 1
                minute.last = entry
                return
            minute.listed += 1
            self._refused += is_refused
            self._keep(source, entry)

    def _minute_of(self, source: str, verdict: AuditVerdict) -> _Minute:
        key = (source, verdict)
        if key not in self._minutes and len(self._minutes) >= _SOURCES and source != _ADMIN:
            key = (_OTHERS, verdict)
        return self._minutes.setdefault(key, _Minute())

    def _turn(self) -> None:
        """Begin a new minute if it is time: what was counted in the last one becomes a row for each source."""
        now = self._clock()
        if abs(now - self._minute) < _WINDOW_S:
            return
        self._end_minute()
        self._minute = now

    def _end_minute(self) -> None:
        ended, self._minutes, self._refused = self._minutes, {}, 0
        for (source, _), minute in ended.items():
            if minute.more and minute.last:
                self._keep(source, _counted(source, minute, "in this minute"))

    def _keep(self, source: str, entry: Entry) -> None:
        self._waiting.setdefault(source, []).append(entry)
        self._count += 1
        if self._count > self._most:
            loudest = max(self._waiting, key=lambda each: len(self._waiting[each]))
            dropped = self._waiting[loudest].pop()
            if not self._waiting[loudest]:
                del self._waiting[loudest]
            self._count -= 1
            if loudest not in self._missed and len(self._missed) >= _SOURCES:
                loudest = _OTHERS
            missed = self._missed.setdefault(loudest, _Minute())
            missed.more += 1
            missed.last = dropped

    async def run(self) -> None:
        """Write down what there is, twice a second, until cancelled. Raises StorageError or BusyError as `flush`."""
        while True:
            await self.flush()
            await asyncio.sleep(_EACH_S)

    async def flush(self) -> None:
        """Write down what there is. Raises StorageError or BusyError: the next call tries the same again."""
        with self._lock:
            self._turn()
            if not self._taken:
                self._taken = [_row(entry) for entry in self._take()]
        rows = self._taken
        if not rows:
            return
        self._writing = self._writing or self._store.write(lambda tx: tx.note_audit(rows))
        try:
            # Who is cancelled here leaves it to the next call to see what became of it: no row is written twice.
            await asyncio.shield(asyncio.wrap_future(self._writing))
        except LSMError:
            self._writing = None
            raise
        self._taken, self._writing = [], None

    async def close(self) -> None:
        """Write down all that there is, counts too. Where that fails the server's own log says how much is lost."""
        try:
            await self.flush()  # what an earlier one could not write comes first
            with self._lock:
                self._end_minute()
            await self.flush()
        except LSMError:
            with self._lock:
                lost = self._count + len(self._taken)
            _log.exception("%d entries of the audit log could not be written down", lost)

    def _take(self) -> list[Entry]:
        entries = [entry for waiting in self._waiting.values() for entry in waiting]
        entries += [_counted(source, missed, "not written down") for source, missed in self._missed.items()]
        self._waiting, self._missed, self._count = {}, {}, 0
        return sorted(entries, key=lambda entry: entry.at)


def _counted(source: str, minute: _Minute, how: str) -> Entry:
    last = minute.last
    if last is None:
        raise LookupError("nothing was counted")
    address = last.address if source not in (_ADMIN, _OTHERS) else source
    return replace(
        last, session_id=None, device_id=None, address=address, object="", detail=f"and {minute.more} more {how}"
    )


def _source(address: str) -> str:
    """Who is counted as one: an address, of IPv6 the /64, since a device has as many of these as it wants."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:LONGEST]
    if found.version == 4 or found.is_link_local:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _row(entry: Entry) -> NewAudit:
    return NewAudit(
        at=entry.at,
        session_id=None if entry.session_id is None else escaped(entry.session_id),
        device_id=None if entry.device_id is None else escaped(entry.device_id),
        address=escaped(entry.address),
        role=escaped(entry.role),
        operation=escaped(entry.operation),
        object=escaped(entry.object),
        verdict=str(entry.verdict),
        detail=escaped(entry.detail),
    )
