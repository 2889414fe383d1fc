"""What the owner sees of all sessions, gives to single ones, and ends.

Served twice: below /api/admin with the token, and below /admin/api with the cookie of the admin page.
"""

import asyncio
import logging
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from lan_session_manager import runners
from lan_session_manager.activity import iso, usage_view
from lan_session_manager.allowances import Allowance, allowance_of
from lan_session_manager.audit import AuditVerdict
from lan_session_manager.errors import InvalidInputError
from lan_session_manager.states import SessionState
from lan_session_manager.store.records import AuditRecord, LimitsRecord, SessionRecord
from lan_session_manager.web.conditional import unless_known
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.routes_connections import LAST, Before, Most, page_of
from lan_session_manager.web.schemas import SessionLimits
from lan_session_manager.web.services import Services, ServicesDep, written

_log = logging.getLogger(__name__)

router = APIRouter()

_MostSessions = Annotated[int, Query(ge=1, le=2000, description="sessions that are listed")]


def _limits_view(services: Services, session: SessionRecord) -> dict[str, Any]:
    manager = services.manager
    read = manager.store.read
    return {
        "ip": session.address,
        "workspace": session.name,
        "session_id": session.id,
        "limits": asdict(allowance_of(read, manager.settings, session.id)),
        "given": asdict(read.limits_of(session.id)),
    }


@router.get("/session/{client_ip}/limits")
async def limits(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """What a session may use (`limits`), and what of that the owner has given to it alone (`given`)."""
    return _limits_view(services, access.session)


@router.put("/session/{client_ip}/limits")
async def give(client_ip: str, body: SessionLimits, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Give a session limits of its own; what is left out is as the settings have it. In force from its next task on."""
    session = access.session
    known = services.manager.settings.egress
    if unknown := [name for name in body.networks or () if name not in known]:
        there_are = ", ".join(known) or "none"
        raise InvalidInputError(what=f"There is no network profile {unknown[0][:100]}. There are: {there_are}.")
    networks = None if body.networks is None else tuple(dict.fromkeys(body.networks))
    given = LimitsRecord(**{**body.model_dump(), "networks": networks})
    await written(services.manager.store.write(lambda tx: tx.set_limits(session.id, given)))
    return _limits_view(services, session)


@router.post("/session/{client_ip}/end")
async def end(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """End a session now: what waits is cancelled, what runs is stopped, files stay; its device finds them again."""
    manager, session = services.manager, access.session
    expired = await written(manager.sessions.expire(session.id))
    if expired:
        try:
            await asyncio.to_thread(manager.sessions.write_facts, expired)
        except OSError:
            _log.exception("the facts of session %s could not be written to its workspace", expired.name)
    now = manager.store.read.session(session.id) or session
    return {"session_id": now.id, "workspace": now.name, "state": str(now.state)}


@router.post("/session/{client_ip}/pause")
async def pause(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Start nothing of a session any more: what runs goes on, what is handed in waits."""
    manager, session = services.manager, access.session
    now = manager.tasks.now()
    await written(manager.store.write(lambda tx: tx.pause_session(session.id, now)))
    return _pause_view(services, session)


@router.post("/session/{client_ip}/resume")
async def resume(client_ip: str, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Have a paused session go on."""
    manager, session = services.manager, access.session
    now = manager.tasks.now()
    await written(manager.store.write(lambda tx: tx.unpause_session(session.id, now)))
    return _pause_view(services, session)


def _pause_view(services: Services, session: SessionRecord) -> dict[str, Any]:
    now = services.manager.store.read.session(session.id) or session
    return {"session_id": now.id, "workspace": now.name, "state": str(now.state), "paused_at": iso(now.paused_at)}


@router.get("/sessions", response_class=Response)
async def sessions(request: Request, services: ServicesDep, most: _MostSessions = 500) -> Response:
    """Live and expired sessions with their devices and what they use; the live ones first, then by activity.

    304 where nothing changed.
    """
    return unless_known(request, await asyncio.to_thread(_sessions, services, most))


def _sessions(services: Services, most: int) -> dict[str, Any]:
    manager = services.manager
    read = manager.store.read
    load = read.load_by_session()
    used = _used_by_session(services)
    return {
        "total": read.known_session_count(),
        "live": read.live_session_count(),
        "sessions": [
            _session(services, one, load.get(one.id, (0, 0, 0)), used.get(one.id)) for one in read.known_sessions(most)
        ],
        "networks": sorted(manager.settings.egress),
        "timestamp": iso(manager.tasks.now()),
    }


def _used_by_session(services: Services) -> dict[str, tuple[float, float]]:
    """Processor cores and MB of memory that the running tasks of each session use now; of sessions that run any."""
    now = services.engine.used_now()
    found: dict[str, tuple[float, float]] = {}
    for task_id, session_id, *_ in services.manager.store.read.running_facts(tuple(runners.SANDBOXED)):
        if task_id in now:
            cores, memory_mb = found.get(session_id, (0.0, 0.0))
            found[session_id] = (cores + now[task_id].cores, memory_mb + (now[task_id].memory_mb or 0.0))
    return found


def _session(
    services: Services, session: SessionRecord, load: tuple[int, int, int], used: tuple[float, float] | None
) -> dict[str, Any]:
    manager = services.manager
    read = manager.store.read
    allowed: Allowance = allowance_of(read, manager.settings, session.id)
    running, queued, memory_mb = load
    is_live = session.state is SessionState.LIVE
    return {
        "session_id": session.id,
        "workspace": session.name,
        "ip": session.address,
        "state": str(session.state),
        "paused_at": iso(session.paused_at),
        "trashed_at": iso(session.trashed_at),
        "created_at": iso(session.created_at),
        "last_activity": iso(session.last_activity),
        "total_tasks": session.total_tasks,
        "devices": [
            {
                "name": device.name,
                "kind": str(device.kind),
                "address": device.address,
                "last_seen": iso(device.last_seen),
            }
            for device in read.devices_of(session.id)
        ],
        "running": running,
        "queued": queued,
        "memory_mb": memory_mb,  # that those that run may have together
        "used": {"cores": round(used[0], 2), "memory_mb": round(used[1], 1)} if used else None,
        # A scan of a session that nobody uses would cost the disk something for nobody.
        "usage": usage_view(manager.sessions.workspace(session).usage()) if is_live else None,
        "limits": dict(vars(allowed)),
        "given": dict(vars(read.limits_of(session.id))),
    }


def _entry(row: AuditRecord) -> dict[str, Any]:
    return {**asdict(row), "at": iso(row.at)}


@router.get("/audit")
async def audit(
    services: ServicesDep,
    before: Before = LAST,
    most: Most = 100,
    session: Annotated[str, Query(max_length=300, description="an address or a workspace's name")] = "",
    verdict: AuditVerdict | None = None,
) -> dict[str, Any]:
    """The audit log, newest first; of one session, or of what was allowed or refused, if that is asked for."""
    session_id = services.known_session_at(session).id if session else None
    found = await asyncio.to_thread(
        lambda: services.manager.store.read.audit(before, most, session_id=session_id, verdict=verdict)
    )
    return {"entries": [_entry(row) for row in found], "next": found[-1].id if len(found) == most else None}


@router.get("/connections")
async def connections(services: ServicesDep, before: Before = LAST, most: Most = 100) -> dict[str, Any]:
    """What all tasks tried to reach, newest first; of tasks that are deleted too."""
    found = services.manager.store.read.connections(before, most)
    return page_of([(connection.id, connection) for connection in found], most)
