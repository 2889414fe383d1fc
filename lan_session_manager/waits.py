"""Why a queued task has not started, for its session: what it waits for, and the figures that explain it. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from lan_session_manager import runners
from lan_session_manager.estimate import coarse
from lan_session_manager.schedule import Load, Placed, Wait
from lan_session_manager.store.records import TaskRecord

DEPENDENCY = "dependency"
START_AFTER = "start_after"
WORKER = "worker"
SHORTAGE = "shortage"
SHORT = "The server was short of descriptors, memory or processes. The task is tried again by itself."


def wait_of(
    task: TaskRecord, *, now: float, placed: Placed | None, load: Load, unmet: Sequence[str], starts_in: float | None
) -> tuple[str, dict[str, Any]]:
    """What a queued task waits for, and what explains it.

    `placed`: its place, if it may start at all; `load`: of its session; `unmet`: the ids of what it depends on and that
    has not completed; `starts_in`: in how many seconds it may start, if that is known.
    """
    if load.is_paused:
        return str(Wait.PAUSED), {}
    if unmet:
        return DEPENDENCY, {"tasks": list(unmet)}
    if task.start_after is not None and task.start_after > now:
        return START_AFTER, {"until": datetime.fromtimestamp(task.start_after, UTC).isoformat()}
    if task.detail == SHORT:
        return SHORTAGE, {}
    own = {"running": load.running, "may_run": load.limit}
    if placed is None:  # of the boxes' queue: perhaps it came in this moment
        if task.runner == runners.SWARM:
            return WORKER, {}
        return (str(Wait.OWN_LIMIT), own) if load.running >= load.limit else (str(Wait.SLOT), {})
    facts: dict[str, Any] = {
        "ahead": placed.position - 1,
        "estimate_s": None if starts_in is None else coarse(starts_in),
    }
    if placed.wait is Wait.OWN_LIMIT:
        # What was placed before it counts as running: it waits for these.
        facts |= own
        return (str(Wait.OWN_LIMIT if load.running >= load.limit else Wait.SLOT)), facts
    if placed.wait is Wait.MEMORY:
        facts |= {"memory_mb": task.memory_mb}
    return str(placed.wait), facts
