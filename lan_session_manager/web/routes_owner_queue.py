"""Everybody's tasks that wait or run, for the owner: who, since when and why, and nothing of what they do.

Served twice, as `routes_admin` is.
"""

import asyncio
import math
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from lan_session_manager.activity import iso
from lan_session_manager.states import Reason
from lan_session_manager.store.records import SessionRecord
from lan_session_manager.web.conditional import unless_known
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.services import Services, ServicesDep, written
from lan_session_manager.web.task_ids import TASK_ID

router = APIRouter()

# Of the view that its session has of a task, what the owner may see: ids, times, limits, use.
_SHOWN = (
    "task_id",
    "number",
    "runner",
    "status",
    "priority",
    "attempt",
    "worker",
    "queue_position",
    "waits_for",
    "wait",
    "created_at",
    "started_at",
    "stopping",
    "network",
    "limits",
    "usage",
)


@router.get("/queue", response_class=Response)
async def queue(
    request: Request,
    services: ServicesDep,
    most: Annotated[int, Query(ge=1, le=2000, description="tasks that are listed")] = 500,
) -> Response:
    """The tasks that run, then those that wait in the order of the queue. 304 where nothing changed."""
    return unless_known(request, await asyncio.to_thread(_queue, services, most))


def _queue(services: Services, most: int) -> dict[str, Any]:
    manager = services.manager
    read, picture = manager.store.read, manager.activity.picture()
    placed = sorted(picture.placed.values(), key=lambda one: one.position)
    running, queued = read.live_counts()
    # Those that have a place are shown before those that wait for something else, however long the queue is.
    seqs = [*read.live_seqs(min(most, running)), *(one.task.seq for one in placed[: most - min(most, running)])]
    seqs = list(dict.fromkeys([*seqs, *read.live_seqs(most)]))[:most]
    tasks = read.task_facts(seqs)
    views = manager.activity.tasks(tasks, None, picture)
    sessions: dict[str, SessionRecord | None] = {
        key: read.session(key) for key in {task.session_id for task in tasks} if key is not None
    }
    rows = []
    for task, view in zip(tasks, views, strict=True):
        session = sessions.get(task.session_id or "")
        whose = {"workspace": session.name, "ip": session.address} if session else {"workspace": None, "ip": None}
        rows.append({**{name: view[name] for name in _SHOWN}, **whose, "seq": task.seq})
    rows.sort(key=lambda row: (row["status"] != "running", row["queue_position"] or math.inf, row["seq"]))
    return {
        "running": running,
        "queued": queued,
        "tasks": [{name: value for name, value in row.items() if name != "seq"} for row in rows],
        "timestamp": iso(manager.tasks.now()),
    }


@router.post(f"/task/{TASK_ID}/cancel")
async def cancel(task_id: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """End a task of anybody; whose it is sees that the owner did."""
    ended = await written(services.manager.tasks.cancel(access.task.id, Reason.CANCELLED_BY_ADMIN))
    return {"task_id": ended.id, "status": str(ended.state), "stopping": not ended.state.ended}
