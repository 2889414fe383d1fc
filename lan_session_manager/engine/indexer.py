"""Has the logs of tasks counted before anybody asks where in them a byte or a line is.

A large log costs a second a gigabyte to count. So what a running task prints is counted now and then, in half of the
time of one thread, and what is left at its end right after that; what is known is kept beside the log. Small logs are
left alone: they are counted in milliseconds when somebody looks.
"""

import asyncio
import contextlib
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lan_session_manager.engine.readers import LogReaders

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
_MUCH = 16 * 1024 * 1024  # raw bytes that are worth it
_STEP = 8 * 1024 * 1024  # some ten milliseconds, for which who reads the log waits
_STEPS = 16  # for one log before the next has its turn
_REST = 1  # times as long as a step took is rested after it


class LogIndexer:
    """Counts logs by their paths. For one event loop; `close` at the end."""

    def __init__(self, readers: LogReaders) -> None:
        self._readers = readers
        self._pool = ThreadPoolExecutor(1, "index")
        self._running: set[Path] = set()
        self._ended: set[Path] = set()
        self._news = asyncio.Event()
        self._step = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None

    def begin(self, log: Path) -> None:
        """Count that log as it grows."""
        self._ended.discard(log)
        self._running.add(log)
        if self._work is None:
            self._work = asyncio.create_task(self._run())

    def end(self, log: Path) -> None:
        """It does not grow any more: count the rest."""
        if log in self._running:
            self._running.discard(log)
            self._ended.add(log)
            self._news.set()

    async def leave(self, log: Path) -> None:
        """Leave it alone, as it is going to be removed."""
        self._running.discard(log)
        self._ended.discard(log)
        async with self._step:
            pass

    async def close(self) -> None:
        """Stop; what is not counted yet is counted when somebody asks."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        await asyncio.to_thread(self._pool.shutdown)

    async def _run(self) -> None:
        while True:
            # Not wait_for: before Python 3.12 it may lose that this is cancelled.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()
            self._news.clear()
            for log in [*self._ended, *self._running]:
                if log not in self._running:
                    if _size(log) < _MUCH or await self._count(log):
                        self._ended.discard(log)
                elif _size(log) >= _MUCH:
                    await self._count(log)

    async def _count(self, log: Path) -> bool:
        """Whether all of it is counted now, or cannot be."""
        loop = asyncio.get_running_loop()
        for _ in range(_STEPS):
            begun = time.monotonic()
            async with self._step:
                if log not in self._running | self._ended:
                    return True
                work = loop.run_in_executor(self._pool, self._once, log)
                try:
                    left = await asyncio.shield(work)
                except asyncio.CancelledError:
                    await asyncio.wait([work])
                    raise
            if left < _MUCH:
                return True
            await asyncio.sleep(_REST * (time.monotonic() - begun))
        self._news.set()
        return False

    def _once(self, log: Path) -> int:
        try:
            return self._readers.index(log, _STEP, _MUCH)
        except OSError as error:
            _log.debug("the log in %s is not counted: %s", log.parent.name, error)
            return 0


def _size(log: Path) -> int:
    try:
        return os.stat(log).st_size
    except OSError:
        return 0
