"""Ending a server only once no task runs any more, if its owner wishes that (`--drain`)."""

import asyncio
import logging
import threading
from collections.abc import Callable

from lan_session_manager.activity import Activity
from lan_session_manager.dispatcher import Dispatcher

_log = logging.getLogger(__name__)

_LOOK_S = 0.2


class Drain:
    """From its beginning on nothing is started; when the last running task has ended, so does the server."""

    def __init__(self, *, is_wanted: bool = False) -> None:
        """`is_wanted` False: there is none, and a server ends at once."""
        self._is_wanted = is_wanted
        self._begun = threading.Event()
        self._end: Callable[[], None] = lambda: None

    @property
    def has_begun(self) -> bool:
        """Whether nothing is to be started any more."""
        return self._begun.is_set()

    def begin(self, end: Callable[[], None]) -> bool:
        """Begin, and call `end` on the event loop when nothing runs; False: there is none, or it has begun before.

        For a handler of a signal, which may come at any moment.
        """
        if not self._is_wanted or self._begun.is_set():
            return False
        self._end = end
        self._begun.set()
        return True

    async def run(self, dispatcher: Dispatcher, activity: Activity) -> None:
        """Wait until it begins, and then until nothing runs."""
        while not self._begun.is_set():  # noqa: ASYNC110 - an event of asyncio is not for handlers of signals
            await asyncio.sleep(_LOOK_S)
        _log.warning(
            "The server ends once the %d running tasks have; new ones wait for the next start.", dispatcher.busy
        )
        dispatcher.hold()
        activity.is_draining = True
        while not dispatcher.is_done:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_LOOK_S)
        self._end()
