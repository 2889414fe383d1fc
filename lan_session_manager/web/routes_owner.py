"""What the owner's page asks for all the time, the owner's message to everybody, and the server's health and settings.

Served twice, as `routes_admin` is.
"""

import asyncio
import platform
import unicodedata
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from lan_session_manager.activity import iso, message_view
from lan_session_manager.doctor.findings import overall
from lan_session_manager.errors import InvalidInputError
from lan_session_manager.settings import SECRET, Settings
from lan_session_manager.version import __version__
from lan_session_manager.web.conditional import unless_known
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.schemas import OwnerMessage
from lan_session_manager.web.services import Services, ServicesDep, written

router = APIRouter()

_MB = 1024 * 1024
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


@router.get("/overview", response_class=Response)
async def overview(request: Request, services: ServicesDep) -> Response:
    """What every view of the owner's page shows: the swarm's health, counts, and the message.

    304 where nothing changed.
    """
    manager, checkup = services.manager, services.checkup
    read, now = manager.store.read, manager.tasks.now()
    picture = manager.activity.picture()
    running, queued = read.live_counts()
    swarm = manager.activity.swarm(picture)
    body = {
        **swarm,
        "live_sessions": picture.live_sessions,
        "known_sessions": read.known_session_count(),
        "paused_sessions": len(read.paused_sessions()),
        "leaving_sessions": len(services.retention.leaving(now)),
        "running": running,
        "queued": queued,
        "message": message_view(read.message(now)),
        "doctor": overall(checkup.findings) if checkup.findings is not None else None,
        "timestamp": iso(now),
    }
    return unless_known(request, body)


@router.put("/message")
async def tell(body: OwnerMessage, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Tell everybody something, in place of what was told before: one line on all pages."""
    text = body.text.strip()
    if not text:
        raise InvalidInputError(what="The message is empty. Write what everybody should know.")
    if any(unicodedata.category(character) in _UNSEEN for character in text):
        raise InvalidInputError(what="The message has control characters or line ends. Write it as one line of text.")
    manager = services.manager
    now = manager.tasks.now()
    until = None if body.for_s is None else now + body.for_s
    await written(manager.store.write(lambda tx: tx.set_message(text, now, until)))
    return {"message": message_view(manager.store.read.message(now))}


@router.delete("/message", status_code=204)
async def take_back(services: ServicesDep, access: AccessDep) -> Response:
    """Tell nothing any more; where nothing was told this changes nothing."""
    manager = services.manager
    now = manager.tasks.now()
    await written(manager.store.write(lambda tx: tx.take_message_back(now)))
    return Response(status_code=204)


@router.get("/health", response_class=Response)
async def health(request: Request, services: ServicesDep) -> Response:
    """The server's health: what the doctor found last, versions, the disk, the database and its copies.

    The first look of the doctor begins with the first question; until it has ended `findings` is null.
    """
    checkup = services.checkup
    if checkup.at is None:
        _examine(services)
    return unless_known(request, await asyncio.to_thread(_health, services))


@router.post("/doctor")
async def examine_again(services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Have the doctor look again; one who asks too soon gets what was found a moment ago."""
    _examine(services)
    return _checked(services)


def _examine(services: Services) -> None:
    services.checkup.begin(services.manager.data_dir, services.urls[0])


def _checked(services: Services) -> dict[str, Any]:
    checkup = services.checkup
    found = checkup.findings
    return {
        "checking": checkup.is_running,
        "checked_at": iso(checkup.at),
        "check_failed": checkup.failed,
        "again_in_s": round(checkup.wait_s),
        "verdict": overall(found) if found is not None else None,
        "findings": None if found is None else [asdict(finding) for finding in found],
    }


def _health(services: Services) -> dict[str, Any]:
    manager = services.manager
    machine, isolation = manager.watch.machine, services.isolation
    state_dir = manager.state_dir
    return {
        **_checked(services),
        "versions": {"server": __version__, "python": platform.python_version(), "kernel": platform.release()},
        "started_at": iso(manager.activity.started_at),
        "draining": manager.activity.is_draining,
        "isolation": vars(isolation) if isolation else None,
        "notice": list(services.notice),
        "urls": list(services.urls),
        "data_dir": str(manager.data_dir),
        "disk_quotas": manager.quota_line,
        "disk_free_mb": machine.disk_free_mb,
        "disk_total_mb": machine.disk_total_mb,
        "disk_reserve_mb": manager.disk_reserve // _MB,
        "database_mb": round(sum(map(_size, state_dir.glob("state.db*"))) / _MB, 1),
        "copies": _copies(state_dir / "backups"),
        "timestamp": iso(manager.tasks.now()),
    }


def _copies(directory: Path) -> list[dict[str, Any]]:
    """The copies of the database that updates of the server have made, the newest first."""
    found = sorted(directory.glob("state.db.v*"), key=lambda path: path.name, reverse=True)
    return [{"name": path.name, "size_mb": round(_size(path) / _MB, 1), "at": iso(_changed(path))} for path in found]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _changed(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


@router.get("/settings", response_class=Response)
async def settings(request: Request, services: ServicesDep) -> Response:
    """Every setting as it is in force, what it means, and where it comes from; of a secret only whether it is set."""
    known = services.manager.settings
    body = {
        "settings": [_setting(known, name) for name in Settings.model_fields],
        "file": str(services.manager.state_dir / "settings.toml"),
        "timestamp": iso(services.manager.tasks.now()),
    }
    return unless_known(request, body)


def _setting(known: Settings, name: str) -> dict[str, Any]:
    field = Settings.model_fields[name]
    alias = field.validation_alias
    value = known.model_dump(mode="json", include={name})[name]
    return {
        "name": name,
        "variable": str(getattr(alias, "choices", [name])[0]),
        "value": None if name in SECRET else value,
        "is_secret": name in SECRET,
        "is_set": bool(value),
        "source": known.source(name),
        "meaning": field.description or "",
    }
