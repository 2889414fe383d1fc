"""Who is next: the session with the fewest running tasks, then the oldest task; first in, first out within a session.

Pure: the callers bring what waits and what runs, and get an order.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Waiting:
    """A queued task. `seq` is its place in the order of acceptance over all sessions."""

    seq: int
    task_id: str
    session_id: str


@dataclass(frozen=True)
class Placed:
    """A queued task with its place in the whole queue, 1 first. `held`: its session runs as many tasks as it may."""

    task_id: str
    session_id: str
    position: int
    held: bool


def order(
    waiting: Iterable[Waiting],
    running: Mapping[str, int],
    own_limit: int,
    exceptions: Mapping[str, int] = MappingProxyType({}),
) -> list[Placed]:
    """The order in which waiting tasks start if nothing else changes.

    `running` is how many tasks of each session run now, `own_limit` how many may, and `exceptions` how many of those
    sessions that it has. Each task that is placed counts as a
    running one of its session, so that a session with many waiting tasks does not take all places in a row.
    """
    queues: dict[str, deque[Waiting]] = defaultdict(deque)
    for task in sorted(waiting, key=lambda task: task.seq):
        queues[task.session_id].append(task)
    heads = [(running.get(session, 0), queue[0].seq, session) for session, queue in queues.items()]
    heapq.heapify(heads)
    placed: list[Placed] = []
    while heads:
        count, _, session = heapq.heappop(heads)
        queue = queues[session]
        placed.append(
            Placed(queue.popleft().task_id, session, len(placed) + 1, held=count >= exceptions.get(session, own_limit))
        )
        if queue:
            heapq.heappush(heads, (count + 1, queue[0].seq, session))
    return placed


def startable(placed: Iterable[Placed], free_slots: int) -> list[Placed]:
    """The tasks that start now: in order, without those whose session runs as many as it may."""
    return [task for task in placed if not task.held][: max(0, free_slots)]
