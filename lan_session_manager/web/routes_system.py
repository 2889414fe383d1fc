"""The page itself, the swarm's health, and how to join."""

import io
from typing import Any
from urllib.parse import urlsplit

import segno
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lan_session_manager.activity import iso
from lan_session_manager.banner import ca_url
from lan_session_manager.web.assets import Assets
from lan_session_manager.web.language import language_of
from lan_session_manager.web.live import Hub
from lan_session_manager.web.policy import AccessDep
from lan_session_manager.web.services import Services, ServicesDep

router = APIRouter()


@router.get("/", include_in_schema=False)
async def dashboard(request: Request) -> Response:
    """The dashboard."""
    return page(request, "index")


def page(request: Request, name: str) -> Response:
    """One of the two pages, in the language of who asks."""
    assets: Assets = request.app.state.assets
    return HTMLResponse(
        assets.page(name, language_of(request, assets.languages)),
        headers={"Cache-Control": "no-cache", "Vary": "Accept-Language, Cookie"},
    )


@router.get("/api/client-ip")
async def client_ip(services: ServicesDep, access: AccessDep) -> dict[str, Any]:
    """The address that the server sees the caller at."""
    return {"ip": str(access.caller.address), "timestamp": iso(services.manager.tasks.now())}


@router.get("/api/system/health")
async def health(request: Request, services: ServicesDep) -> dict[str, Any]:
    """The swarm's health, in counts."""
    hub: Hub = request.app.state.hub
    activity = services.manager.activity
    picture = activity.picture()
    return {
        **activity.swarm(picture),
        "disk_quotas": services.manager.quota_line,
        "active_tasks": picture.total_running,
        "websocket_connections": hub.count,
    }


@router.get("/api/sessions/all")
async def all_sessions(services: ServicesDep) -> dict[str, Any]:
    """All live sessions, for the owner."""
    return services.manager.get_all_sessions_info()


@router.get("/api/join")
async def join(services: ServicesDep) -> dict[str, Any]:
    """The addresses that other devices open; `notice` says why no other device can, where that is so.

    `local_url` is the same by the `.local` name, where somebody on the network answers for it, else null.
    `ca_url` is where a device gets the certificate authority that it has to trust, in plain HTTP, and `ca_fingerprint`
    its SHA-256; both null where there is none.
    """
    ca = services.ca
    return {
        "url": services.urls[0],
        "urls": list(services.urls),
        "local_url": await _local_url(services),
        "notice": " ".join(services.notice[:1]),
        "ca_url": ca_url(services.urls[0]) if ca else None,
        "ca_fingerprint": ca.fingerprint if ca else None,
    }


async def _local_url(services: Services) -> str | None:
    url = urlsplit(services.urls[0])
    if services.notice or (url.hostname or "").startswith("127."):
        return None
    name = await services.local_name.find()
    return f"{url.scheme}://{name}:{url.port}" if name else None


@router.get("/api/join/qr.svg", response_class=Response)
async def join_qr(services: ServicesDep) -> Response:
    """The first address as a QR code."""
    picture = io.BytesIO()
    segno.make(services.urls[0], micro=False).save(picture, kind="svg", border=2, light="#ffffff", omitsize=True)
    return Response(picture.getvalue(), media_type="image/svg+xml")
