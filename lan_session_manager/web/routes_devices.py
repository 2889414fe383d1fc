"""Devices: a browser or a program gets a secret of its own, names itself, carries its session, is forgotten."""

import asyncio
import io
from collections.abc import Callable
from typing import Any, TypeVar

import segno
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lan_session_manager.activity import iso
from lan_session_manager.errors import CarryError, DeviceNeededError, NotFoundError, TooManyRequestsError
from lan_session_manager.identity import Caller
from lan_session_manager.identity.carry import LIFE_S
from lan_session_manager.identity.decide import Seen
from lan_session_manager.identity.devices import HEADER, checked_name, cookie, default_name, hash_of, new_token
from lan_session_manager.identity.settle import settle_claim, settle_move
from lan_session_manager.store import Transaction
from lan_session_manager.store.records import DeviceKind, DeviceRecord
from lan_session_manager.web.peers import peer_of
from lan_session_manager.web.policy import AccessDep, note
from lan_session_manager.web.rates import Rate
from lan_session_manager.web.schemas import Claim, Enrol, Rename
from lan_session_manager.web.services import Services, ServicesDep, written

T = TypeVar("T")

router = APIRouter(prefix="/api/device")


@router.get("")
async def show(services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Who the caller is. Makes nothing."""
    return _facts(services, access.caller)


@router.post("")
async def enrol(request: Request, services: ServicesDep, access: AccessDep, body: Enrol | None = None) -> Response:
    """Make the caller a device, if it is none yet: a browser gets a cookie, a program a token."""
    caller, wanted = access.caller, body or Enrol()
    kind = DeviceKind.PROGRAM if wanted.program else DeviceKind.BROWSER
    is_known = caller.device is not None and kind is DeviceKind.BROWSER
    token = (services.device_token(request) or "") if is_known else new_token()
    if is_known and not wanted.fresh:
        await services.own_session(caller)
    else:
        seen = _seen(caller)
        services.rates.take_mint(caller.address, seen.mac)
        name = checked_name(wanted.name) if wanted.name else default_name(kind, request.headers.get("user-agent", ""))
        _let_go(request, caller)
        await asyncio.to_thread(
            services.manager.sessions.add_device, seen, kind, name, hash_of(token), fresh=wanted.fresh
        )
    facts = _facts(services, services.caller_by(request, token))
    if kind is DeviceKind.PROGRAM:
        return JSONResponse({**facts, "token": token})
    if is_known and HEADER in request.headers:
        return JSONResponse(facts)  # it keeps its token by itself
    return _with_cookie(services, request, JSONResponse(facts), token)


@router.patch("")
async def rename(body: Rename, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Give this device a name."""
    device, name = _device(access.caller), checked_name(body.name)
    return _view(await _written(services, device.id, lambda tx: tx.name_device(device.id, name)), device)


@router.delete("", status_code=204)
async def forget(request: Request, services: ServicesDep, access: AccessDep) -> Response:
    """Forget this device: its secret opens nothing any more, its addresses name nothing."""
    device = _device(access.caller)
    _let_go(request, access.caller)
    await _remove(services, device, is_own=True)
    return _with_cookie(services, request, Response(status_code=204), "")


@router.delete("/{device_id}", status_code=204)
async def forget_other(services: ServicesDep, access: AccessDep, request: Request) -> Response:
    """Forget a device of the same session; one that was carried here goes back to its own session."""
    if access.caller.device is not None and access.caller.device.id == access.device.id:
        return await forget(request, services, access)
    await _remove(services, access.device, is_own=False)
    return Response(status_code=204)


@router.post("/carry")
async def carry(services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """A code, and the same as a QR code, with which one other device may open this session."""
    device = _device(access.caller)
    made = services.carries.make(device.id, device.session_id)
    if made is None:
        raise TooManyRequestsError(seconds=int(LIFE_S))
    url = f"{services.urls[0].rstrip('/')}/#carry={made.secret}"
    picture = io.BytesIO()
    segno.make(url, micro=False).save(
        picture, kind="svg", border=2, light="#ffffff", omitsize=True, xmldecl=False, nl=False
    )
    return {
        "code": made.code,
        "secret": made.secret,
        "url": url,
        "qr": picture.getvalue().decode(),
        "expires_at": iso(services.manager.tasks.now() + LIFE_S),
    }


@router.post("/claim")
async def claim(body: Claim, request: Request, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Open the session that another device carries to this one."""
    device, seen = _device(access.caller), _seen(access.caller)
    rates, address = services.rates, str(access.caller.address)
    if body.code:
        rates.look(Rate.CLAIM, address)
        rates.look(Rate.CLAIM_ALL, "")
    given = services.carries.claim(code=body.code, secret=body.secret)
    if given is None:
        rates.take(Rate.CLAIM, address)
        if body.code:
            rates.take(Rate.CLAIM_ALL, "")
        note(services, access.caller, "POST /api/device/claim", refused=CarryError.code)
        raise CarryError
    return await _move(request, services, access.caller, lambda tx, now: settle_claim(tx, seen, device.id, given, now))


@router.post("/leave")
async def leave(request: Request, services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """Go back to the device's own session."""
    device, seen = _device(access.caller), _seen(access.caller)
    home = device.home_session_id
    return await _move(request, services, access.caller, lambda tx, now: settle_move(tx, seen, device.id, home, now))


async def _move(
    request: Request, services: Services, caller: Caller, move: Callable[[Transaction, float], DeviceRecord]
) -> dict[str, Any]:
    now = services.manager.tasks.now()
    _let_go(request, caller)
    services.carries.drop(_device(caller).id)
    await _written(services, _device(caller).id, lambda tx: move(tx, now))
    moved = services.caller(request)
    await services.own_session(moved)  # it may have expired
    return _facts(services, services.caller(request))


async def _remove(services: Services, device: DeviceRecord, *, is_own: bool) -> None:
    now = services.manager.tasks.now()
    services.carries.drop(device.id)
    if device.home_session_id != device.session_id and not is_own:
        # Else who carried their session to it could take its own one from it.
        await _written(services, device.id, lambda tx: tx.move_device(device.id, device.home_session_id, now))
    else:
        await _written(services, device.id, lambda tx: tx.remove_device(device.id, now))


async def _written(services: Services, device_id: str, change: Callable[[Transaction], T]) -> T:
    """The result of a change of a device. Raises NotFoundError when it was forgotten in this moment."""

    def job(tx: Transaction) -> T:
        if tx.device(device_id) is None:
            raise NotFoundError
        return change(tx)

    return await written(services.manager.store.write(job))


def _let_go(request: Request, caller: Caller) -> None:
    """The answer to this very request is not one of those that end when its device leaves the session."""
    peer = peer_of(request.scope)
    if peer is not None and peer.caller is caller:
        peer.caller = None


def _device(caller: Caller) -> DeviceRecord:
    if caller.device is None:
        raise DeviceNeededError
    return caller.device


def _seen(caller: Caller) -> Seen:
    if caller.seen is None:
        raise DeviceNeededError
    return caller.seen


def _with_cookie(services: Services, request: Request, response: Response, token: str) -> Response:
    response.headers["set-cookie"] = cookie(token, is_tls=services.admission.is_tls(request.scope))
    return response


def _facts(services: Services, caller: Caller) -> dict[str, Any]:
    manager, session = services.manager, caller.session
    devices = manager.store.read.devices_of(session.id) if session else []
    return {
        "device": _view(caller.device, caller.device) if caller.device else None,
        "devices": [_view(device, caller.device) for device in devices],
        "session": manager.activity.session(session) if session else None,
        "is_shared": caller.is_shared,
        "identity": str(manager.settings.identity),
        "can_tell": caller.seen is not None and caller.seen.mac is not None,
    }


def _view(device: DeviceRecord, this: DeviceRecord | None) -> dict[str, Any]:
    return {
        "id": device.id,
        "name": device.name,
        "kind": str(device.kind),
        "is_this": this is not None and device.id == this.id,
        "is_guest": device.home_session_id != device.session_id,
        "address": device.address,
        "created_at": iso(device.created_at),
        "last_seen": iso(device.last_seen),
    }
