"""What the routes work with, and who is asking."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from lan_session_manager.activity import Isolation
from lan_session_manager.addresses import Address, parse_address
from lan_session_manager.audit import Audit
from lan_session_manager.egress.journal import Journal
from lan_session_manager.engine.base import Engine
from lan_session_manager.errors import AddressError, BusyError, DeviceNeededError, NoSandboxError, NotFoundError
from lan_session_manager.feed import Feed
from lan_session_manager.identity import Caller, Tokens, identify
from lan_session_manager.identity.carry import Carries
from lan_session_manager.identity.decide import Answer, Seen
from lan_session_manager.identity.devices import HEADER, hash_of, sent_token
from lan_session_manager.identity.forwarded import UnknownProxies, is_forwarded
from lan_session_manager.identity.neighbours import Neighbours
from lan_session_manager.identity.settle import look
from lan_session_manager.manager import LANSessionManager
from lan_session_manager.mdns import LocalName
from lan_session_manager.requests import Request
from lan_session_manager.retention import Retention
from lan_session_manager.runners import SANDBOXED
from lan_session_manager.settings import IdentityMode
from lan_session_manager.store.records import SessionRecord, TaskRecord
from lan_session_manager.tls.keeper import Ca, Tls
from lan_session_manager.web.admin_login import BELOW, AdminLogins, sent_cookie
from lan_session_manager.web.admission import Admission
from lan_session_manager.web.checkup import Checkup
from lan_session_manager.web.drain import Drain
from lan_session_manager.web.peers import Peers, link_of
from lan_session_manager.web.rates import Rates
from lan_session_manager.web.turns import Alternating, Threads, Turns
from lan_session_manager.workers import Workers

_log = logging.getLogger(__name__)
T = TypeVar("T")

_LONGEST_NAME = 200  # of a workspace


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
    rates: Rates = field(default_factory=Rates)
    turns: Turns = field(default_factory=Turns)  # of requests by address, of messages by session
    threads: Threads = field(default_factory=Threads)
    searches: Alternating = field(default_factory=Alternating)  # of logs: each is a tenth of a second of a core
    unknown_proxies: UnknownProxies = field(default_factory=UnknownProxies)
    tls: Tls | None = None
    neighbours: Neighbours = field(default_factory=Neighbours)
    peers: Peers = field(default_factory=Peers)
    carries: Carries = field(default_factory=Carries)
    drain: Drain = field(default_factory=Drain)
    local_name: LocalName = field(default_factory=LocalName)
    admin_logins: AdminLogins = field(default_factory=AdminLogins)
    checkup: Checkup = field(default_factory=Checkup)

    @cached_property
    def audit(self) -> Audit:
        """The audit log."""
        return Audit(self.manager.store)

    @cached_property
    def retention(self) -> Retention:
        """What looks after sessions that nobody comes back to."""
        manager = self.manager
        return Retention(manager.store, manager.sessions, manager.settings, self.engine.forget)

    @cached_property
    def workers(self) -> Workers:
        """The workers outside, and their leases."""
        manager = self.manager
        return Workers(manager.store, manager.tasks, self.engine, manager.shares, manager.settings)

    @property
    def ca(self) -> Ca | None:
        """The certificate authority that devices may install; None: no TLS, or with its owner's own certificate."""
        return self.tls.ca if self.tls else None

    def caller(self, connection: HTTPConnection) -> Caller:
        """Who is asking. Writes nothing. Raises AddressError and ForwardedError."""
        return self.caller_by(connection, self.device_token(connection))

    def caller_by(self, connection: HTTPConnection, token: str | None) -> Caller:
        """The same, if the request had sent that device token."""
        peer = connection.client.host if connection.client else ""
        asking = identify(peer, connection.headers.raw, self.proxies, self.tokens)
        if connection.scope["path"].startswith(BELOW):
            # The cookie has no power elsewhere, and a token none here.
            is_admin = self.admin_logins.is_known(
                sent_cookie(connection, is_tls=self.admission.is_tls(connection.scope))
            )
            asking = replace(asking, is_admin=is_admin, is_worker=is_admin)
        seen = self._seen(connection, asking.address, token)
        read = self.manager.store.read
        found = look(read, seen)
        if found.is_by_mac and seen.mac:
            version = 4 if ":" in str(asking.address) else 6
            try:
                standing = self.neighbours.addresses_of(seen.mac, version)
            except OSError:
                seen = replace(seen, mac=None)  # nobody is known by a MAC that may stand anywhere
            else:
                seen = replace(seen, mac_addresses=frozenset(str(address) for address in standing))
            found = look(read, seen)
        caller = replace(
            asking,
            session=found.session,
            device=found.device,
            needs_device=found.verdict.answer is Answer.DEVICE_NEEDED,
            must_wait=found.verdict.answer is Answer.WAIT,
            is_settled=found.verdict.answer is Answer.KNOWN and found.verdict.change is None,
            is_shared=found.is_shared,
            seen=seen,
        )
        self.peers.note(connection.scope, caller)
        if is_forwarded(connection.headers.raw):
            self._warn_of_proxy(parse_address(peer))
        return caller

    def _warn_of_proxy(self, peer: Address) -> None:
        """Tell the owner of what looks like a proxy that is not configured: all its clients are one device to us."""
        if peer not in self.proxies and self.unknown_proxies.is_news(peer):
            _log.warning(
                "%s sends the headers of a proxy and is not in LSM_TRUSTED_PROXIES: they are ignored, and whoever "
                "comes through it is taken for it.",
                peer,
            )

    def _seen(self, connection: HTTPConnection, address: Address, token: str | None) -> Seen:
        peer = parse_address(connection.client.host if connection.client else "")
        is_far = peer in self.proxies or peer.is_loopback
        link = None if is_far else link_of(connection.scope, peer, self.neighbours)
        return Seen(
            address,
            mac=link.mac if link else None,
            is_on_link=link.is_on_link if link else False,
            token_hash=hash_of(token) if token else None,
            needs_device=self.manager.settings.identity is IdentityMode.DEVICE,
        )

    def device_token(self, connection: HTTPConnection) -> str | None:
        """The device token that a request sends, in its header or else as its cookie."""
        headers = {}
        if sent := connection.headers.getlist(HEADER):
            headers[HEADER] = ", ".join(sent)  # of several none is believed
        headers["cookie"] = "; ".join(connection.headers.getlist("cookie"))
        return sent_token(headers, is_tls=self.admission.is_tls(connection.scope))

    async def own_session(self, caller: Caller) -> SessionRecord:
        """The caller's session, made or resumed if need be, with what follows from the visit written down.

        Raises DeviceNeededError, BusyError and TooManyRequestsError.
        """
        if caller.seen is None or caller.needs_device:
            raise DeviceNeededError
        if caller.must_wait:
            raise BusyError
        sessions, read = self.manager.sessions, self.manager.store.read
        session, is_settled = caller.session, caller.is_settled
        if not is_settled:  # one who asks over an open dashboard may be known by now
            found = look(read, caller.seen)
            session, is_settled = found.session, found.verdict.change is None
        elif session is not None and sessions.is_stale(session):
            session = read.session(session.id)
        if session is None:
            self.rates.take_mint(caller.address, caller.seen.mac)
        elif is_settled and not sessions.is_over(session):
            sessions.refresh(session, caller.seen, caller.device)
            return session
        return await asyncio.to_thread(sessions.open, caller.seen)

    async def session_at(self, client_ip: str, caller: Caller) -> SessionRecord:
        """The session that a URL names: the caller's own by an address of it, or for the owner any that is live.

        The caller's own has its present address, every other one that names it, and the last one it was seen at. Else
        AddressError or NotFoundError.
        """
        own = caller.session
        if caller.is_admin:
            theirs = self._found(client_ip)
            is_own = own is not None and theirs is not None and theirs.id == own.id
            if not is_own and client_ip != str(caller.address):
                if theirs is None or self.manager.sessions.is_over(theirs):
                    raise NotFoundError
                return theirs
        text = str(parse_address(client_ip))
        if text == str(caller.address) or (own is not None and text == own.address):
            return await self.own_session(caller)
        if own is None or not self.manager.store.read.is_bound(own.id, text):
            raise NotFoundError
        return await self.own_session(caller)

    def known_session_at(self, client_ip: str) -> SessionRecord:
        """For the owner: the session, live or expired, of an address or of a workspace's name. Else NotFoundError."""
        session = self._found(client_ip)
        if session is None:
            raise NotFoundError
        return session

    def _found(self, client_ip: str) -> SessionRecord | None:
        read = self.manager.store.read
        try:
            text = str(parse_address(client_ip))
        except AddressError:
            return read.session_named(client_ip) if len(client_ip) <= _LONGEST_NAME else None
        return read.session_of_address(text) or read.last_session_at(text)

    async def known_session(self, caller: Caller) -> SessionRecord | None:
        """The caller's session if there is one, resumed if need be; a stranger gets none.

        Raises DeviceNeededError and BusyError where nobody can say who a caller is that is not the owner.
        """
        if caller.session is None and (caller.is_admin or not (caller.needs_device or caller.must_wait)):
            return None
        return await self.own_session(caller)

    def is_still_of(self, caller: Caller, session: SessionRecord) -> bool:
        """Whether a caller still opens a session that was found to be theirs, or is the owner."""
        if caller.is_admin or caller.seen is None:
            return caller.is_admin
        found = look(self.manager.store.read, caller.seen).session
        return found is not None and found.id == session.id

    async def task_of(self, task_id: str, caller: Caller) -> tuple[TaskRecord, SessionRecord | None]:
        """A task in a URL with its session: one of the caller's own, or for the owner any. Else NotFoundError."""
        own = await self.known_session(caller)
        read = self.manager.store.read
        mine = read.task_of(own.id, task_id) if own else None
        task = mine or (read.task(task_id) if caller.is_admin else None)
        if task is None:
            raise NotFoundError
        return task, read.session(task.session_id) if task.session_id else None

    def acceptable(self, request: Request, session: SessionRecord | None) -> Request:
        """The request itself, before anything is made for it, of a session that may not be there yet.

        Raises like `Tasks.check`, and NoSandboxError for a task that would never start.
        """
        self.acceptable_all([request], session)
        return request

    def acceptable_all(self, requests: Sequence[Request], session: SessionRecord | None) -> None:
        """The same of several."""
        new = self.manager.tasks.check_all(requests, session.id if session else None)
        if self.isolation is None and any(one.runner in SANDBOXED for one in new):
            raise NoSandboxError


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


async def _services_dependency(connection: HTTPConnection) -> Services:
    return _services(connection)


ServicesDep = Annotated[Services, Depends(_services_dependency)]
