"""What the routes work with, and who is asking."""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from lan_session_manager.activity import Isolation
from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.egress.journal import Journal
from lan_session_manager.engine.base import Engine
from lan_session_manager.errors import AdminOnlyError, BusyError, NoSandboxError, NotFoundError, WorkerOnlyError
from lan_session_manager.feed import Feed
from lan_session_manager.identity import Caller, Tokens, identify
from lan_session_manager.manager import LANSessionManager
from lan_session_manager.runners import SANDBOXED
from lan_session_manager.store.records import SessionRecord, TaskRecord
from lan_session_manager.tasks import Request
from lan_session_manager.web.admission import Admission

T = TypeVar("T")


@dataclass(frozen=True)
class Services:
    """The rooms below, for the routes. `isolation` None: the sandbox did not pass its self-test, nothing runs.

    `notice` says why only this machine is served; empty: it is as the owner wished.
    """

    manager: LANSessionManager
    feed: Feed
    engine: Engine
    isolation: Isolation | None
    tokens: Tokens
    proxies: frozenset[Address]
    admission: Admission
    urls: tuple[str, ...]
    notice: tuple[str, ...] = ()
    journal: Journal = field(default_factory=Journal)  # of the connections that tasks try to make

    def caller(self, connection: HTTPConnection) -> Caller:
        """Who is asking."""
        peer = connection.client.host if connection.client else ""
        headers = dict(connection.headers)
        # A proxy may add a header of its own after one of its client's: both are one list (RFC 9110, section 5.3).
        if forwarded := connection.headers.getlist("x-forwarded-for"):
            headers["x-forwarded-for"] = ", ".join(forwarded)
        return identify(peer, headers, self.proxies, self.tokens)

    async def own_session(self, caller: Caller) -> SessionRecord:
        """The caller's session, made or resumed if need be."""
        sessions = self.manager.sessions
        if session := sessions.live(caller.address):
            return session
        return await asyncio.to_thread(sessions.open, caller.address)

    async def session_at(self, client_ip: str, caller: Caller) -> SessionRecord:
        """The session of an address in a URL: the caller's own, or for the owner anybody's. Else NotFoundError."""
        address = parse_address(client_ip)
        if address == caller.address:
            return await self.own_session(caller)
        theirs = self.manager.sessions.peek(address) if caller.is_admin else None
        if theirs is None:
            raise NotFoundError
        return theirs

    async def known_session(self, caller: Caller) -> SessionRecord | None:
        """The caller's session if there is one, resumed if need be; a stranger gets none."""
        if self.manager.store.read.session_of_address(str(caller.address)) is None:
            return None
        return await self.own_session(caller)

    async def task_of(self, task_id: str, caller: Caller) -> tuple[TaskRecord, SessionRecord | None]:
        """A task in a URL with its session: one of the caller's own, or for the owner any. Else NotFoundError."""
        own = await self.known_session(caller)
        read = self.manager.store.read
        task = read.task(task_id)
        if task is None or not (caller.is_admin or (own is not None and task.session_id == own.id)):
            raise NotFoundError
        return task, read.session(task.session_id) if task.session_id else None

    def acceptable(self, request: Request, session: SessionRecord | None) -> Request:
        """The request itself, before anything is made for it, of a session that may not be there yet.

        Raises like `Tasks.check`, and NoSandboxError for a task that would never start.
        """
        new = self.manager.tasks.check(request, session.id if session else None)
        if new.runner in SANDBOXED and self.isolation is None:
            raise NoSandboxError
        return request


def need_admin(caller: Caller) -> None:
    """Raise AdminOnlyError for everybody but the owner."""
    if not caller.is_admin:
        raise AdminOnlyError


def need_worker(caller: Caller) -> None:
    """Raise WorkerOnlyError for everybody but swarm workers and the owner."""
    if not caller.is_worker:
        raise WorkerOnlyError


async def written(future: "Future[T]") -> T:
    """The result of a write, when it is on disk. Raises BusyError when the disk takes too long for anybody to wait."""
    wrapped: Awaitable[T] = asyncio.wrap_future(future)
    try:
        return await asyncio.wait_for(wrapped, 60)
    except TimeoutError:
        raise BusyError from None


def _services(connection: HTTPConnection) -> Services:
    services: Services = connection.app.state.services
    return services


def _caller(connection: HTTPConnection) -> Caller:
    return _services(connection).caller(connection)


async def _services_dependency(connection: HTTPConnection) -> Services:
    return _services(connection)


async def _caller_dependency(connection: HTTPConnection) -> Caller:
    return _caller(connection)


ServicesDep = Annotated[Services, Depends(_services_dependency)]
CallerDep = Annotated[Caller, Depends(_caller_dependency)]
