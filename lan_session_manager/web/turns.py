"""Whose turn it is: one client that asks for very much at once waits for itself, and the others come in between.

Rates bound what a client may ask for in a minute. What it may have done at one time is bounded here: else two hundred
requests that come together are worked off before the next client's one.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import ParamSpec, TypeVar
from weakref import WeakValueDictionary

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 2  # of one session at once; Python's default pool has four and one for each processor


class Turns:
    """Of the requests with one key, one begins in each round of the event loop. For use on the event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def wait(self, key: str) -> None:
        """Wait until one more with that key may begin; who comes alone does not wait."""
        waiting = self._waiting.get(key)
        loop = asyncio.get_running_loop()
        if waiting is None:
            self._waiting[key] = deque()
            loop.call_soon(self._next, key)
            return
        turn = loop.create_future()
        waiting.append(turn)
        await turn

    def _next(self, key: str) -> None:
        waiting = self._waiting[key]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():  # else who waited has gone
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._next, key)
                return
        del self._waiting[key]


class Alternating:
    """Work of which one piece is done at a time, and of each key one after the other. For use on the event loop.

    Who waits with one key waits once in everybody's line, however much they ask for.
    """

    def __init__(self) -> None:
        self._all = asyncio.Lock()
        self._own: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Wait for the turn of `key`, and have it."""
        own = self._own.get(key)
        if own is None:
            own = self._own[key] = asyncio.Lock()
        async with own, self._all:
            yield


class Threads:
    """Calls that wait for the disk, made in threads of which each session has a few at once. For use on the event loop.

    The pool is everybody's: without this, the scans and archives of one session would be all that it does.
    """

    def __init__(self) -> None:
        self._shares: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, session_id: str, call: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """What the call gives, or raises."""
        share = self._shares.get(session_id)
        if share is None:
            share = self._shares[session_id] = asyncio.Semaphore(_THREADS)
        async with share:
            return await asyncio.to_thread(call, *args, **options)
