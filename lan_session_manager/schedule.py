"""Who is next: weighted fair share between sessions, priority and then first in, first out within one.

Each session has used something, which decays (`shares`). The one with the least for its weight goes first; what it has
running, and what was placed for it just now, counts as a usual task each, so that tasks that use nothing are shared by
their number. The idea is that of fair-share schedulers (J. Kay, P. Lauder, "A Fair Share Scheduler", 1988). Pure: the
callers bring what waits and what runs, and get an order.
"""

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

Turn = tuple[float, int]  # what a session has for its weight, then the seq of the first task of its queue
NEVER: Turn = (math.inf, 0)
_NEAR = 32  # sessions whose queues are looked at first, besides one for each free slot
_FURTHER = 8  # times as many are looked at where not enough of these can start
USUAL_S = 10.0  # processor seconds that a task counts as while it runs, besides what it has used


class Wait(StrEnum):
    """What a queued task that may start waits for."""

    SLOT = "slot"  # its turn
    OWN_LIMIT = "own_limit"  # its session runs as many tasks as it may
    MEMORY = "memory"  # so much memory is not free now
    PAUSED = "paused"  # the owner has paused its session
    ALONE = "alone"  # it, or a task of its session that runs or goes before it, runs beside no other of its session


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be known of a session: what it runs, what it may run, and what it has used."""

    limit: int  # tasks at once
    running: int = 0
    is_alone: bool = False  # a task of it runs that is not parallel-safe
    used_s: float = 0.0  # processor seconds, decayed
    weight: float = 1.0
    is_paused: bool = False  # nothing of it starts

    @property
    def key(self) -> float:
        """What it has for its weight: the least goes first."""
        return (self.used_s + USUAL_S * self.running) / self.weight

    def with_one_more(self, task: Waiting) -> "Load":
        """The same with that task running."""
        return replace(self, running=self.running + 1, is_alone=self.is_alone or not task.parallel_safe)

    def holds(self, task: Waiting) -> Wait | None:
        """What in its session keeps the task from starting."""
        if self.is_paused:
            return Wait.PAUSED
        if self.running >= self.limit:
            return Wait.OWN_LIMIT
        return Wait.ALONE if self.is_alone or (self.running and not task.parallel_safe) else None


@dataclass(frozen=True)
class Loads:
    """The loads of the sessions that have one; every other one has `usual`."""

    usual: Load
    known: Mapping[str, Load] = field(default_factory=dict)

    def of(self, session_id: str) -> Load:
        """The load of a session."""
        return self.known.get(session_id, self.usual)


@dataclass(frozen=True)
class Room:
    """What there is for all tasks: slots, and memory."""

    slots: int
    memory_mb: float = math.inf


@dataclass(frozen=True)
class Placed:
    """A queued task with its place in the whole queue, 1 first, and what it waits for."""

    task: Waiting
    position: int
    wait: Wait


def order(waiting: Iterable[Waiting], loads: Loads, room: Room, running: Iterable[Running] = ()) -> list[Placed]:
    """The order in which waiting tasks start if nothing else changes.

    Each task that is placed counts as a running one of its session, so that a session with many waiting tasks does not
    take all places in a row. What it waits for is what keeps it from starting with those before it. Tasks of a session
    that is paused have no place: nobody is behind them.
    """
    free_mb = room.memory_mb - sum(task.memory_mb for task in running)
    placed: list[Placed] = []
    line = _Line(waiting, loads)
    for task, load in line:
        if load.is_paused:
            continue
        wait = load.holds(task) or (Wait.MEMORY if min(task.memory_mb, room.memory_mb) > free_mb else Wait.SLOT)
        placed.append(Placed(task, len(placed) + 1, wait))
        line.take(task)
    return placed


def turns(heads: Iterable[tuple[str, int]], loads: Loads) -> list[tuple[Turn, str]]:
    """Sessions in the order of their turns, without those that run as many tasks as they may or are paused.

    `heads`: (session id, seq of the first task of its queue).
    """
    known = ((session, seq, loads.of(session)) for session, seq in heads)
    return sorted(((load.key, seq), session) for session, seq, load in known if _may_start(load))


def _may_start(load: Load) -> bool:
    return load.running < load.limit and not load.is_alone and not load.is_paused


def next_tasks(
    heads: Iterable[tuple[str, int]],
    queues: Callable[[Sequence[str], int], Iterable[Waiting]],
    loads: Loads,
    room: Room,
    busy: int,
    running: Sequence[Running] = (),
) -> list[Waiting]:
    """The same as `startable`, with a look at no more queues than it takes.

    `heads`: (session id, seq of the first task of its queue) of all that wait; `queues` gives of these sessions the
    first so many tasks.
    """
    line, free = turns(heads, loads), room.slots + 1 - busy
    near = free + _NEAR
    while free > 0:
        beyond = line[near][0] if near < len(line) else NEVER
        waiting = queues([session for _, session in line[:near]], free)
        chosen = startable(waiting, loads, room, busy, running, beyond)
        if len(chosen) == free or beyond is NEVER:
            return chosen
        near *= _FURTHER
    return []


def startable(
    waiting: Iterable[Waiting],
    loads: Loads,
    room: Room,
    busy: int,
    running: Iterable[Running] = (),
    beyond: Turn = NEVER,
) -> list[Waiting]:
    """The tasks that start now, in order. `busy` is how many slots are taken, `running` what runs in them.

    `beyond`: the turn of the first session whose tasks are not among those that wait; nobody is chosen whose turn is
    after it. Of each session that is among them there are at least as many tasks, if it has these, as slots are free.

    One slot more than there are is for a session that runs nothing: a newcomer starts at once though others have taken
    them all. All that run have the memory of the room together; a task that may have more than that runs alone. The
    first task that does not fit keeps its turn: by the time limits of those that run it is known when it surely fits,
    and a task of another session goes before it only if it has ended by then or leaves the room that the first one
    needs (EASY backfilling: D. G. Feitelson, A. Mu'alem Weil, 1998). So nobody who waits for memory holds up more than
    its own share of it, and none waits longer than those that ran when its turn came.
    """
    runs = list(running)
    free = room.memory_mb - sum(task.memory_mb for task in runs)
    chosen: list[Waiting] = []
    wait_s = spare = math.inf  # when the first that waits fits, and what is then left beside it
    is_waiting = False
    line = _Line(waiting, loads)
    for task, load in line:
        if busy > room.slots or (load.key, task.seq) > beyond:
            break
        # A session of which one does not start has none behind it that does: it is not taken further.
        if load.holds(task) or (busy == room.slots and load.running):
            continue
        needs = min(task.memory_mb, room.memory_mb)
        if needs <= free and (task.time_s <= wait_s or needs <= spare):
            chosen.append(task)
            free -= needs
            spare -= needs if task.time_s > wait_s else 0
            runs.append(Running(task.memory_mb, task.time_s))
            busy += 1
            line.take(task)
        elif not is_waiting:
            is_waiting = True
            wait_s, spare = _room(needs, free, runs)
    return chosen


class _Line:
    """The heads of the sessions' queues, the one whose turn it is first; one comes again once its task is taken."""

    def __init__(self, waiting: Iterable[Waiting], loads: Loads) -> None:
        self._queues: dict[str, deque[Waiting]] = defaultdict(deque)
        for task in sorted(waiting, key=lambda task: (-task.priority, task.seq)):
            self._queues[task.session_id].append(task)
        self._loads = {session: loads.of(session) for session in self._queues}
        self._heads = [(self._loads[session].key, queue[0].seq, session) for session, queue in self._queues.items()]
        heapq.heapify(self._heads)

    def __iter__(self) -> Iterator[tuple[Waiting, Load]]:
        while self._heads:
            _, _, session = heapq.heappop(self._heads)
            yield self._queues[session][0], self._loads[session]

    def take(self, task: Waiting) -> None:
        """The task starts: the next one of its session is in line."""
        session = task.session_id
        queue = self._queues[session]
        queue.popleft()
        load = self._loads[session] = self._loads[session].with_one_more(task)
        if queue:
            heapq.heappush(self._heads, (load.key, queue[0].seq, session))


def _room(needs: float, free: float, runs: Iterable[Running]) -> tuple[float, float]:
    """In how many seconds at the latest so much memory is free, and how much is left of it then."""
    left_s = 0.0
    for task in sorted(runs, key=lambda task: task.left_s):
        if free >= needs:
            break
        left_s, free = task.left_s, free + task.memory_mb
    return left_s, free - needs
