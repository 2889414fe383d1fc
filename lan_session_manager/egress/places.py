"""Places that all sessions share, of which those that take what they can get leave some for who comes next."""

import asyncio
from collections import Counter

_SHARE = 4


class Places:
    """A number of places: a session gets another one as long as it has fewer than a quarter of those that are free.

    So one session alone has a fifth of them at the most, and each that comes a fifth of what the ones before have left:
    a bound that needs no figure for how many there are (dynamic thresholds: A. K. Choudhury, E. L. Hahne, 1998). For
    one event loop.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._taken: Counter[str] = Counter()
        self._waiting: list[asyncio.Future[None]] = []

    async def take(self, session: str) -> None:
        """Wait until there is a place for the session, and take it."""
        while self._taken[session] * _SHARE >= self._free:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        self._taken[session] += 1
        self._free -= 1

    def give(self, session: str) -> None:
        """Give a place back that the session has taken."""
        self._taken[session] -= 1
        if not self._taken[session]:
            del self._taken[session]
        self._free += 1
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)
