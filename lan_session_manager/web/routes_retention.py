"""What the owner does with sessions that nobody comes back to: which go when, trash, restore, purge, and their files.

Served twice, as `routes_admin` is.
"""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from lan_session_manager.activity import iso
from lan_session_manager.store.records import SessionRecord
from lan_session_manager.web.headers import attachment
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.routes_files import chunks_of
from lan_session_manager.web.services import Services, ServicesDep, written
from lan_session_manager.workspace.archive import archive

router = APIRouter()


def _state(services: Services, session: SessionRecord) -> dict[str, Any]:
    now = services.manager.store.read.session(session.id) or session
    return {
        "session_id": now.id,
        "workspace": now.name,
        "state": str(now.state),
        "last_activity": iso(now.last_activity),
        "trashed_at": iso(now.trashed_at),
    }


@router.get("/retention")
async def retention(services: ServicesDep) -> dict[str, Any]:
    """The sessions that are in the trash or go there within a week, the one that is gone for good first at the top."""
    now = services.manager.tasks.now()
    return {
        "retention_days": services.manager.settings.retention_days,
        "trash_days": services.manager.settings.trash_days,
        "leaving": [
            {**_state(services, one.session), "to_trash_at": iso(one.to_trash_at), "gone_at": iso(one.gone_at)}
            for one in services.retention.leaving(now)
        ],
        "timestamp": iso(now),
    }


@router.post("/session/{client_ip}/trash")
async def trash(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Put an expired session into the trash now."""
    await written(services.retention.trash(access.session.id, services.manager.tasks.now()))
    return _state(services, access.session)


@router.post("/session/{client_ip}/restore")
async def restore(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Take a session out of the trash: it is kept for as long again."""
    await written(services.retention.restore(access.session.id, services.manager.tasks.now()))
    return _state(services, access.session)


@router.post("/session/{client_ip}/purge")
async def purge(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Remove a session that is in the trash for good, now, with its files, tasks and logs."""
    await services.retention.purge(access.session.id, services.manager.tasks.now())
    return _state(services, access.session)


@router.get("/session/{client_ip}/archive", response_class=Response)
async def export(client_ip: str, services: ServicesDep, access: AccessDep) -> Response:
    """All files of a session as one zip, also of one that has expired or is in the trash."""
    session = access.session
    workspace = services.manager.sessions.workspace(session)
    chunks = await services.threads.run(session.id, archive, workspace, ())
    headers = attachment(f"{session.name}.zip")
    return StreamingResponse(
        chunks_of(services.threads, session.id, chunks), media_type="application/zip", headers=headers
    )
