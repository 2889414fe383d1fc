"""A task's log from its first byte, or any other, to its last: from before it starts until it has ended."""

import asyncio
from collections.abc import AsyncGenerator

from lan_session_manager.logs import LogPiece
from lan_session_manager.runners import SANDBOXED
from lan_session_manager.states import TaskState
from lan_session_manager.web.services import Services

_SOON_S = 0.02
_WORKER_S = 0.25


async def follow_log(services: Services, task_id: str, after: int) -> AsyncGenerator[LogPiece, None]:
    """The pieces of the log from byte `after` on as they come, until the task has ended or is deleted."""
    read = services.manager.store.read
    while True:
        news = services.feed.news()
        task = read.task(task_id)
        if task is None or task.state is not TaskState.QUEUED:
            async for piece in services.engine.follow(task_id, after):
                after = piece.next
                yield piece
        # The end is looked at before the log is read to its end: nothing can be added in between.
        if task is None or task.state.ended:
            return
        if task.state is TaskState.RUNNING and task.worker is not None:
            await asyncio.sleep(_WORKER_S)  # what it prints comes when it sends it
        elif task.state is TaskState.QUEUED or task.runner not in SANDBOXED:
            await news.wait()
        else:  # its box is being made, or its end is being written down
            await asyncio.sleep(_SOON_S)
