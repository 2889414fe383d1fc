"""The feed: every event row, once and in order, soon after it was committed by this process or by another one."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from lan_session_manager.errors import LSMError
from lan_session_manager.store import Store
from lan_session_manager.store.records import EventRecord

_log = logging.getLogger(__name__)

_POLL_S = 0.1  # how late at most a commit of another process is seen
_AT_ONCE = 500

Listener = Callable[[Sequence[EventRecord]], None]


class Feed:
    """Hands new events to its listeners, on the event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: list[Listener] = []
        self._committed = asyncio.Event()
        self._news = asyncio.Event()
        self.last_id = store.read.last_event_id()

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each batch of new events; it must be quick, and what it raises is logged."""
        self._listeners.append(listener)

    def news(self) -> asyncio.Event:
        """An event that is set when something has happened after this call, and its listeners have heard of it."""
        return self._news

    async def run(self) -> None:
        """Hand out events until cancelled."""
        loop = asyncio.get_running_loop()
        self._store.on_commit(lambda: _tell(loop, self._committed))
        version = None
        while True:
            try:
                async with asyncio.timeout(_POLL_S):
                    await self._committed.wait()
            except TimeoutError:
                pass
            self._committed.clear()
            try:
                if (now := self._store.version()) != version:
                    self._hand_out()
                    version = now
            except LSMError:
                _log.exception("the events could not be read")

    def _hand_out(self) -> None:
        while events := self._store.read.events_after(self.last_id, _AT_ONCE):
            self.last_id = events[-1].id
            for listener in self._listeners:
                try:
                    listener(events)
                except Exception:  # noqa: BLE001 - one listener's fault is not the others'
                    _log.exception("a listener of the feed failed")
            self._news.set()
            self._news = asyncio.Event()


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(event.set)
    except RuntimeError:  # the loop has ended; the writer has one more batch
        _log.debug("a commit came after the end of the loop")
