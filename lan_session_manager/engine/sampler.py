"""Looks at what all running tasks use, once a second, and keeps it beside their logs.

All of them are looked at in one thread hop: a hop for each would cost the event loop more than the looks do.
"""

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lan_session_manager.samples import Counts, Now, Samples, Series

_log = logging.getLogger(__name__)

_LOOK_S = 1.0
_SAVE_S = 60.0  # what a server that dies has lost of a picture at the most
_FILE = "samples.json"


@dataclass(eq=False)
class _Sampled:
    directory: Path
    count: Callable[[], Counts | None]
    series: Series
    base_s: float  # how long the task ran when this server began to look
    begun: float  # by the monotonic clock: the host's may be set
    saved: float


class Sampler:
    """The samples of running tasks. `begin` and `end` from any thread; `run` in the event loop until cancelled."""

    def __init__(self) -> None:
        self._sampled: dict[str, _Sampled] = {}
        self._lock = threading.Lock()

    def begin(self, task_id: str, directory: Path, count: Callable[[], Counts | None], ran_s: float) -> None:
        """Look at a task that has run for `ran_s` seconds; what an earlier server has seen of it is gone on with.

        `count` gives None where nobody counts.
        """
        series = Series.from_kept(_load(directory))
        now = time.monotonic()
        with self._lock:
            self._sampled[task_id] = _Sampled(directory, count, series, max(ran_s, series.t_s), now, now)

    def end(self, task_id: str) -> None:
        """Keep what was seen of a task that has ended. Never raises."""
        with self._lock:
            sampled = self._sampled.pop(task_id, None)
        if sampled is not None:
            _save(sampled)

    def now(self) -> Mapping[str, Now]:
        """What each running task used when it was looked at last, by its id."""
        return {task_id: now for task_id, one in list(self._sampled.items()) if (now := one.series.now)}

    def samples(self, task_id: str, directory: Path) -> Samples:
        """What is known of a task, running or not; nothing if nobody looked. Blocks."""
        with self._lock:
            if sampled := self._sampled.get(task_id):
                return sampled.series.samples()
        return Series.from_kept(_load(directory)).samples()

    async def run(self, hop: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Look, once a second, until cancelled; `hop` has something done by a thread."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._sampled:
                try:
                    await hop(self.look)
                except Exception:  # noqa: BLE001 - a picture is missing a point; tasks are not to notice
                    _log.exception("what the tasks use could not be read")

    def look(self) -> None:
        """Look at every task once. Blocks shortly."""
        for sampled in list(self._sampled.values()):
            counts = sampled.count()
            now = time.monotonic()
            with self._lock:
                if counts is not None:
                    sampled.series.add(sampled.base_s + now - sampled.begun, counts)
                is_due = now - sampled.saved >= _SAVE_S and sampled in self._sampled.values()
                if is_due:
                    sampled.saved = now
                    _save(sampled)

    def save_all(self) -> None:
        """Keep what was seen of every running task, for the server that comes next. Blocks shortly."""
        with self._lock:
            for sampled in self._sampled.values():
                _save(sampled)


def _save(sampled: _Sampled) -> None:
    kept = sampled.series.kept()
    if not kept["points"]:
        return
    new = sampled.directory / f".{_FILE}.new"
    try:
        new.write_text(json.dumps(kept, separators=(",", ":")))
        new.replace(sampled.directory / _FILE)
    except OSError as error:
        _log.debug("what a task used is not kept: %s", error)


def _load(directory: Path) -> object:
    with contextlib.suppress(OSError, ValueError):
        return json.loads((directory / _FILE).read_bytes())
    return None
