"""The admin page, and how the owner logs in there: with the admin token, and never by an address."""

import hmac
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from lan_session_manager.errors import AdminTokenError
from lan_session_manager.web.admin_login import LIFE_S, PATH, sent_cookie, set_cookie
from lan_session_manager.web.policy import AccessDep, note
from lan_session_manager.web.rates import Rate
from lan_session_manager.web.routes_system import page
from lan_session_manager.web.schemas import AdminLogin
from lan_session_manager.web.services import ServicesDep

router = APIRouter()


@router.get(PATH, include_in_schema=False)
async def admin_page(request: Request) -> Response:
    """The admin page: the same for everybody, it shows what it is let."""
    return page(request, "admin")


@router.post("/admin/login", response_class=JSONResponse)
async def login(body: AdminLogin, request: Request, services: ServicesDep, access: AccessDep) -> Response:
    """Log in with the admin token: sets a cookie that counts below /admin alone, for `expires_in_s` seconds."""
    address = str(access.caller.address)
    services.rates.look(Rate.LOGIN, address)
    if not hmac.compare_digest(body.token.strip().encode("utf-8", "replace"), services.tokens.admin.encode()):
        services.rates.take(Rate.LOGIN, address)
        note(services, access.caller, "POST /admin/login", refused=AdminTokenError.code)
        raise AdminTokenError
    note(services, access.caller, "POST /admin/login")
    answer: dict[str, Any] = {"expires_in_s": LIFE_S}
    response = JSONResponse(answer)
    set_cookie(response, services.admin_logins.begin(), is_tls=services.admission.is_tls(request.scope))
    return response


@router.get("/admin/login")
async def is_logged_in(access: AccessDep) -> dict[str, Any]:
    """Whether the request's cookie is that of a login."""
    return {"is_logged_in": access.caller.is_admin}


@router.post("/admin/logout", status_code=204)
async def logout(request: Request, services: ServicesDep, access: AccessDep) -> Response:
    """End the login of the request's cookie, if there is one."""
    is_tls = services.admission.is_tls(request.scope)
    services.admin_logins.end(sent_cookie(request, is_tls=is_tls))
    if access.caller.is_admin:
        note(services, access.caller, "POST /admin/logout")
    response = Response(status_code=204)
    set_cookie(response, "", is_tls=is_tls)
    return response
