"""The connections that tasks tried to make through their network profiles."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lan_session_manager.audit import connection_view
from lan_session_manager.store.records import ConnectionRecord
from lan_session_manager.web.services import CallerDep, ServicesDep, need_admin

router = APIRouter(prefix="/api")

_LAST = 2**53  # above every id
_Before = Annotated[int, Query(ge=1, le=_LAST, description="the `next` of the page before")]
_Most = Annotated[int, Query(ge=1, le=1000, description="connections of one page")]


def _page(numbered: list[tuple[int, ConnectionRecord]], most: int) -> dict[str, Any]:
    return {
        "connections": [{"id": number, **connection_view(connection)} for number, connection in numbered],
        "next": numbered[-1][0] if len(numbered) == most else None,
    }


@router.get("/task/{task_id}/connections")
async def of_task(
    task_id: str, services: ServicesDep, caller: CallerDep, before: _Before = _LAST, most: _Most = 100
) -> dict[str, Any]:
    """What a task tried to reach, newest first: each of its first connections, and how many more there were."""
    task, _ = await services.task_of(task_id, caller)
    found = services.manager.store.read.connections_of_task(task.id, before, most)
    # An id would tell how many connections the tasks of others made meanwhile.
    return _page([(connection.number, connection) for connection in found], most)


@router.get("/admin/connections")
async def of_all(
    services: ServicesDep, caller: CallerDep, before: _Before = _LAST, most: _Most = 100
) -> dict[str, Any]:
    """What all tasks tried to reach, newest first; of tasks that are deleted too."""
    need_admin(caller)
    found = services.manager.store.read.connections(before, most)
    return _page([(connection.id, connection) for connection in found], most)
