"""What a task made, to look at: its files by now, and those of them that only a browser can show."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from lan_session_manager.errors import NoPreviewError, NotFoundError, SecurityError
from lan_session_manager.states import TaskState
from lan_session_manager.store.records import SessionRecord, TaskRecord
from lan_session_manager.web.arrivals import place_of
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.previews import MOST_PAGE_BYTES, defused, is_page, preview_headers
from lan_session_manager.web.routes_files import send_file
from lan_session_manager.web.services import Services, ServicesDep
from lan_session_manager.web.task_ids import TASK_ID
from lan_session_manager.workspace.download import Download
from lan_session_manager.workspace.paths import Parts, parse_path
from lan_session_manager.workspace.workspace import Workspace

router = APIRouter(prefix="/api")


@router.get("/workspace/{client_ip}/preview/{path:file}", response_class=Response)
async def preview(client_ip: str, path: str, request: Request, services: ServicesDep, access: AccessDep) -> Response:
    """A file, or the bytes of it that `Range` asks for, to be shown in our page: see `web/previews.py`."""
    headers = preview_headers(path)
    if headers is None:
        raise NoPreviewError
    place = place_of(services, access.session, parse_path(path))
    if is_page(path):
        return Response(await services.threads.run(access.session.id, _page, place), headers=dict(headers))
    return await send_file(request, services, access.session, place, headers)


def _page(place: tuple[Workspace, Parts]) -> bytes:
    with Download(*place) as found:
        if found.size > MOST_PAGE_BYTES:
            raise NoPreviewError
        return defused(b"".join(found.read()))


@router.get(f"/task/{TASK_ID}/outputs")
async def outputs(task_id: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """The files that a task has left, or those that it has made or changed so far."""
    task, session = access.task, access.known_session
    if session is None or task.state is not TaskState.RUNNING:
        found = [(output.path, output.size) for output in task.outputs]
        total = task.outputs_total
    else:
        found, total = await services.threads.run(session.id, _so_far, services, session, task)
    return {"outputs": [{"path": path, "size": size} for path, size in found], "outputs_total": total}


def _so_far(services: Services, session: SessionRecord, task: TaskRecord) -> tuple[list[tuple[str, int]], int]:
    workspace = services.manager.sessions.workspace(session)
    try:
        return workspace.outputs_since(task.started_at or task.created_at)
    except (NotFoundError, SecurityError, OSError):  # the task may put anything in the place of outputs/
        return [], 0
