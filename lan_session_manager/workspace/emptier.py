"""Removes what is leaving the bins of all workspaces, a piece of each in turn.

In a thread of its own: a task that stays in what was deleted, and writes there, may keep this from ever being done with
it, and must not keep the thread that scans.
"""

import logging
import threading
import time
from collections.abc import Callable

from lan_session_manager.errors import LSMError

_log = logging.getLogger(__name__)

_PAUSE_S = 0.25  # between two pieces: the disk is for others as well


class Emptier:
    """The thread that removes; it lives while there is something to remove. For use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Callable[[], bool]] = {}
        self._runs = False

    def add(self, name: str, piece: Callable[[], bool]) -> None:
        """Do the work for the workspace `name`, for which `piece` is called until it gives False."""
        with self._lock:
            self._waiting.setdefault(name, piece)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="workspace-emptying", daemon=True).start()

    def _run(self) -> None:
        while (found := self._next()) is not None:
            name, piece = found
            try:
                is_left = piece()
            except (OSError, LSMError) as error:  # the next scan asks for it again
                _log.info("what is leaving a workspace could not be removed: %s", error)
                continue
            if is_left:
                self.add(name, piece)
                time.sleep(_PAUSE_S)

    def _next(self) -> tuple[str, Callable[[], bool]] | None:
        with self._lock:
            if not self._waiting:
                self._runs = False
                return None
            name = next(iter(self._waiting))
            return name, self._waiting.pop(name)
