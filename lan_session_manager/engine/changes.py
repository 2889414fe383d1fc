"""Hearing that a file, or one in a directory, has grown, without looking."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from lan_session_manager.engine.inotify import Change, Inotify


class FileChanges:
    """Sets events when files are written to. For one event loop; `close` at the end."""

    def __init__(self) -> None:
        self._inotify = Inotify(Change.MODIFIED | Change.MOVED_TO, self._hear)
        self._heard_by: defaultdict[int, set[asyncio.Event]] = defaultdict(set)

    @contextlib.contextmanager
    def watch(self, path: Path, event: asyncio.Event) -> Iterator[bool]:
        """Set `event` whenever the file at `path`, or one in the directory there, is written to, or gets a name there.

        Gives whether that works: not where there is nothing at `path`, nor past the kernel's bounds on watches.
        """
        watch = self._inotify.add(path)
        if watch is None:
            yield False
            return
        self._heard_by[watch].add(event)
        try:
            yield True
        finally:
            self._heard_by[watch].discard(event)
            if not self._heard_by[watch]:
                del self._heard_by[watch]
                self._inotify.remove(watch)

    def close(self) -> None:
        """Stop hearing."""
        self._inotify.close()

    def _hear(self) -> None:
        for notice in self._inotify.take():  # once: who writes without end must not keep the loop
            # Where something was lost, anybody may have missed it.
            heard_by = self._heard_by.values() if notice.watch is None else (self._heard_by.get(notice.watch, ()),)
            for events in heard_by:
                for event in events:
                    event.set()
