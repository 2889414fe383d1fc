"""A workspace's usage without asking the disk each time, and the part of its quota that is promised to uploads.

One thread scans all workspaces: each only after it was touched, and then every 2 s at the most, or every 20 times what
its last scan took; one that may be past its quota sooner, every 5 times what its last scan took.
"""

import heapq
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from lan_session_manager.errors import LSMError, QuotaError, TooManyFilesError
from lan_session_manager.workspace.usage import Quota, Usage

_log = logging.getLogger(__name__)

_SHORTEST_S = 2.0
_BACKGROUND = 20  # a scan that nobody waits for takes a 20th of the time at most
_ASKED = 5  # a scan that somebody waits for, or that has to be soon: a 5th
_MB = 1024 * 1024


class Scanner:
    """The thread that scans; it lives while there is something to scan."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, int, Meter]] = []
        self._numbers = count()  # so that no two entries compare by their meters
        self._runs = False

    def add(self, meter: "Meter", due: float) -> None:
        """Scan that workspace once time.monotonic() is at `due`."""
        with self._changed:
            heapq.heappush(self._waiting, (due, next(self._numbers), meter))
            self._changed.notify()
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="workspace-usage", daemon=True).start()

    def _run(self) -> None:
        try:
            while (meter := self._next()) is not None:
                meter.scan_if_due()
        except BaseException:
            with self._changed:
                self._runs = False
            raise

    def _next(self) -> "Meter | None":
        with self._changed:
            while self._waiting:
                wait = self._waiting[0][0] - time.monotonic()
                if wait <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(wait)
            self._runs = False
            return None


class Meter:
    """The usage of one workspace. For use from any thread."""

    def __init__(self, measure: Callable[[], Usage], scanner: Scanner) -> None:
        self._measure = measure
        self._scanner = scanner
        self._lock = threading.Lock()
        self._scanning = threading.Lock()
        self._usage: Usage | None = None
        self._touched = False
        self._queued = False
        self._hurried = False
        self._ended = 0.0  # of the last scan, by time.monotonic()
        self._took = 0.0
        self._scans = 0  # begun so far
        self._promised = 0  # bytes
        self._promised_files = 0
        # (scans begun when they arrived, bytes, files): what no scan has surely seen
        self._arrived: list[tuple[int, int, int]] = []
        self._uploaded = (0, 0)  # bytes and files of all uploads that ever arrived

    @property
    def usage(self) -> Usage:
        """What the last scan found; nothing before the first one, which this asks for."""
        if self._usage is None:
            self.touch()
            return Usage()
        return self._usage

    @property
    def known(self) -> Usage | None:
        """What the last scan found: another object for each scan. None before the first one."""
        return self._usage

    @property
    def uploads(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Bytes and files of all uploads that ever arrived, and of those that are on their way."""
        with self._lock:
            return self._uploaded, (self._promised, self._promised_files)

    def touch(self) -> None:
        """Something has changed in the workspace: scan it when it is time."""
        with self._lock:
            self._touched = True
            if self._queued:
                return
            self._queued = True
            due = self._due_in_background()
        self._scanner.add(self, due)

    def hurry(self) -> None:
        """So much may have changed in the workspace that it should be scanned soon."""
        with self._lock:
            if self._hurried:
                return
            self._touched = self._queued = self._hurried = True
            due = self._due_in_background()
        self._scanner.add(self, due)

    def recent(self) -> Usage:
        """The usage with all that had changed when this was asked. May wait for a scan, and for the time to make it."""
        with self._lock:
            if self._usage is not None and not self._touched:
                return self._usage
            wait = self._due(_ASKED, 0) - time.monotonic()
        time.sleep(max(0.0, wait))
        return self.scan()

    def scan(self) -> Usage:
        """Scan now and wait for it. A workspace that cannot be looked at keeps the usage that it had."""
        with self._scanning:
            with self._lock:
                self._scans += 1
                self._touched = self._hurried = False
                scan = self._scans
            began = time.monotonic()
            try:
                found = self._measure()
            except (OSError, LSMError) as error:
                _log.info("the usage of a workspace could not be measured: %s", error)
                found = replace(self._usage or Usage())
            with self._lock:
                self._usage = found
                self._ended = time.monotonic()
                self._took = self._ended - began
                self._arrived = [arrived for arrived in self._arrived if arrived[0] >= scan]
            return found

    def scan_if_due(self) -> None:
        """What the scanner's thread does when it is time, unless a scan meanwhile made it needless or too early."""
        with self._lock:
            due = self._due_in_background()
            self._queued = early = self._touched and due > time.monotonic()
            touched = self._touched
        if early:
            self._scanner.add(self, due)
        elif touched:
            self.scan()

    def reserve(self, size: int, quota: Quota, files: int = 1) -> "Reservation":
        """Promise `size` bytes and so many files, directories among them, of what is free of the quota.

        Raises QuotaError, and TooManyFilesError. May wait for a scan.
        """
        self._take(size, files, quota)
        return Reservation(self, quota, size, files)

    def adopt(self, size: int, files: int) -> "Reservation":
        """As `reserve`, of what was promised by an earlier server already: it is not refused, and cannot grow."""
        with self._lock:
            self._promised += size
            self._promised_files += files
        return Reservation(self, Quota(0, 0), size, files)

    def _take(self, size: int, files: int, quota: Quota) -> None:
        if self._usage is None:
            self.scan()
        while True:
            with self._lock:
                usage = self._usage or Usage()
                spoken_for = self._promised + sum(size for _, size, _ in self._arrived)
                entries = usage.entries + self._promised_files + sum(files for _, _, files in self._arrived)
                has_bytes = usage.complete and usage.bytes + spoken_for + size <= quota.bytes
                if has_bytes and entries + files <= quota.files:
                    self._promised += size
                    self._promised_files += files
                    return
                stale = self._touched and time.monotonic() >= self._due(_ASKED, 0)
            if not stale:
                if has_bytes:
                    raise TooManyFilesError(quota_files=quota.files)
                raise QuotaError(quota_mb=quota.bytes // _MB)
            self.scan()

    def _due_in_background(self) -> float:
        return self._due(_ASKED, 0) if self._hurried else self._due(_BACKGROUND, _SHORTEST_S)

    def _due(self, share: int, shortest: float) -> float:
        return self._ended + max(shortest, share * self._took) if self._usage is not None else 0.0

    def _give_back(self, promised: int, files: int, arrived: int | None) -> None:
        with self._lock:
            self._promised -= promised
            self._promised_files -= files
            if arrived is not None:
                self._arrived.append((self._scans, arrived, files))
                self._uploaded = self._uploaded[0] + arrived, self._uploaded[1] + files
        if arrived is not None:
            self.touch()


class Reservation:
    """Files and bytes of a quota that are promised to one upload. One thread at a time settles or releases it."""

    def __init__(self, meter: Meter, quota: Quota, size: int, files: int) -> None:
        self._meter = meter
        self._quota = quota
        self._files = files
        self.size = size  # bytes

    def extend(self, size: int) -> None:
        """Promise `size` bytes more. Raises QuotaError; what was promised before stays."""
        self._meter._take(size, 0, self._quota)
        self.size += size

    def settle(self, written: int) -> None:
        """The upload is in its place with `written` bytes: they count until a scan has seen them."""
        self._meter._give_back(self.size, self._files, written)
        self.size = 0

    def release(self) -> None:
        """The upload is no more."""
        self._meter._give_back(self.size, self._files, None)
        self.size = 0
