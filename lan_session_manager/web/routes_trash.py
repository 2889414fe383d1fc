"""The trash of a workspace: what was deleted there and can be brought back for a while."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from lan_session_manager.errors import ReadOnlyError
from lan_session_manager.web.arrivals import entry_view, moment, note_changed, place_of
from lan_session_manager.web.policy import AccessDep, note_named
from lan_session_manager.web.schemas import Restore, ThrowAway
from lan_session_manager.web.services import ServicesDep
from lan_session_manager.workspace.paths import parse_new_path, parse_path
from lan_session_manager.workspace.trash import contents, purge, restore, throw_away

router = APIRouter(prefix="/api/workspace/{client_ip}/trash")


@router.get("")
async def trash(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """What can be brought back, the newest first."""
    workspace, _ = place_of(services, access.session, ())
    found, kept_s = await services.threads.run(access.session.id, contents, workspace)
    return {
        "entries": [
            {
                "id": deleted.kept.id,
                "path": "/".join(deleted.kept.path),
                "type": str(deleted.type),
                "size": deleted.size,
                "is_content": deleted.kept.is_content,
                "deleted_at": moment(deleted.kept.deleted_at),
                "expires_at": moment(deleted.kept.deleted_at + kept_s),
            }
            for deleted in found
        ]
    }


@router.post("", status_code=201)
async def thrown_away(client_ip: str, body: ThrowAway, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Delete a file or a directory so that it can be brought back."""
    session = access.session
    place = place_of(services, session, parse_path(body.path))
    note_named(services, access, body.path)
    kept = await services.threads.run(session.id, throw_away, *place)
    await note_changed(services, session, body.path)
    return {"id": kept.id, "path": body.path, "is_content": kept.is_content, "deleted_at": moment(kept.deleted_at)}


@router.delete("", status_code=204)
async def emptied(client_ip: str, services: ServicesDep, access: AccessDep) -> Response:
    """Remove everything in the trash for good."""
    workspace, _ = place_of(services, access.session, ())
    await services.threads.run(access.session.id, workspace.empty_trash)
    return Response(status_code=204)


@router.delete("/{trash_id}", status_code=204)
async def purged(client_ip: str, trash_id: str, services: ServicesDep, access: AccessDep) -> Response:
    """Remove one thing in the trash for good."""
    workspace, _ = place_of(services, access.session, ())
    await services.threads.run(access.session.id, purge, workspace, trash_id)
    return Response(status_code=204)


@router.post("/{trash_id}/restore")
async def restored(
    client_ip: str, trash_id: str, body: Restore, services: ServicesDep, access: AccessDep
) -> dict[str, Any]:
    """Bring something back to where it was, or to another place; never over anything."""
    session = access.session
    workspace, _ = place_of(services, session, ())
    to = parse_new_path(body.to) if body.to is not None else None
    if to is not None and place_of(services, session, to)[0].read_only:
        raise ReadOnlyError(path=body.to)
    note_named(services, access, trash_id, *([body.to] if body.to else []))
    quota = services.manager.sessions.quota(session)
    path, entry = await services.threads.run(session.id, restore, workspace, trash_id, quota, to)
    await note_changed(services, session, "/".join(path))
    return {"path": "/".join(path), **(entry_view(entry) if entry else {})}
