"""Uploads beside the plain PUT: those that go on after a lost connection, and the files of a form.

The former are the part of "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload) for a client that asks for
a place first and says the size: its fields Upload-Offset and Upload-Complete, its media type, its methods.
"""

import asyncio
import re
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lan_session_manager.errors import InvalidInputError, OffsetError
from lan_session_manager.settings import MB
from lan_session_manager.store.records import SessionRecord
from lan_session_manager.web.arrivals import announced, entry_view, moment, new_upload, note_changed, place_of, receive
from lan_session_manager.web.forms import Form
from lan_session_manager.web.guards import error_response
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.schemas import NewUpload
from lan_session_manager.web.services import Services, ServicesDep
from lan_session_manager.workspace.paths import Parts, parse_new_path, parse_path
from lan_session_manager.workspace.resumable import Resumable, State
from lan_session_manager.workspace.upload import Upload

router = APIRouter(prefix="/api/workspace/{client_ip}")

_PARTIAL = {
    "requestBody": {"content": {"application/partial-upload": {"schema": {"type": "string", "format": "binary"}}}}
}
_FORM = {
    "requestBody": {
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            }
        }
    }
}
_OFFSET = re.compile(r"[0-9]{1,15}")  # an integer of a structured field, RFC 9651, that is not negative


async def _resumable(services: Services, session: SessionRecord, path: Parts = ()) -> tuple[Resumable, Parts]:
    workspace, inside = place_of(services, session, path)
    settings = services.manager.settings
    limit, reserve = settings.upload_mb * MB, services.manager.disk_reserve
    made = services.threads.run(session.id, Resumable, workspace, limit_bytes=limit, reserve_bytes=reserve)
    return await made, inside


def _view(state: State) -> dict[str, Any]:
    return {
        "id": state.id,
        "path": "/".join(state.path),
        "size": state.size,
        "offset": state.offset,
        "complete": state.is_complete,
        "created_at": moment(state.created_at),
        "expires_at": moment(state.expires_at),
    }


def _headers(offset: int, *, is_complete: bool) -> dict[str, str]:
    return {"Upload-Offset": str(offset), "Upload-Complete": f"?{int(is_complete)}", "Cache-Control": "no-store"}


@router.post("/uploads", status_code=201)
async def begin(client_ip: str, body: NewUpload, services: ServicesDep, access: AccessDep) -> Response:
    """A place for a file of that size, whose bytes come in as many requests as it takes."""
    session = access.session
    uploads, path = await _resumable(services, session, parse_new_path(body.path))
    quota = services.manager.sessions.quota(session)
    state = await services.threads.run(session.id, uploads.begin, path, body.size, quota, overwrite=body.overwrite)
    place = {"Location": f"/api/workspace/{client_ip}/uploads/{state.id}"}
    return JSONResponse(_view(state), 201, place | _headers(0, is_complete=False))


@router.get("/uploads")
async def unfinished(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """The uploads that are not complete."""
    uploads, _ = await _resumable(services, access.session)
    return {"uploads": [_view(state) for state in uploads.all()]}


@router.head("/uploads/{upload_id}", include_in_schema=False)
@router.get("/uploads/{upload_id}")
async def state(client_ip: str, upload_id: str, services: ServicesDep, access: AccessDep) -> Response:
    """How far an upload is: where to go on."""
    uploads, _ = await _resumable(services, access.session)
    found = uploads.state(upload_id)
    headers = _headers(found.offset, is_complete=found.is_complete) | {"Upload-Length": str(found.size)}
    return JSONResponse(_view(found), 200, headers)


@router.patch("/uploads/{upload_id}", openapi_extra=_PARTIAL)
async def go_on(client_ip: str, upload_id: str, request: Request, services: ServicesDep, access: AccessDep) -> Response:
    """Take the body as the bytes from `Upload-Offset` on. With the last one the file is in its place."""
    offset = request.headers.get("upload-offset", "")
    if not _OFFSET.fullmatch(offset):
        raise InvalidInputError(what="Say in the header Upload-Offset where the bytes begin: a number of bytes.")
    uploads, _ = await _resumable(services, access.session)
    path, threads = "/".join(uploads.state(upload_id).path), services.threads
    try:
        appending = await threads.run(access.session.id, uploads.go_on, upload_id, int(offset), announced(request))
    except OffsetError as error:
        answer = error_response(error)
        answer.headers["Upload-Offset"] = str(error.facts["offset"])
        return answer
    try:
        await receive(request, services, access.session, appending.write)
        entry = await threads.run(access.session.id, appending.finish)
    finally:
        # Shielded, as the request may be cancelled: the next one goes on with it.
        await asyncio.shield(asyncio.to_thread(appending.close))
    headers = _headers(appending.offset, is_complete=entry is not None)
    if entry is None:
        return Response(status_code=204, headers=headers)
    await note_changed(services, access.session, path)
    return JSONResponse({"path": path, **entry_view(entry)}, 201, headers)


@router.delete("/uploads/{upload_id}", status_code=204)
async def give_up(client_ip: str, upload_id: str, services: ServicesDep, access: AccessDep) -> Response:
    """Give an upload up: nothing of it stays."""
    uploads, _ = await _resumable(services, access.session)
    await services.threads.run(access.session.id, uploads.give_up, upload_id)
    return Response(status_code=204)


@router.post("/files", status_code=201, openapi_extra=_FORM)
async def form(
    client_ip: str,
    request: Request,
    services: ServicesDep,
    access: AccessDep,
    path: Annotated[str, Query(max_length=8192)] = "inputs",
    overwrite: Annotated[int, Query(ge=0, le=1)] = 1,
) -> dict[str, Any]:
    """Take the files of a form into a directory. All of them are there when the whole form has come, or none."""
    session = access.session
    parse_path(path)

    def begin_one(file: Parts) -> Upload:
        return new_upload(services, session, file, overwrite=bool(overwrite))

    arriving = Form(request.headers.get("content-type", ""), path, begin_one)
    try:
        await receive(request, services, session, arriving.write)
        entries = await services.threads.run(session.id, arriving.commit)
    finally:
        await asyncio.shield(asyncio.to_thread(arriving.abort))
    await note_changed(services, session, path)
    return {"path": path, "files": [{"path": "/".join(file), **entry_view(entry)} for file, entry in entries]}
