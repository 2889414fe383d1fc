"""The web application: its layers, its routes, and what runs beside them as long as it does."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import Depends, FastAPI

from lan_session_manager.connections import ConnectionLog
from lan_session_manager.diskwatch import DiskWatch
from lan_session_manager.dispatcher import Dispatcher
from lan_session_manager.errors import LSMError
from lan_session_manager.tls.keeper import keep_fresh
from lan_session_manager.version import __version__
from lan_session_manager.web import (
    routes_admin,
    routes_admin_login,
    routes_ca,
    routes_connections,
    routes_devices,
    routes_files,
    routes_live,
    routes_logs,
    routes_owner,
    routes_owner_queue,
    routes_previews,
    routes_queue,
    routes_retention,
    routes_samples,
    routes_sessions,
    routes_system,
    routes_tasks,
    routes_trash,
    routes_uploads,
    routes_workers,
)
from lan_session_manager.web.assets import Assets
from lan_session_manager.web.guards import Guard, add_error_handlers
from lan_session_manager.web.live import Hub
from lan_session_manager.web.policy import check
from lan_session_manager.web.schemas import Error
from lan_session_manager.web.services import Services
from lan_session_manager.web.task_ids import WholeTaskIds
from lan_session_manager.web.tls_redirect import TlsOnly
from lan_session_manager.web.usage import tell_usage

_log = logging.getLogger(__name__)

_SWEEP_S = 10.0
_SOON_S = 0.2
_RETENTION_S = 900.0
_SWEEP_UPLOADS_S = 600.0
_ERRORS = (400, 401, 403, 404, 405, 409, 413, 415, 416, 421, 422, 429, 503, 507)


def create_app(services: Services) -> FastAPI:
    """The application over the rooms in `services`."""
    app = FastAPI(
        title="LAN Session Manager",
        version=__version__,
        openapi_url="/api/docs.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        redirect_slashes=False,
        dependencies=[Depends(check)],
        responses={status: {"model": Error} for status in _ERRORS},
    )
    app.state.services = services
    app.state.hub = Hub(services.manager)
    for routes in (
        routes_admin_login,
        routes_ca,
        routes_connections,
        routes_devices,
        routes_system,
        routes_sessions,
        routes_queue,  # before the routes of one task: "batch" is none
        routes_tasks,
        routes_logs,
        routes_samples,
        routes_files,
        routes_previews,
        routes_trash,
        routes_uploads,
        routes_workers,
        routes_live,
    ):
        app.include_router(routes.router)
    for prefix in ("/api/admin", "/admin/api"):  # with the token, and with the cookie of the admin page
        app.include_router(routes_admin.router, prefix=prefix)
        app.include_router(routes_retention.router, prefix=prefix)
        app.include_router(routes_owner.router, prefix=prefix)
        app.include_router(routes_owner_queue.router, prefix=prefix)
    app.state.assets = Assets()
    app.mount("/static", app.state.assets)
    add_error_handlers(app)
    app.add_middleware(WholeTaskIds)
    if services.tls:
        app.add_middleware(TlsOnly, admission=services.admission)
    app.add_middleware(Guard, admission=services.admission, turns=services.turns)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    hub: Hub = app.state.hub
    manager = services.manager
    feed = services.feed
    hub.attach(feed)
    manager.activity.used_now = services.engine.used_now
    services.peers.attach(feed)
    running = [
        _kept_running("feed", feed.run),
        _kept_running("hub", hub.run),
        _kept_running("usage", tell_usage(hub, services)),
        _kept_running("sweep", _sweep(services, hub)),
        _kept_running("uploads", _sweep_uploads(services)),
        _kept_running("retention", _look_after_retention(services)),
        _kept_running("leases of workers", services.workers.run),
    ]
    disk = DiskWatch(manager.data_dir, manager.sessions, services.engine, manager.disk_reserve)
    dispatcher = Dispatcher(
        manager.store,
        manager.tasks,
        manager.sessions,
        services.engine,
        disk,
        manager.settings,
        services.isolation.grade if services.isolation else None,
        manager.shares,
    )
    dispatcher.attach(feed)
    running += [
        _kept_running("dispatcher", dispatcher.run),
        _kept_running("disk watch", disk.run),
        services.drain.run(dispatcher, manager.activity),
    ]
    connections = ConnectionLog(manager.store, services.journal)
    running += [
        _kept_running("log of connections", connections.run),
        _kept_running("audit log", services.audit.run),
    ]
    if services.tls:
        running.append(_kept_running("certificate", functools.partial(keep_fresh, services.tls)))
    tasks = [asyncio.create_task(part) for part in running]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await services.engine.close()
        with contextlib.suppress(LSMError):
            await connections.flush()
        await services.audit.close()
        services.neighbours.close()
        await asyncio.to_thread(manager.close)


async def _kept_running(name: str, part: Callable[[], Awaitable[None]]) -> None:
    """Run a part of the server until cancelled; a fault of it is logged, and it starts again."""
    while True:
        try:
            await part()
        except Exception:  # noqa: BLE001 - whatever it is, the server goes on
            _log.exception("the %s failed; it starts again", name)
            await asyncio.sleep(1)


def _sweep_uploads(services: Services) -> Callable[[], Awaitable[None]]:
    """What gives up uploads that nobody goes on with."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_SWEEP_UPLOADS_S)
            await asyncio.to_thread(services.manager.workspaces.sweep, services.manager.disk_reserve)

    return sweep


def _until_expiry(services: Services) -> float:
    """How long until somebody's session may expire: not long, as a clock may be set."""
    sessions, now = services.manager.sessions, services.manager.tasks.now()
    at = sessions.next_expiry()
    return _SWEEP_S if at is None else min(_SWEEP_S, max(_SOON_S, at - now))


def _look_after_retention(services: Services) -> Callable[[], Awaitable[None]]:
    """What puts sessions that nobody comes back to into the trash, and then away."""

    async def look() -> None:
        while True:
            await services.retention.look(services.manager.tasks.now())
            await asyncio.sleep(_RETENTION_S)

    return look


def _sweep(services: Services, hub: Hub) -> Callable[[], Awaitable[None]]:
    """What expires idle sessions."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_until_expiry(services))
            hub.keep_open()  # before each look, so that neither a short timeout nor a clock that is set expires them
            if removed := await asyncio.to_thread(services.manager.sessions.make_room):
                _log.warning("%d sessions that were only looked at were removed: user ids are scarce", removed)
            for session in await asyncio.to_thread(services.manager.sessions.expire_idle):
                _log.info("session %s expired", session.name)
                try:
                    await services.engine.release(session.name)
                    await asyncio.to_thread(services.manager.sessions.release, session)
                except OSError:
                    _log.exception("what the kernel keeps of session %s could not be removed", session.name)

    return sweep
