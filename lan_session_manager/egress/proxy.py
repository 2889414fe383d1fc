"""The proxy of one task: takes its connections one by one, decides about each, and carries what is allowed."""

import asyncio
import contextlib
import functools
import logging
import math
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

import h11

from lan_session_manager.destinations import Ip, Profile, address_in
from lan_session_manager.egress.exchange import exchange
from lan_session_manager.egress.heads import BadRequestError, Wanted, refusal, wanted_of
from lan_session_manager.egress.journal import Connection, Journal
from lan_session_manager.egress.places import Places
from lan_session_manager.egress.resolver import IsClosed, Resolve
from lan_session_manager.egress.streams import Pulse, Stream, tunnel, until_idle
from lan_session_manager.states import Verdict

_log = logging.getLogger(__name__)

_HEAD_PIECE = 4096
_AGAIN_S = 1.0
_BURST = 100  # connections that come faster than `Bounds.per_second` before they have to wait
_MOST_ADDRESSES = 4  # of one name that are tried
_ANSWERS = {
    Verdict.NOT_LISTED: (403, "Forbidden"),
    Verdict.BLOCKED_ADDRESS: (403, "Forbidden"),
    Verdict.NO_ADDRESS: (502, "Bad Gateway"),
    Verdict.UNREACHABLE: (502, "Bad Gateway"),
    Verdict.BAD_REQUEST: (400, "Bad Request"),
    Verdict.TOO_SLOW: (408, "Request Timeout"),
}


@dataclass(frozen=True)
class Bounds:
    """What the proxies keep to. Beyond the connections that may be open, others wait in the kernel's queue.

    What is for all is shared by sessions: see `Places`.
    """

    head_bytes: int = 16 * 1024
    head_s: float = 10.0  # for the whole head
    name_s: float = 5.0  # for the addresses of a name
    connect_s: float = 10.0  # to one address
    idle_s: float = 300.0  # without a byte either way
    task_connections: int = 64
    all_connections: int = 1024
    all_names: int = 64  # that are asked for at once; a thread each
    per_second: float = 50.0  # new connections of one task in the long run


@dataclass(frozen=True)
class Means:
    """What the proxies of all tasks share."""

    resolve: Resolve
    is_closed: IsClosed
    journal: Journal
    bounds: Bounds
    places: Places  # of all connections
    names: Places  # of all names that are asked for


class _RefusedError(Exception):
    def __init__(self, verdict: Verdict, text: str, status: tuple[int, str] | None = None) -> None:
        super().__init__(text)
        self.verdict = verdict
        self.status = status or _ANSWERS[verdict]


class _Attempt:
    """What is known of a connection while it lasts."""

    def __init__(self, task_id: str) -> None:
        self._key, self._task_id, self._started_at = secrets.token_hex(16), task_id, time.time()
        self.host, self.port, self.address = "", 0, ""
        self.verdict = Verdict.STOPPED
        self.target: Stream | None = None

    def facts(self, ended_at: float | None = None) -> Connection:
        return Connection(
            key=self._key,
            task_id=self._task_id,
            started_at=self._started_at,
            host=self.host,
            port=self.port,
            address=self.address,
            verdict=self.verdict,
            bytes_sent=self.target.sent if self.target else 0,
            bytes_received=self.target.received if self.target else 0,
            ended_at=ended_at,
        )


class TaskProxy:
    """The proxy of task `task_id` of a session at a listening socket, which is closed with it."""

    def __init__(self, task_id: str, session: str, profile: Profile, listener: socket.socket, means: Means) -> None:
        self._task_id = task_id
        self._session = session
        self._profile = profile
        self._listener = listener
        self._means = means
        self._own_places = asyncio.Semaphore(means.bounds.task_connections)
        self._connections: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until cancelled; then the listener and every connection are closed."""
        loop, pace = asyncio.get_running_loop(), 1 / self._means.bounds.per_second
        next_at = -math.inf
        try:
            while True:
                await self._own_places.acquire()
                sock = await self._accept()
                try:
                    next_at = max(next_at, loop.time() - _BURST * pace) + pace
                    await asyncio.sleep(next_at - loop.time())
                    await self._means.places.take(self._session)
                except BaseException:
                    sock.close()
                    raise
                connection = asyncio.create_task(self._serve(sock))
                self._connections.add(connection)
                connection.add_done_callback(functools.partial(self._done, sock))
        finally:
            self._listener.close()
            for connection in self._connections:
                connection.cancel()
            if self._connections:
                await asyncio.wait(self._connections)

    async def _accept(self) -> socket.socket:
        while True:
            try:
                return (await asyncio.get_running_loop().sock_accept(self._listener))[0]
            except OSError as error:  # it was broken off already, or the server has no descriptor left
                _log.warning("a connection of %s is not taken: %s", self._task_id, error)
                await asyncio.sleep(_AGAIN_S)

    def _done(self, sock: socket.socket, connection: "asyncio.Task[None]") -> None:
        sock.close()  # one that was cancelled before its first step has not
        self._connections.discard(connection)
        self._own_places.release()
        self._means.places.give(self._session)
        if not connection.cancelled() and (error := connection.exception()):
            _log.error("a connection of %s met a fault", self._task_id, exc_info=error)

    async def _serve(self, sock: socket.socket) -> None:
        attempt, pulse = _Attempt(self._task_id), Pulse()
        task = Stream(sock, pulse)
        with sock, contextlib.ExitStack() as sockets:
            try:
                await self._answer(task, pulse, attempt, sockets.enter_context)
            except (OSError, h11.ProtocolError):  # one side has broken off
                task.abort()
            finally:
                self._means.journal.note(attempt.facts(ended_at=time.time()))

    async def _answer(
        self, task: Stream, pulse: Pulse, attempt: _Attempt, keep: Callable[[socket.socket], socket.socket]
    ) -> None:
        asked = h11.Connection(h11.SERVER, max_incomplete_event_size=self._means.bounds.head_bytes)
        try:
            wanted = await self._wanted(task, asked)
            attempt.host, attempt.port = wanted.host, wanted.port
            addresses = await self._addresses(wanted, attempt)
            sock, attempt.address = await self._connected(addresses, wanted.port)
            keep(sock)
            attempt.verdict = Verdict.ALLOWED
            attempt.target = Stream(sock, pulse)
            self._means.journal.note(attempt.facts())
            pulse.beat()
            await self._carry(wanted, task, asked, attempt.target, pulse)
        except _RefusedError as refused:
            if attempt.target is None:
                attempt.verdict = refused.verdict
            await task.send(refusal(*refused.status, str(refused)))
        await task.linger()

    async def _wanted(self, task: Stream, asked: h11.Connection) -> Wanted:
        """What the task asks for, which it has to say in time and in few words."""
        try:
            async with asyncio.timeout(self._means.bounds.head_s):
                while (event := asked.next_event()) is h11.NEED_DATA:
                    asked.receive_data(await task.receive(_HEAD_PIECE))
            if not isinstance(event, h11.Request):
                raise BadRequestError("nothing was asked")
            return wanted_of(event)
        except TimeoutError:
            raise _RefusedError(Verdict.TOO_SLOW, "The request did not come in time.") from None
        except h11.RemoteProtocolError as error:
            too_large = (431, "Request Header Fields Too Large") if error.error_status_hint == 431 else None
            raise _RefusedError(Verdict.BAD_REQUEST, f"This is no proper HTTP request: {error}.", too_large) from None
        except BadRequestError as error:
            raise _RefusedError(Verdict.BAD_REQUEST, f"This cannot be asked for: {error}.") from None

    async def _addresses(self, wanted: Wanted, attempt: _Attempt) -> list[Ip]:
        """The addresses of what is wanted, all of them open ones; asked for once, and these alone are connected to."""
        where = f"{wanted.host}:{wanted.port}"
        if not self._profile.allows(wanted.host, wanted.port):
            raise _RefusedError(Verdict.NOT_LISTED, f"The network profile {self._profile.name} does not list {where}.")
        literal = address_in(wanted.host)
        if literal is not None:
            addresses = [literal]
        else:
            addresses = await self._resolved(wanted.host)
        if not addresses:
            raise _RefusedError(Verdict.NO_ADDRESS, f"No address was found for {wanted.host}.")
        for address in addresses:
            if self._means.is_closed(address):
                attempt.address = str(address)
                raise _RefusedError(Verdict.BLOCKED_ADDRESS, f"{where} is at {address}, which no task may reach.")
        return addresses

    async def _resolved(self, name: str) -> list[Ip]:
        """The addresses of a name; none if it has none, or none that are found in time."""
        names, session = self._means.names, self._session
        try:
            async with asyncio.timeout(self._means.bounds.name_s):
                await names.take(session)
                asked = asyncio.ensure_future(self._means.resolve(name))
                # Only then: one that still waits for a name server counts, also if nobody waits for it any more.
                asked.add_done_callback(lambda _: names.give(session))
                return await asyncio.shield(asked)
        except TimeoutError:
            return []

    async def _connected(self, addresses: list[Ip], port: int) -> tuple[socket.socket, str]:
        loop = asyncio.get_running_loop()
        for address in addresses[:_MOST_ADDRESSES]:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            with contextlib.ExitStack() as unless_connected, contextlib.suppress(OSError):  # TimeoutError is one
                sock = unless_connected.enter_context(socket.socket(family, socket.SOCK_STREAM))
                sock.setblocking(False)
                async with asyncio.timeout(self._means.bounds.connect_s):
                    await loop.sock_connect(sock, (str(address), port))
                unless_connected.pop_all()
                return sock, str(address)
        raise _RefusedError(Verdict.UNREACHABLE, "Nothing answers there.")

    async def _carry(self, wanted: Wanted, task: Stream, asked: h11.Connection, target: Stream, pulse: Pulse) -> None:
        idle_s = self._means.bounds.idle_s
        if wanted.request is None:
            early, _ = asked.trailing_data

            async def carry() -> None:
                await task.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await target.send(early)
                await tunnel(task, target)

            await until_idle(carry(), pulse, idle_s)
        elif await until_idle(exchange(task, asked, target, wanted.request), pulse, idle_s) is False:
            raise _RefusedError(Verdict.UNREACHABLE, f"{wanted.host}:{wanted.port} gave no proper answer.")
