"""The web application: its layers, its routes, and what runs beside them as long as it does."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from lan_session_manager.audit import Audit
from lan_session_manager.diskwatch import DiskWatch
from lan_session_manager.dispatcher import Dispatcher
from lan_session_manager.errors import LSMError
from lan_session_manager.version import __version__
from lan_session_manager.web import (
    routes_admin,
    routes_connections,
    routes_files,
    routes_live,
    routes_sessions,
    routes_system,
    routes_tasks,
)
from lan_session_manager.web.guards import Guard, add_error_handlers
from lan_session_manager.web.live import Hub
from lan_session_manager.web.schemas import Error
from lan_session_manager.web.services import Services

_log = logging.getLogger(__name__)

_SWEEP_S = 10.0
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
        responses={status: {"model": Error} for status in _ERRORS},
    )
    app.state.services = services
    app.state.hub = Hub(services.manager)
    for routes in (
        routes_admin,
        routes_connections,
        routes_system,
        routes_sessions,
        routes_tasks,
        routes_files,
        routes_live,
    ):
        app.include_router(routes.router)
    app.mount("/static", GZipMiddleware(StaticFiles(directory=routes_system.STATIC)), name="static")
    add_error_handlers(app)
    app.add_middleware(Guard, admission=services.admission)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    hub: Hub = app.state.hub
    manager = services.manager
    feed = services.feed
    hub.attach(feed)
    running = [
        _kept_running("feed", feed.run),
        _kept_running("hub", hub.run),
        _kept_running("sweep", _sweep(services, hub)),
    ]
    if services.isolation:
        disk = DiskWatch(manager.data_dir, manager.sessions, services.engine, manager.disk_reserve)
        dispatcher = Dispatcher(
            manager.store,
            manager.tasks,
            manager.sessions,
            services.engine,
            disk,
            manager.settings,
            services.isolation.grade,
        )
        dispatcher.attach(feed)
        running += [_kept_running("dispatcher", dispatcher.run), _kept_running("disk watch", disk.run)]
    audit = Audit(manager.store, services.journal)
    running.append(_kept_running("audit", audit.run))
    tasks = [asyncio.create_task(part) for part in running]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await services.engine.close()
        with contextlib.suppress(LSMError):
            await audit.flush()
        await asyncio.to_thread(manager.close)


async def _kept_running(name: str, part: Callable[[], Awaitable[None]]) -> None:
    """Run a part of the server until cancelled; a fault of it is logged, and it starts again."""
    while True:
        try:
            await part()
        except Exception:  # noqa: BLE001 - whatever it is, the server goes on
            _log.exception("the %s failed; it starts again", name)
            await asyncio.sleep(1)


def _sweep(services: Services, hub: Hub) -> Callable[[], Awaitable[None]]:
    """What expires idle sessions."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            hub.keep_open()  # before each look, so that neither a short timeout nor a clock that is set expires them
            for session in await asyncio.to_thread(services.manager.sessions.expire_idle):
                _log.info("session %s expired", session.name)
                try:
                    await services.engine.release(session.name)
                    await asyncio.to_thread(services.manager.sessions.release, session)
                except OSError:
                    _log.exception("what the kernel keeps of session %s could not be removed", session.name)

    return sweep
