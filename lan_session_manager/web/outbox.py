"""What waits to be sent to one client: bounded in messages and bytes, so that a slow reader costs only itself."""

import asyncio
from collections import deque

MOST_MESSAGES = 2_000
MOST_BYTES = 4 * 1024 * 1024
ROOM_BYTES = 256 * 1024  # a log waits until no more than this is on its way


class Outbox:
    """The messages of one client, in order. For use on the event loop."""

    def __init__(self) -> None:
        self._messages: deque[str] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def put(self, message: str) -> bool:
        """Add a message. False: the client is too slow, nothing was added. The next to be sent may have any size."""
        behind = self._bytes - len(self._messages[0]) + len(message) if self._messages else 0
        if len(self._messages) >= MOST_MESSAGES or behind > MOST_BYTES:
            return False
        self._messages.append(message)
        self._bytes += len(message)
        self._filled.set()
        if self._bytes > ROOM_BYTES:
            self._room.clear()
        return True

    async def get(self) -> str:
        """The next message, when there is one."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        message = self._messages.popleft()
        self._bytes -= len(message)
        if self._bytes <= ROOM_BYTES:
            self._room.set()
        return message

    async def room(self) -> None:
        """Wait until little is on its way."""
        await self._room.wait()
