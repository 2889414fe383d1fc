"""A log that no client can fill: of lines of one kind so many in a minute, and then how many there were."""

import logging
import threading
import time
from collections.abc import Callable

_WINDOW_S = 60.0
_MOST = 20  # lines of one kind in one minute
_KINDS = 1_000


class Repeats(logging.Filter):
    """Lets of each message, whatever it is filled in with, `most` through in a minute.

    The first one of a later minute says how many were left out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = _MOST) -> None:
        super().__init__()
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}  # by kind: when its minute began, lines since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        now, kind = self._clock(), (record.name, str(record.msg))
        with self._lock:
            began, count = self._seen.get(kind, (now, 0))
            left_out = 0
            if now - began >= _WINDOW_S:
                left_out = max(0, count - self._most)
                began, count = now, 0
            if kind not in self._seen and len(self._seen) >= _KINDS:
                self._seen.clear()  # messages are the program's own: there are not so many of them
            self._seen[kind] = began, count + 1
        if left_out:
            record.msg = f"{record.msg} (and {left_out} more like this before)"
        return count < self._most
