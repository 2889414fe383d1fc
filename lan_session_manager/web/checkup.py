"""The doctor's look at this machine while the server serves: in a thread, one at a time, and kept."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from lan_session_manager.doctor.examine import examine
from lan_session_manager.doctor.findings import Finding

_log = logging.getLogger(__name__)

AGAIN_S = 30.0  # a look runs real boxes: not more often than this
_PORT = 5000


class Checkup:
    """What the doctor found last. For use on the event loop."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._steady_at = -AGAIN_S
        self._running: asyncio.Task[None] | None = None
        self.findings: Sequence[Finding] | None = None  # None: nobody has looked yet
        self.at: float | None = None  # Unix time in seconds, of the last look's end
        self.failed = False  # the last look came to no end

    @property
    def is_running(self) -> bool:
        """Whether the doctor looks now."""
        return self._running is not None and not self._running.done()

    @property
    def wait_s(self) -> float:
        """In how many seconds the doctor looks again if asked to; 0: now."""
        return max(0.0, self._steady_at + AGAIN_S - time.monotonic())

    def begin(self, data_dir: Path, url: str) -> bool:
        """Have the doctor look, unless it does so now or did a moment ago; gives whether it looks now."""
        if not self.is_running and not self.wait_s:
            port = urlsplit(url).port or _PORT
            self._running = asyncio.create_task(self._look(data_dir, port), name="doctor")
        return self.is_running

    async def _look(self, data_dir: Path, port: int) -> None:
        try:
            self.findings = await asyncio.to_thread(examine, data_dir, port)
            self.failed = False
        except Exception:  # noqa: BLE001 - a fault of the doctor is none of the server's
            _log.exception("the doctor could not look")
            self.failed = True
        self.at, self._steady_at = self._clock(), time.monotonic()
