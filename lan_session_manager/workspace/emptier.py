"""Removes what is leaving the bins of all workspaces, a piece of each in turn.

In a thread of its own: a task that stays in what was deleted, and writes there, may keep this from ever being done with
it, and must not keep the thread that scans.
"""

import logging
import threading
from collections.abc import Callable

from lan_session_manager.errors import LSMError

_log = logging.getLogger(__name__)


class Emptier:
    """The thread that removes; it lives while there is something to remove. For use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, Callable[[], object]] = {}
        self._runs = False

    def add(self, name: str, piece: Callable[[], object]) -> None:
        """Do a piece of the work for the workspace `name`, unless that waits for its turn already."""
        with self._lock:
            self._waiting.setdefault(name, piece)
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._run, name="workspace-emptying", daemon=True).start()

    def _run(self) -> None:
        while (piece := self._next()) is not None:
            try:
                piece()
            except (OSError, LSMError) as error:  # the next scan asks for it again
                _log.info("what is leaving a workspace could not be removed: %s", error)

    def _next(self) -> Callable[[], object] | None:
        with self._lock:
            if not self._waiting:
                self._runs = False
                return None
            return self._waiting.pop(next(iter(self._waiting)))
