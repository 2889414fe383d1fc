"""The connections that tasks tried to make through their network profiles."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from lan_session_manager.connections import connection_view
from lan_session_manager.store.records import ConnectionRecord
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.services import ServicesDep
from lan_session_manager.web.task_ids import TASK_ID

router = APIRouter(prefix="/api")

LAST = 2**53  # above every id
Before = Annotated[int, Query(ge=1, le=LAST, description="the `next` of the page before")]
Most = Annotated[int, Query(ge=1, le=1000, description="connections of one page")]


def page_of(numbered: list[tuple[int, ConnectionRecord]], most: int) -> dict[str, Any]:
    """A page of connections, each with the number that it has for who asks."""
    return {
        "connections": [{"id": number, **connection_view(connection)} for number, connection in numbered],
        "next": numbered[-1][0] if len(numbered) == most else None,
    }


@router.get(f"/task/{TASK_ID}/connections")
async def of_task(
    task_id: str, services: ServicesDep, access: AccessDep, before: Before = LAST, most: Most = 100
) -> dict[str, Any]:
    """What a task tried to reach, newest first: each of its first connections, and how many more there were."""
    found = services.manager.store.read.connections_of_task(access.task.id, before, most)
    # An id would tell how many connections the tasks of others made meanwhile.
    return page_of([(connection.number, connection) for connection in found], most)
