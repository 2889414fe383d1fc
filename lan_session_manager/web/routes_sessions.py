"""A device's own session: dashboard, facts, activity, and which paths it may reach."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from lan_session_manager.activity import iso
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.schemas import Validate
from lan_session_manager.web.services import ServicesDep

router = APIRouter(prefix="/api")


@router.get("/dashboard/{client_ip}", response_class=JSONResponse)
async def dashboard(client_ip: str, services: ServicesDep, access: AccessDep) -> Response:
    """All that the page of a session shows."""
    # As it is: what FastAPI would do to check the answer costs more than to make it.
    return JSONResponse(services.manager.dashboard(access.session))


@router.get("/session/{client_ip}")
async def session(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """The facts of a session."""
    return services.manager.session_view(access.session)


@router.post("/session/{client_ip}/keep")
async def keep(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Have a session go on that nobody uses, as any other request does."""
    services.manager.sessions.refresh(access.session)
    return services.manager.session_view(access.session)


@router.get("/activity/log")
async def activity_log(services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """The caller's own tasks and events in full; of others counts."""
    own, manager = access.session, services.manager
    board = manager.dashboard(own)
    return {
        "my_tasks": board["my_tasks"],
        "network_activity": board["network_activity"],
        "recent_log": manager.activity.recent_log(own.id),
        "timestamp": iso(manager.tasks.now()),
    }


@router.post("/workspace/{client_ip}/validate")
async def validate(client_ip: str, body: Validate, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Whether a path is inside of the session's workspace or of the shared resources."""
    own, manager = access.session, services.manager
    return {
        "file_path": body.file_path,
        "access_allowed": manager.workspaces.is_inside(own.name, body.file_path),
        "timestamp": iso(manager.tasks.now()),
    }
