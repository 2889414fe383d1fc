"""The logs that are being read, each with what its reader has learnt of it."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from lan_session_manager.logs import LogFile, LogPiece

_T = TypeVar("_T")

_KEPT = 64  # logs; a reader that comes back to another one starts its search anew
_LATELY_S = 10.0
_SAVED = 32 * 1024 * 1024


@dataclass(eq=False)
class _Reader:
    log: LogFile
    turn: threading.Lock
    used_at: float = float("-inf")  # of the monotonic clock
    indexed: int = 0  # bytes since the index was kept


class LogReaders:
    """Reads logs by their path. For calls from any thread; those about one log take turns.

    `bound` gives from how many bytes on the log of an earlier version at a path is full: see `LogFile`.
    """

    def __init__(self, bound: Callable[[Path], int]) -> None:
        self._bound = bound
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, _Reader] = OrderedDict()

    def read(self, path: Path, after: int, limit: int) -> list[LogPiece]:
        """What follows byte `after`, as `LogFile.read`."""
        reader = self._reader(path)
        with reader.turn:
            return reader.log.read(after, limit)

    def size(self, path: Path) -> int:
        """How many bytes there are, as `LogFile.size`."""
        reader = self._reader(path)
        with reader.turn:
            return reader.log.size()

    def use(self, path: Path, call: Callable[[LogFile], _T]) -> _T:
        """What the call gives, which has the log for itself meanwhile."""
        reader = self._reader(path)
        with reader.turn:
            return call(reader.log)

    def index(self, path: Path, step: int, enough: int) -> int:
        """Count about `step` bytes of a log that nobody has seen; gives how many are unseen then.

        What is known is kept once fewer than `enough` are, or now and then before. Raises OSError.
        """
        reader = self._reader(path, is_used=False)
        with reader.turn:
            left = reader.log.advance(step)
            reader.indexed += step
            if left < enough or reader.indexed >= _SAVED:
                reader.indexed = 0
                reader.log.save()
            return left

    def is_read(self, path: Path) -> bool:
        """Whether somebody has read the log a moment ago."""
        with self._lock:
            reader = self._kept.get(path)
            return reader is not None and time.monotonic() - reader.used_at < _LATELY_S

    def _reader(self, path: Path, *, is_used: bool = True) -> _Reader:
        with self._lock:
            new = _Reader(LogFile(path, partial(self._bound, path)), threading.Lock())
            reader = self._kept.setdefault(path, new)
            if is_used:
                reader.used_at = time.monotonic()
            self._kept.move_to_end(path)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            return reader
