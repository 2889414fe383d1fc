"""Who is next: the session with the fewest running tasks, then the oldest task; first in, first out within a session.

Pure: the callers bring what waits and what runs, and get an order.
"""

import heapq
import math
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
    memory_mb: int = 0
    time_s: float = 0.0  # how long it may run
    priority: int = 0  # within its session, the highest first
    parallel_safe: bool = True  # False: it runs while no other task of its session does


@dataclass(frozen=True)
class Running:
    """A task that runs: the memory that it may have, and how long it may go on."""

    memory_mb: int
    left_s: float


@dataclass(frozen=True)
class Placed:
    """A queued task with its place in the whole queue, 1 first. `held`: its session runs as many tasks as it may."""

    task_id: str
    session_id: str
    position: int
    held: bool
    memory_mb: int = 0
    time_s: float = 0.0


def order(
    waiting: Iterable[Waiting],
    running: Mapping[str, int],
    own_limit: int,
    exceptions: Mapping[str, int] = MappingProxyType({}),
) -> list[Placed]:
    """The order in which waiting tasks start if nothing else changes.

    `running` is how many tasks of each session run now, `own_limit` how many may, and `exceptions` how many of those
    sessions that it has. Each task that is placed counts as a running one of its session, so that a session with many
    waiting tasks does not take all places in a row.
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
        task, held = queue.popleft(), count >= exceptions.get(session, own_limit)
        placed.append(Placed(task.task_id, session, len(placed) + 1, held, task.memory_mb, task.time_s))
        if queue:
            heapq.heappush(heads, (count + 1, queue[0].seq, session))
    return placed


def startable(
    placed: Iterable[Placed], free_slots: int, memory_mb: float = math.inf, running: Iterable[Running] = ()
) -> list[Placed]:
    """The tasks that start now: in order, without those whose session runs as many as it may.

    All that run have `memory_mb` together; a task that may have more than that runs alone. The first task that does not
    fit keeps its turn: by the time limits of those that run it is known when it surely fits, and a task of another
    session goes before it only if it has ended by then or leaves the room that the first one needs (EASY backfilling:
    D. G. Feitelson, A. Mu'alem Weil, 1998). So nobody who waits for memory holds up more than its own share of it, and
    none waits longer than those that ran when its turn came.
    """
    runs = list(running)
    free = memory_mb - sum(task.memory_mb for task in runs)
    chosen: list[Placed] = []
    waits: set[str] = set()  # sessions whose next task does not start, and so none behind it
    wait_s = spare = math.inf  # when the first that waits fits, and what is then left beside it
    for task in placed:
        if len(chosen) >= free_slots:
            break
        if task.held or task.session_id in waits:
            continue
        needs = min(task.memory_mb, memory_mb)
        if needs <= free and (task.time_s <= wait_s or needs <= spare):
            chosen.append(task)
            free -= needs
            spare -= needs if task.time_s > wait_s else 0
            runs.append(Running(task.memory_mb, task.time_s))
        else:
            if not waits:
                wait_s, spare = _room(needs, free, runs)
            waits.add(task.session_id)
    return chosen


def _room(needs: float, free: float, runs: Iterable[Running]) -> tuple[float, float]:
    """In how many seconds at the latest so much memory is free, and how much is left of it then."""
    left_s = 0.0
    for task in sorted(runs, key=lambda task: task.left_s):
        if free >= needs:
            break
        left_s, free = task.left_s, free + task.memory_mb
    return left_s, free - needs
