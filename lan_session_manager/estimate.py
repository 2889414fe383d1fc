"""When a queued task may start, from what tasks really took. Pure."""

import heapq
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

# Coarse: an exact estimate would tell how long the tasks of others take.
_STEPS_S = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 86_400)
_LIKE = 5  # ended tasks of the same session with the same command that are looked at, the newest


@dataclass(frozen=True)
class Took:
    """An ended task, and for how many seconds it ran."""

    session_id: str
    command: str
    seconds: float


class Durations:
    """How long tasks take: those of the same session with the same command, else of the session, else all."""

    def __init__(self, ended: Iterable[Took]) -> None:
        """`ended`: some ended tasks, the newest first."""
        like: dict[tuple[str, str], list[float]] = defaultdict(list)
        own: dict[str, list[float]] = defaultdict(list)
        every: list[float] = []
        for task in ended:
            if len(like[task.session_id, task.command]) < _LIKE:
                like[task.session_id, task.command].append(task.seconds)
            own[task.session_id].append(task.seconds)
            every.append(task.seconds)
        self._like = {key: statistics.mean(seconds) for key, seconds in like.items()}
        self._own = {key: statistics.median(seconds) for key, seconds in own.items()}
        self._every = statistics.median(every) if every else None

    def of(self, session_id: str, command: str) -> float | None:
        """How long such a task takes, in seconds; None: nothing is known."""
        return self._like.get((session_id, command), self._own.get(session_id, self._every))


@dataclass(frozen=True)
class Expected:
    """A task in the order in which tasks start, or one that runs; `seconds`: how long it takes, or still takes."""

    task_id: str
    session_id: str
    seconds: float


def starts(
    running: Sequence[Expected], queue: Sequence[Expected], slots: int, limits: Mapping[str, int], usual_limit: int
) -> dict[str, float]:
    """In how many seconds each task of the queue starts, if each takes as long as is expected.

    Slots and how many each session may run at once are kept to; memory is not looked at.
    """
    free = [0.0] * max(0, slots - len(running)) + sorted(task.seconds for task in running)
    heapq.heapify(free)
    own: dict[str, list[float]] = defaultdict(list)
    for task in running:
        own[task.session_id].append(task.seconds)
    for ends in own.values():
        heapq.heapify(ends)
    found: dict[str, float] = {}
    for task in queue:
        ends = own[task.session_id]
        at = heapq.heappop(free)
        while len(ends) >= limits.get(task.session_id, usual_limit):
            at = max(at, heapq.heappop(ends))
        found[task.task_id] = at
        heapq.heappush(free, at + task.seconds)
        heapq.heappush(ends, at + task.seconds)
    return found


def coarse(seconds: float) -> int:
    """Up to the next step."""
    return next((step for step in _STEPS_S if seconds <= step), _STEPS_S[-1])
