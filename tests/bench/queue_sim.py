"""The queue in simulated time: the scheduler's own code, with tasks that only pass time."""

import heapq
import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from lan_session_manager.schedule import Load, Loads, Room, Waiting, next_tasks
from lan_session_manager.shares import charge, decayed

_SESSIONS = 10_000
_SLOTS = 1000
_SECONDS = 120.0
_SETTLED_S = 30.0  # until then sessions that have run nothing yet wait for each other
_TICK_S = 0.5  # as often as a choice over so many is made at the most


@dataclass(frozen=True)
class Work:
    """What a task does: processor seconds, evenly over the seconds that it lasts."""

    cpu_s: float
    lasts_s: float


def jain(figures: Sequence[float]) -> float:
    """Jain's index: 1 if all are equal, 1/n if one has everything (R. Jain, D. Chiu, W. Hawe, 1984)."""
    squares = sum(figure * figure for figure in figures)
    return sum(figures) ** 2 / (len(figures) * squares) if squares else 1.0


class Simulation:
    """A server in simulated time. Sessions submit, tasks start as `schedule` says, are charged as `shares` says."""

    def __init__(self, slots: int, half_life_s: float = 300.0, limit: int = 5, tick_s: float = 0.0) -> None:
        """`tick_s`: how much time is between two choices at least."""
        self.now = 0.0
        self.weights: dict[str, float] = {}
        self.used: dict[str, float] = {}  # processor seconds, not decayed
        self.started: dict[str, float] = {}  # when, by task id
        self.starts_before: dict[str, int] = {}  # how many others started between a task's coming and its start
        self.choices_s: list[float] = []  # what each choice really took
        self._slots, self._half_life_s, self._limit, self._tick_s = slots, half_life_s, limit, tick_s
        self._queues: dict[str, deque[Waiting]] = {}
        self._work: dict[str, Work] = {}
        self._sessions: dict[str, str] = {}
        self._came: dict[str, int] = {}
        self._ledger: dict[str, tuple[float, float]] = {}
        self._running: dict[str, tuple[Waiting, float]] = {}
        self._ends: list[tuple[float, int, str]] = []
        self._seq = 0

    def submit(self, session: str, works: Iterable[Work]) -> list[str]:
        """Have a session submit such tasks now; gives their ids."""
        ids = []
        for work in works:
            self._seq += 1
            task = Waiting(self._seq, f"t{self._seq}", session)
            self._queues.setdefault(session, deque()).append(task)
            self._work[task.task_id] = work
            self._sessions[task.task_id] = session
            self._came[task.task_id] = len(self.started)
            ids.append(task.task_id)
        return ids

    def run(self, until: float) -> None:
        """Let the time pass."""
        self._choose()
        while self._ends and self._ends[0][0] <= until:
            self.now = max(self._ends[0][0], self.now + self._tick_s)
            if self.now > until:
                break
            while self._ends and self._ends[0][0] <= self.now:
                self._end(heapq.heappop(self._ends)[2])
            self._choose()
        self.now = until

    def used_by(self, session: str) -> float:
        """Processor seconds of a session, with what its running tasks have used so far."""
        running = (self._so_far(task.task_id, at) for task, at in self._running.values() if task.session_id == session)
        return self.used.get(session, 0.0) + sum(running)

    def session_of(self, task_id: str) -> str:
        """Whose task it is."""
        return self._sessions[task_id]

    def _so_far(self, task_id: str, started_at: float) -> float:
        work = self._work[task_id]
        return work.cpu_s * min(1.0, (self.now - started_at) / work.lasts_s)

    def _end(self, task_id: str) -> None:
        task, _ = self._running.pop(task_id)
        work, session = self._work[task_id], task.session_id
        used_s, at = self._ledger.get(session, (0.0, 0.0))
        cost_s = charge(work.cpu_s, work.lasts_s)
        self._ledger[session] = (decayed(used_s, self.now - at, self._half_life_s) + cost_s, self.now)
        self.used[session] = self.used.get(session, 0.0) + work.cpu_s

    def _loads(self) -> Loads:
        used = {own: decayed(used_s, self.now - at, self._half_life_s) for own, (used_s, at) in self._ledger.items()}
        running: dict[str, int] = {}
        for task, at in self._running.values():
            session = task.session_id
            running[session] = running.get(session, 0) + 1
            used[session] = used.get(session, 0.0) + charge(self._so_far(task.task_id, at), self.now - at)
        known = {
            own: Load(self._limit, running.get(own, 0), False, used.get(own, 0.0), self.weights.get(own, 1.0))
            for own in {*used, *self.weights}
        }
        return Loads(Load(self._limit), known)

    def _choose(self) -> None:
        began = time.perf_counter()
        heads = [(session, queue[0].seq) for session, queue in self._queues.items() if queue]

        def queues(session_ids: Sequence[str], most: int) -> list[Waiting]:
            return [
                queue[place]
                for queue in (self._queues[own] for own in session_ids)
                for place in range(min(most, len(queue)))
            ]

        chosen = next_tasks(heads, queues, self._loads(), Room(self._slots), len(self._running))
        self.choices_s.append(time.perf_counter() - began)
        for task in chosen:
            first = self._queues[task.session_id].popleft()
            assert first is task, "a session's tasks start in their order"
            self.starts_before[task.task_id] = len(self.started) - self._came[task.task_id]
            self.started[task.task_id] = self.now
            self._running[task.task_id] = (task, self.now)
            heapq.heappush(self._ends, (self.now + self._work[task.task_id].lasts_s, task.seq, task.task_id))


def queue_simulation(_: Path) -> dict[str, Any]:
    """10,000 sessions with unequal floods on 1,000 slots, and 100 newcomers with one task each; then 10 on 2 slots."""
    draw = random.Random(1)  # noqa: S311 - the same at each run
    many = Simulation(_SLOTS, tick_s=_TICK_S)
    floods = [f"s{number}" for number in range(_SESSIONS)]
    for session in floods:
        lasts_s = draw.uniform(0.5, 3.0)
        many.submit(session, [Work(lasts_s * draw.uniform(0.5, 1.0), lasts_s) for _ in range(draw.randint(25, 250))])
    waited: list[float] = []
    before: list[int] = []
    for number in range(100):
        many.run(_SETTLED_S + (_SECONDS - _SETTLED_S) * number / 100)
        (task_id,) = many.submit(f"new{number}", [Work(1.0, 1.0)])
        came = many.now
        while task_id not in many.started:
            many.run(many.now + _TICK_S)
        waited.append(many.started[task_id] - came)
        before.append(many.starts_before[task_id])
    many.run(_SECONDS)
    few = unequal_floods(60.0)
    return {
        "sessions": _SESSIONS,
        "slots": _SLOTS,
        "simulated_s": _SECONDS,
        "tasks_started": len(many.started),
        "jain_of_cpu_seconds": round(jain([many.used_by(own) for own in floods]), 4),
        "newcomer_waits_s": {"median": round(median(waited), 2), "max": round(max(waited), 2)},
        "others_that_started_between": {"median": median(before), "max": max(before)},
        "choice_ms": {
            "median": round(1000 * median(many.choices_s), 1),
            "max": round(1000 * max(many.choices_s), 1),
            "choices": len(many.choices_s),
        },
        "ten_devices_two_slots_jain_in_a_minute": round(jain([few.used_by(f"d{number}") for number in range(10)]), 4),
    }


def unequal_floods(seconds: float, slots: int = 2) -> Simulation:
    """10 devices, of which the last one hands in a thousand tasks and the first one a hundred, after so much time."""
    draw = random.Random(2)  # noqa: S311 - the same at each run
    simulation = Simulation(slots)
    for number in range(10):
        simulation.submit(f"d{number}", [Work(draw.uniform(0.2, 0.8), 0.8) for _ in range(100 * (number + 1))])
    simulation.run(seconds)
    return simulation
