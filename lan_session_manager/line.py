"""Everybody's place in the queue at one moment, as the scheduler sees it, with when each may start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lan_session_manager import runners
from lan_session_manager.estimate import Durations, Expected, Took, starts
from lan_session_manager.schedule import Loads, Placed, Room, Running, Waiting, order
from lan_session_manager.settings import Settings
from lan_session_manager.shares import Shares
from lan_session_manager.store import Reads
from lan_session_manager.store.records import TaskRecord

_ENDED = 300  # tasks from which it is learned how long such tasks take
_FAR = 1000  # of the queue: when those behind may start is not said


@dataclass(frozen=True)
class Line:
    """Places by task id, when each may start (in seconds, where that can be known), and the sessions' loads."""

    loads: Loads
    placed: Mapping[str, Placed] = field(default_factory=dict)
    starts: Mapping[str, float] = field(default_factory=dict)


def line_now(read: Reads, settings: Settings, shares: Shares, now: float) -> Line:
    """The queue of the boxes now."""
    sandboxed = tuple(runners.SANDBOXED)
    waiting = [Waiting(*row) for row in read.waiting(sandboxed, now)]
    loads = shares.loads(read, sandboxed)
    if not waiting:
        return Line(loads)
    running = read.running(sandboxed)
    room = Room(settings.slots, settings.tasks_memory_mb)
    placed = order(waiting, loads, room, [Running(task.memory_mb, 0.0) for task in running])
    return Line(loads, {one.task.task_id: one for one in placed}, _starts(read, settings, loads, placed, running, now))


def _starts(
    read: Reads, settings: Settings, loads: Loads, placed: list[Placed], running: list[TaskRecord], now: float
) -> dict[str, float]:
    durations = Durations(Took(*row) for row in read.lately_ended(_ENDED))
    near = placed[:_FAR]
    commands = read.commands_of([one.task.task_id for one in near])
    runs, queue = [], []
    for task in running:
        takes = durations.of(task.session_id or "", task.command)
        if takes is None:
            return {}
        left = max(takes - (now - (task.started_at or now)), takes / 10)  # one that takes longer than usual ends soon
        runs.append(Expected(task.id, task.session_id or "", left))
    for one in near:
        takes = durations.of(one.task.session_id, commands.get(one.task.task_id, ""))
        if takes is None:
            return {}
        queue.append(Expected(one.task.task_id, one.task.session_id, takes))
    limits = {session: load.limit for session, load in loads.known.items()}
    return starts(runs, queue, settings.slots, limits, loads.usual.limit)
