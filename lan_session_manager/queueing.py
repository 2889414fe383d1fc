"""What starts next of everything that waits: the reads for `schedule`, off the event loop."""

import asyncio
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from lan_session_manager import runners
from lan_session_manager.schedule import Room, Running, Waiting, next_tasks
from lan_session_manager.settings import Settings
from lan_session_manager.shares import Shares
from lan_session_manager.store import Store
from lan_session_manager.tasks import Tasks

LOOK_S = 10.0  # between looks at the queue at the most, as the clock may be set


class Queueing:
    """Chooses in a thread of its own: nobody else's work holds it up, and a long queue does not hold up the server."""

    def __init__(self, store: Store, tasks: Tasks, settings: Settings, shares: Shares) -> None:
        self._store = store
        self._tasks = tasks
        self._settings = settings
        self._shares = shares
        self._thread = ThreadPoolExecutor(1, "queue")
        self._sandboxed = tuple(runners.SANDBOXED)

    async def chosen(self, busy: int, put_off: Collection[str]) -> tuple[list[Waiting], float]:
        """The tasks that start now, while `busy` slots are taken, and after how many seconds to ask again.

        None of those that are `put_off` is among them. What happens meanwhile may be a reason to ask sooner. Raises
        LSMError.
        """
        if busy > self._settings.slots:
            return [], LOOK_S
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._chosen, busy, put_off)

    def _chosen(self, busy: int, put_off: Collection[str]) -> tuple[list[Waiting], float]:
        asked_at = self._tasks.now()  # before the choice: whose time comes meanwhile is not overlooked
        return self.choose(busy, put_off), self.longest_wait_s(asked_at)

    def choose(self, busy: int, put_off: Collection[str] = ()) -> list[Waiting]:
        """The tasks that start now."""
        read, now, slots = self._store.read, self._tasks.now(), self._settings.slots
        heads = read.heads(self._sandboxed, now)
        if not heads:
            return []
        running = [
            Running(task.memory_mb, max(0.0, (task.started_at or now) + task.time_s - now))
            for task in read.running(self._sandboxed)
        ]

        def queues(session_ids: Sequence[str], most: int) -> list[Waiting]:
            rows = read.queues_of(session_ids, self._sandboxed, now, most + len(put_off))
            return [Waiting(*row) for row in rows if row[1] not in put_off]

        room = Room(slots, self._settings.tasks_memory_mb)
        return next_tasks(heads, queues, self._shares.loads(read, self._sandboxed), room, busy, running)

    def longest_wait_s(self, asked_at: float) -> float:
        """Until when the first task may start that waited for its time at that moment, `LOOK_S` at most."""
        at = self._store.read.next_start_after(asked_at)
        return LOOK_S if at is None else min(LOOK_S, max(0.0, at - self._tasks.now()))

    def close(self) -> None:
        """End the thread; a choice that is being made is made to its end."""
        self._thread.shutdown()
