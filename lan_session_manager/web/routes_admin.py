"""What the owner gives to single sessions."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from lan_session_manager.addresses import parse_address
from lan_session_manager.allowances import allowance_of
from lan_session_manager.errors import InvalidInputError, NotFoundError
from lan_session_manager.store.records import LimitsRecord, SessionRecord
from lan_session_manager.web.schemas import SessionLimits
from lan_session_manager.web.services import CallerDep, Services, ServicesDep, need_admin, written

router = APIRouter(prefix="/api/admin/session/{client_ip}")


def _session(services: Services, client_ip: str) -> SessionRecord:
    session = services.manager.store.read.session_of_address(str(parse_address(client_ip)))
    if session is None:
        raise NotFoundError
    return session


def _view(services: Services, session: SessionRecord) -> dict[str, Any]:
    manager = services.manager
    read = manager.store.read
    return {
        "ip": session.address,
        "session_id": session.id,
        "limits": asdict(allowance_of(read, manager.settings, session.id)),
        "given": asdict(read.limits_of(session.id)),
    }


@router.get("/limits")
async def limits(client_ip: str, services: ServicesDep, caller: CallerDep) -> dict[str, Any]:
    """What a session may use (`limits`), and what of that the owner has given to it alone (`given`)."""
    need_admin(caller)
    return _view(services, _session(services, client_ip))


@router.put("/limits")
async def give(client_ip: str, body: SessionLimits, services: ServicesDep, caller: CallerDep) -> dict[str, Any]:
    """Give a session limits of its own; what is left out is as the settings have it. In force from its next task on."""
    need_admin(caller)
    session = _session(services, client_ip)
    known = services.manager.settings.egress
    if unknown := [name for name in body.networks or () if name not in known]:
        there_are = ", ".join(known) or "none"
        raise InvalidInputError(what=f"There is no network profile {unknown[0][:100]}. There are: {there_are}.")
    networks = None if body.networks is None else tuple(dict.fromkeys(body.networks))
    given = LimitsRecord(**{**body.model_dump(), "networks": networks})
    await written(services.manager.store.write(lambda tx: tx.set_limits(session.id, given)))
    return _view(services, session)
