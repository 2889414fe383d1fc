"""A workspace's files: list, upload, download, delete, archive. The file system's calls are made in threads."""

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Mapping
from email.utils import formatdate
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lan_session_manager.store.records import SessionRecord
from lan_session_manager.web.arrivals import announced, entry_view, new_upload, note_changed, place_of, receive
from lan_session_manager.web.headers import attachment
from lan_session_manager.web.policy import AccessDep, note_named
from lan_session_manager.web.ranges import parse_range
from lan_session_manager.web.schemas import Directory, Move
from lan_session_manager.web.services import Services, ServicesDep
from lan_session_manager.web.turns import Threads
from lan_session_manager.workspace.archive import archive
from lan_session_manager.workspace.download import Download
from lan_session_manager.workspace.listing import list_directory
from lan_session_manager.workspace.move import move
from lan_session_manager.workspace.paths import Parts, parse_new_path, parse_path
from lan_session_manager.workspace.remove import make_directory, remove
from lan_session_manager.workspace.workspace import Workspace


class _FilePath(Convertor[str]):
    regex = r"[\s\S]*"  # Starlette's own `path` has no line breaks, which the names that a task gives may have

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("file", _FilePath())
router = APIRouter(prefix="/api/workspace/{client_ip}")

_PathQuery = Annotated[str, Query(max_length=8192)]
BINARY = {"requestBody": {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


@router.get("/files")
async def files(client_ip: str, services: ServicesDep, access: AccessDep, path: _PathQuery = "") -> dict[str, Any]:
    """What is in a directory."""
    place = place_of(services, access.session, parse_path(path))
    listing = await services.threads.run(access.session.id, list_directory, *place)
    return {"path": path, "entries": [entry_view(entry) for entry in listing.entries], "truncated": listing.truncated}


@router.post("/directory", status_code=201)
async def directory(client_ip: str, body: Directory, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Make a directory, with those on the way."""
    session = access.session
    place = place_of(services, session, parse_new_path(body.path))
    note_named(services, access, body.path)
    quota = services.manager.sessions.quota(session)
    await services.threads.run(session.id, make_directory, *place, quota)
    await note_changed(services, session, body.path)
    return {"path": body.path}


@router.post("/move")
async def moved(client_ip: str, body: Move, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Give a file or a directory another path, where nothing is yet."""
    session = access.session
    workspace, source = place_of(services, session, parse_path(body.from_))
    target_workspace, target = place_of(services, session, parse_new_path(body.to))
    note_named(services, access, body.from_, body.to)
    target_workspace.check_writable(target)
    entry = await services.threads.run(session.id, move, workspace, source, target)
    await note_changed(services, session, body.from_)
    if body.from_.rpartition("/")[0] != body.to.rpartition("/")[0]:
        await note_changed(services, session, body.to)
    return {"path": body.to, **entry_view(entry)}


@router.put("/files/{path:file}", status_code=201, openapi_extra=BINARY)
async def upload(
    client_ip: str,
    path: str,
    request: Request,
    services: ServicesDep,
    access: AccessDep,
    overwrite: Annotated[int, Query(ge=0, le=1)] = 1,
) -> dict[str, Any]:
    """Take the body as a file, which is in its place only when it is complete."""
    session = access.session
    parts, size = parse_new_path(path), announced(request)
    arriving = await services.threads.run(
        session.id, new_upload, services, session, parts, overwrite=bool(overwrite), size=size
    )
    try:
        await receive(request, services, session, arriving.write)
        entry = await services.threads.run(session.id, arriving.commit)
    finally:
        # Shielded, as the request may be cancelled: what has arrived of the file must not stay.
        await asyncio.shield(asyncio.to_thread(arriving.abort))
    await note_changed(services, session, path)
    return {"path": path, **entry_view(entry)}


@router.get("/files/{path:file}", response_class=Response)
async def download(client_ip: str, path: str, request: Request, services: ServicesDep, access: AccessDep) -> Response:
    """A file, or the bytes of it that `Range` asks for. Never a page of ours: it is an attachment, and sandboxed."""
    return await send_file(request, services, access.session, place_of(services, access.session, parse_path(path)))


async def send_file(
    request: Request,
    services: Services,
    session: SessionRecord,
    place: tuple[Workspace, Parts],
    shown: Mapping[str, str] | None = None,
) -> Response:
    """A file, or what `Range` asks for of it: with the headers `shown`, else as an attachment."""
    found = await services.threads.run(session.id, Download, *place)
    try:
        wanted = request.headers.get("range")
        if request.headers.get("if-range", found.etag) != found.etag:
            wanted = None
        part = parse_range(wanted, found.size)
        first, end = part or (0, found.size)
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Length": str(end - first),
            **(shown or {**attachment(found.name), "Content-Type": found.content_type}),
            "ETag": found.etag,
            "Last-Modified": formatdate(found.modified, usegmt=True),
        }
        if part:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{found.size}"
        chunks = found.read(first, end)
    except BaseException:
        found.close()
        raise
    return StreamingResponse(
        chunks_of(services.threads, session.id, chunks, found),
        206 if part else 200,
        headers=headers,
    )


async def chunks_of(
    threads: Threads, session_id: str, chunks: Generator[bytes, None, None], found: Download | None = None
) -> AsyncIterator[bytes]:
    """What a generator that reads files gives, in threads; at the end it is closed, and so is `found`."""
    turn = threading.Lock()  # who gave up waiting for a chunk does not stop the thread that reads it

    def step() -> bytes:
        with turn:
            return next(chunks, b"")

    def close() -> None:
        with turn:
            chunks.close()

    try:
        while chunk := await threads.run(session_id, step):
            yield chunk
    finally:
        if found is not None:
            found.close()
        # Now: what is only forgotten keeps its descriptors until the interpreter looks for circles.
        await asyncio.shield(asyncio.to_thread(close))


@router.delete("/files/{path:file}", status_code=204)
async def delete(client_ip: str, path: str, services: ServicesDep, access: AccessDep) -> Response:
    """Remove a file, or a directory with everything in it; the three top directories are emptied."""
    session = access.session
    place = place_of(services, session, parse_path(path))
    await services.threads.run(session.id, remove, *place)
    await note_changed(services, session, path)
    return Response(status_code=204)


@router.get("/archive", response_class=Response)
async def zipped(client_ip: str, services: ServicesDep, access: AccessDep, path: _PathQuery = "outputs") -> Response:
    """A directory as a zip."""
    session = access.session
    place = place_of(services, session, parse_path(path))
    chunks = await services.threads.run(session.id, archive, *place)
    headers = attachment((path.rpartition("/")[2] or session.name) + ".zip")
    return StreamingResponse(
        chunks_of(services.threads, session.id, chunks), media_type="application/zip", headers=headers
    )
