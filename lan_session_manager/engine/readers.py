"""The logs that are being read, each with what its reader has learnt of it."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from lan_session_manager.logs import LogFile, LogPiece

_KEPT = 64  # logs; a reader that comes back to another one starts its search anew


class LogReaders:
    """Reads logs by their path. For calls from any thread; those about one log take turns.

    `bound` gives from how many bytes on the log at a path is full: see `LogFile`.
    """

    def __init__(self, bound: Callable[[Path], int]) -> None:
        self._bound = bound
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, tuple[LogFile, threading.Lock]] = OrderedDict()

    def read(self, path: Path, after: int, limit: int) -> list[LogPiece]:
        """What follows byte `after`, as `LogFile.read`."""
        log, turn = self._reader(path)
        with turn:
            return log.read(after, limit)

    def size(self, path: Path) -> int:
        """How many bytes there are, as `LogFile.size`."""
        log, turn = self._reader(path)
        with turn:
            return log.size()

    def _reader(self, path: Path) -> tuple[LogFile, threading.Lock]:
        with self._lock:
            reader = self._kept.setdefault(path, (LogFile(path, partial(self._bound, path)), threading.Lock()))
            self._kept.move_to_end(path)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return reader
