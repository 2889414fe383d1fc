"""What all ways to send a file have in common: where it goes, how its bytes are handed on, and who is told."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request

from lan_session_manager.settings import MB
from lan_session_manager.store.records import EventKind, SessionRecord
from lan_session_manager.web.services import Services, written
from lan_session_manager.workspace import Workspace
from lan_session_manager.workspace.listing import Entry
from lan_session_manager.workspace.paths import Parts
from lan_session_manager.workspace.upload import Upload

_GATHERED = 1 << 20  # bytes of an upload that go to a thread at once


def place_of(services: Services, session: SessionRecord, path: Parts) -> tuple[Workspace, Parts]:
    """Where a path of a session leads: into its workspace, or into the shared resources."""
    manager = services.manager
    return manager.workspaces.place(manager.sessions.workspace(session), path)


def entry_view(entry: Entry) -> dict[str, Any]:
    """An entry of a directory as clients see it."""
    return {"name": entry.name, "type": str(entry.type), "size": entry.size, "modified": moment(entry.modified)}


def moment(at: float) -> str:
    """A Unix time as clients see it."""
    return datetime.fromtimestamp(at, UTC).isoformat()


def new_upload(
    services: Services, session: SessionRecord, path: Parts, *, overwrite: bool, size: int | None = None
) -> Upload:
    """A file that arrives, within what the session and the disk have room for. Makes calls of the file system."""
    workspace, inside = place_of(services, session, path)
    return Upload(
        workspace,
        inside,
        limit_bytes=services.manager.settings.upload_mb * MB,
        quota=services.manager.sessions.quota(session),
        reserve_bytes=services.manager.disk_reserve,
        size=size,
        overwrite=overwrite,
    )


def announced(request: Request) -> int | None:
    """How many bytes the client says that come, if it does."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isdigit() and len(text) < 19 else None


async def note_changed(services: Services, session: SessionRecord, path: str) -> None:
    """Tell the session's other dashboards."""
    manager = services.manager
    manager.sessions.workspace(session).touch()
    now = manager.tasks.now()
    await written(
        manager.store.write(lambda tx: tx.add_event(now, EventKind.WORKSPACE_CHANGED, session.id, None, path=path))
    )


async def receive(request: Request, services: Services, session: SessionRecord, write: Callable[[bytes], None]) -> None:
    """Hand the bytes of a body on as they come, in threads; of one that breaks off too, and raise ClientDisconnect."""
    gathered = bytearray()
    try:
        async for chunk in request.stream():
            gathered += chunk
            if len(gathered) >= _GATHERED:
                await services.threads.run(session.id, write, bytes(gathered))
                gathered.clear()
    except ClientDisconnect:
        await services.threads.run(session.id, write, bytes(gathered))
        raise
    if gathered:
        await services.threads.run(session.id, write, bytes(gathered))
