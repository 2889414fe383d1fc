"""A log on its way to one open dashboard, as fast as that one reads."""

import asyncio
from contextlib import aclosing

from lan_session_manager.logs import LogText
from lan_session_manager.web.follow import follow_log
from lan_session_manager.web.live import Client
from lan_session_manager.web.services import Services

_LOOK_BYTES = 128 * 1024  # sent between two looks at how far the end is
_FAR_BYTES = 1024 * 1024
_TAIL_BYTES = 32 * 1024  # what is sent of a log's end that runs away
_REST_S = 0.1  # before the next such piece: nobody reads faster


class LogStream:
    """The log of a task for one client. With `skip` what it would be far behind with is passed over, and it is told so.

    Without, it gets every byte, and the outbox bounds what waits for it.
    """

    def __init__(self, services: Services, client: Client, task_id: str, *, skip: bool) -> None:
        self._services = services
        self._client = client
        self._task_id = task_id
        self._skip = skip

    async def run(self, after: int) -> None:
        """Send all from byte `after` on until the task has ended; a negative one is so many bytes before the end."""
        if after < 0:
            after = await self._services.engine.log_start(self._task_id, -after)
        while True:
            at = await self._send(after)
            if at is None:
                return
            after = await self._services.engine.log_start(self._task_id, _TAIL_BYTES)
            self._client.send(event="log_skipped", task_id=self._task_id, after=at, next=after)
            await asyncio.sleep(_REST_S)

    async def _send(self, after: int) -> int | None:
        """Send from there on; the byte at which it stops for being far behind, or None after the end."""
        text, end, client = LogText(after), after, self._client
        look_at = after + _LOOK_BYTES
        async with aclosing(follow_log(self._services, self._task_id, text.start)) as pieces:
            async for piece in pieces:
                end = max(end, piece.next)
                ready = text.feed(piece)
                if ready is None:
                    continue
                await client.outbox.room()
                client.send(event="log", task_id=self._task_id, **vars(ready))
                if self._skip and ready.next >= look_at:
                    look_at = ready.next + _LOOK_BYTES
                    if await self._services.engine.log_size(self._task_id) - ready.next > _FAR_BYTES:
                        return ready.next
        for ready in text.finish():
            client.send(event="log", task_id=self._task_id, **vars(ready))
        client.send(event="log_end", task_id=self._task_id, next=end)
        return None
