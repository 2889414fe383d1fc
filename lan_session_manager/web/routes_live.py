"""The WebSocket: one open dashboard, what it is sent and what it may ask."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Coroutine
from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from lan_session_manager.activity import iso
from lan_session_manager.errors import BusyError, InvalidInputError, LSMError, TooManyRequestsError
from lan_session_manager.web.live import Client, Hub, encode
from lan_session_manager.web.logstream import LogStream
from lan_session_manager.web.outbox import MOST_BYTES
from lan_session_manager.web.policy import Access, AccessDep, check_message
from lan_session_manager.web.rates import Rate
from lan_session_manager.web.routes_tasks import accept
from lan_session_manager.web.schemas import Submit
from lan_session_manager.web.services import Services

_log = logging.getLogger(__name__)

router = APIRouter()

MESSAGES = frozenset(
    {"ping", "request_dashboard_update", "submit_task", "follow_log", "unfollow_log", "resume", "in_sight", "keep"}
)
_OF_A_TASK = frozenset({"follow_log", "unfollow_log"})
_MOST_FOLLOWED = 10
_MOST_BYTES = 2**53  # what a JSON number can count to
_HELD_UP_S = 0.2  # before the next message is read of one who has sent too many
_MOST_REFUSED = 50  # of which so many end the connection
_REPLAYED, _REPLAYED_BYTES = 1_000, MOST_BYTES // 4  # a client that missed more gets its dashboard anew


@router.websocket("/ws/dashboard/{client_ip}")
async def live(websocket: WebSocket, access: AccessDep) -> None:
    """An open dashboard, from joining to leaving."""
    services: Services = websocket.app.state.services
    hub: Hub = websocket.app.state.hub
    if not hub.has_room(access.session.id):
        raise BusyError
    client = Client(websocket, access.session, access.caller)
    hub.add(client)  # before anything is waited for, so that the bounds hold for those who come at once
    if not services.is_still_of(access.caller, access.session):
        client.forget()  # between the check and now, of which the hub has not told anybody who was not there yet
    try:
        hub.join(client)
        await websocket.accept()
        await _Conversation(services, hub, client, access).run()
    except WebSocketDisconnect:
        _log.debug("a client was gone before its dashboard was open")
    finally:
        hub.remove(client)


class _Conversation:
    def __init__(self, services: Services, hub: Hub, client: Client, access: Access) -> None:
        self._services = services
        self._hub = hub
        self._client = client
        self._access = access
        self._followed: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Send and hear until the client has gone or is too slow."""
        parts = [asyncio.create_task(part) for part in (self._send(), self._hear(), self._client.ending.wait())]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in (*parts, *self._followed.values()):
                part.cancel()
            results = await asyncio.gather(*parts, return_exceptions=True)
            for result in results:
                if isinstance(result, Exception) and not isinstance(result, WebSocketDisconnect):
                    _log.error("a dashboard's connection failed", exc_info=result)
            if self._client.ending.is_set():
                await self._let_go()

    async def _let_go(self) -> None:
        with contextlib.suppress(Exception):  # whatever the connection's state is: it is over
            async with asyncio.timeout(1):
                await self._client.websocket.close(*self._client.why)
        self._client.abort()

    async def _send(self) -> None:
        websocket = self._client.websocket
        while websocket.application_state is WebSocketState.CONNECTED:
            await websocket.send_text(await self._client.outbox.get())

    async def _hear(self) -> None:
        refused = 0
        while True:
            message = await self._client.websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            # Those that have come already are given at once: in between the others have a turn.
            await self._services.turns.wait(self._client.session.id)
            text = message.get("text")
            kind = ""
            try:
                self._services.rates.take(Rate.MESSAGE, self._client.session.id)
                size = len(text or message.get("bytes") or "")
                self._services.rates.take(Rate.MESSAGE_BYTES, self._client.session.id, cost=size)
                kind, fields = _parse(text)
                await self._answer(kind, fields)
            except LSMError as error:
                self._client.send(event="error", error=error.message, code=error.code, type=kind)
                if isinstance(error, TooManyRequestsError):
                    refused += 1
                    if refused == _MOST_REFUSED:
                        return
                    await asyncio.sleep(_HELD_UP_S)

    async def _answer(self, kind: str, fields: dict[str, Any]) -> None:
        if kind not in MESSAGES:
            raise InvalidInputError(what="There is no such message. Look the types up in the API description.")
        now = iso(self._services.manager.tasks.now())
        task_id = _text(fields, "task_id") if kind in _OF_A_TASK else ""
        access = await check_message(self._services, self._access, kind, task_id)
        match kind:
            case "ping":
                self._client.send(event="pong", type="pong", timestamp=now)
            case "request_dashboard_update":
                self._hub.dashboard(self._client, "dashboard_update")
            case "submit_task":
                request = self._services.acceptable(_submit(fields).request(), self._client.session)
                key, read = request.idempotency_key, self._services.manager.store.read
                known = key is not None and read.task_of_key(access.session.id, key) is not None
                accepted = await accept(self._services, access.session, request)
                if known:  # nothing happens anew, so that no event tells it
                    self._client.send(event="task_submitted", **{**accepted, "timestamp": now})
            case "follow_log":
                skip = fields.get("skip", False)
                if not isinstance(skip, bool):
                    raise InvalidInputError(what="skip is true or false.")
                self._follow_log(access.task.id, _number(fields, "after", 0, least=-_MOST_BYTES), skip=skip)
            case "unfollow_log":
                if follower := self._followed.pop(task_id, None):
                    follower.cancel()
            case "in_sight":
                in_sight = fields.get("in_sight")
                if not isinstance(in_sight, bool):
                    raise InvalidInputError(what="in_sight is true or false.")
                self._hub.seen(self._client, in_sight=in_sight)
            case "keep":
                self._hub.keep(self._client)
            case "resume":
                self._resume(_number(fields, "after"))

    def _follow_log(self, task_id: str, after: int, *, skip: bool) -> None:
        if follower := self._followed.pop(task_id, None):
            follower.cancel()
        if len(self._followed) >= _MOST_FOLLOWED:
            raise InvalidInputError(
                what=f"You follow {_MOST_FOLLOWED} logs already. Send unfollow_log for one of them."
            )
        self._start(task_id, LogStream(self._services, self._client, task_id, skip=skip).run(after))

    def _start(self, task_id: str, work: Coroutine[Any, Any, None]) -> None:
        follower = asyncio.create_task(work)
        self._followed[task_id] = follower

        def done(_: object) -> None:
            if self._followed.get(task_id) is follower:
                del self._followed[task_id]
            if not follower.cancelled() and (error := follower.exception()):
                _log.error("a log could not be followed", exc_info=error)

        follower.add_done_callback(done)

    def _resume(self, after: int) -> None:
        manager, client = self._services.manager, self._client
        last = manager.store.read.last_event_number(client.session.id)
        picture = manager.activity.picture()
        missed = manager.store.read.events_of_session(client.session.id, after, _REPLAYED + 1)
        replayed: list[str] = []
        is_kept = after + 1 >= manager.store.read.first_event_number(client.session.id)
        left = _REPLAYED_BYTES if is_kept and len(missed) <= _REPLAYED and after <= last else -1
        for message in self._hub.events(client.session, missed, picture) if left > 0 else ():
            replayed.append(encode(message))
            left -= len(replayed[-1])
        if left < 0:
            client.told = max(client.told, self._hub.dashboard(client, "dashboard_update"))
        else:
            for encoded in replayed:
                client.send_encoded(encoded)
            client.told = max([client.told, *(event.number or 0 for event in missed[-1:])])
        client.send(event="resumed", id=last, missed=left < 0, timestamp=iso(manager.tasks.now()))


def _parse(text: object) -> tuple[str, dict[str, Any]]:
    try:
        fields = json.loads(text) if isinstance(text, str) else None
        json.dumps(fields, ensure_ascii=False).encode()  # half a character, which JSON can spell, is no text
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or not isinstance(fields.get("type"), str):
        raise InvalidInputError(what='This is no message. Send a JSON object with a "type" as a text frame.')
    return fields["type"], fields


def _submit(fields: dict[str, Any]) -> Submit:
    try:
        return Submit.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(str(part) for part in problem["loc"])[:100]
        raise InvalidInputError(what=f"{field}: {problem['msg']}.") from None


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise InvalidInputError(what=f"The {name} is missing. Send it as a text.")
    return value


def _number(fields: dict[str, Any], name: str, default: int | None = None, least: int = 0) -> int:
    value = fields.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= _MOST_BYTES:
        raise InvalidInputError(what=f"The {name} is missing. Send it as a whole number from {least} on.")
    return value
