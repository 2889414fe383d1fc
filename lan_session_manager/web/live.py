"""The live hub: tells every open dashboard what its session may know, as it happens."""

import asyncio
import json
import logging
import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from starlette.websockets import WebSocket

from lan_session_manager.activity import Picture, event_view, iso, message_view, usage_view
from lan_session_manager.errors import LSMError
from lan_session_manager.feed import Feed
from lan_session_manager.identity import Caller
from lan_session_manager.manager import LANSessionManager
from lan_session_manager.store.records import EventKind, EventRecord, SessionRecord
from lan_session_manager.web.outbox import Outbox
from lan_session_manager.web.peers import is_gone
from lan_session_manager.web.protocols import ABORT

_log = logging.getLogger(__name__)

PERIOD_S = 30.0
_TICK_S = 1.0  # counts of others change all the time: they are told once a second at the most
_QUIET_S = 10.0  # and this often when nothing changed, so that the machine's figures stay fresh
TOO_SLOW = 4408
FORGOTTEN = 4401
_WITH_TASK = frozenset(
    {
        EventKind.TASK_SUBMITTED,
        EventKind.TASK_STARTED,
        EventKind.TASK_COMPLETED,
        EventKind.TASK_REQUEUED,
        EventKind.TASK_TAGGED,
        EventKind.TASK_STOPPING,
        EventKind.TASK_CHANGED,
    }
)
_FOR_CLIENTS = _WITH_TASK | {
    EventKind.TASK_DELETED,
    EventKind.SESSION_EXPIRED,
    EventKind.SESSION_PAUSED,
    EventKind.SESSION_UNPAUSED,
    EventKind.WORKSPACE_CHANGED,
    EventKind.DEVICE_ADDED,
    EventKind.DEVICE_FORGOTTEN,
}


class Client:
    """One open dashboard."""

    def __init__(self, websocket: WebSocket, session: SessionRecord, caller: Caller) -> None:
        self.websocket = websocket
        self.session = session
        self.caller = caller
        self.outbox = Outbox()
        self.in_sight = True  # whether somebody may look at it; who never says so does as long as it is connected
        self.warned = 0.0  # of which moment of expiry it was told
        self.told = 0  # the number of the last event that it was sent, or that a dashboard or a replay covers
        self.ending = asyncio.Event()
        self.why = (TOO_SLOW, "too slow: connect again and resume")  # close code and reason, once it is ending

    def send(self, **message: Any) -> None:
        """Have a message sent; a client that is too slow for it is let go, and may resume."""
        self.send_encoded(encode(message))

    def send_encoded(self, message: str) -> None:
        """The same, for a message that several clients get."""
        if not self.ending.is_set() and not self.outbox.put(message):
            self.ending.set()

    def send_event(self, number: int, message: str) -> None:
        """The same, for an event of that number, unless it was told already: each comes once, in order."""
        if number > self.told:
            self.told = number
            self.send_encoded(message)

    def forget(self) -> None:
        """End it, as its device does not open the session any more."""
        self.why = (FORGOTTEN, "this device does not open this session any more")
        self.ending.set()

    def abort(self) -> None:
        """End the connection at once."""
        abort = self.websocket.scope.get("extensions", {}).get(ABORT)
        if abort:
            abort()


def encode(message: dict[str, Any]) -> str:
    """A message as it goes over the wire."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


class Hub:
    """All open dashboards."""

    def __init__(self, manager: LANSessionManager) -> None:
        self._manager = manager
        self._clients: dict[str, set[Client]] = defaultdict(set)
        self._due: dict[str, float] = {}  # when each session is told its whole dashboard again, in the loop's time
        self._count = 0
        self._changed = True

    @property
    def count(self) -> int:
        """How many dashboards are open."""
        return self._count

    def attach(self, feed: Feed) -> None:
        """Hear of everything that happens."""
        feed.listen(self._on_events)

    def has_room(self, session_id: str) -> bool:
        """Whether one more dashboard of that session may open. When all are taken, who has more gives one up."""
        settings = self._manager.settings
        own = len(self._clients.get(session_id, ()))
        if own >= settings.max_session_sockets:
            return False
        return self._count < settings.max_sockets or self._make_room(own)

    def _make_room(self, own: int) -> bool:
        staying = ([client for client in clients if not client.ending.is_set()] for clients in self._clients.values())
        most = max(staying, key=len, default=[])
        if len(most) <= own + 1:
            return False
        most[0].ending.set()
        return True

    def add(self, client: Client) -> None:
        """A dashboard has opened."""
        self._clients[client.session.id].add(client)
        # At any moment of the period: those that came together, as after a restart, are not told together for ever.
        first = asyncio.get_running_loop().time() + random.uniform(0, PERIOD_S)  # noqa: S311 - no secret
        self._due.setdefault(client.session.id, first)
        self._count += 1
        self._changed = True

    @property
    def seen_sessions(self) -> frozenset[str]:
        """The sessions of which somebody may look at a dashboard now."""
        return frozenset(key for key, clients in self._clients.items() if any(client.in_sight for client in clients))

    def tell_seen(self, session_id: str, message: str) -> None:
        """Send those that may look at a dashboard of that session what is no event: who looks later needs it not."""
        for client in self._clients.get(session_id, ()):
            if client.in_sight:
                client.send_encoded(message)

    def remove(self, client: Client) -> None:
        """A dashboard has closed."""
        clients = self._clients[client.session.id]
        clients.discard(client)
        if not clients:
            del self._clients[client.session.id], self._due[client.session.id]
        self._count -= 1
        self._changed = True
        self.keep_open()

    def keep_open(self) -> None:
        """Note that the sessions with a dashboard in sight are in use. Does not wait for the disk."""
        in_sight = {
            session_id: next(iter(clients)).session
            for session_id, clients in self._clients.items()
            if any(client.in_sight for client in clients)
        }
        self._manager.sessions.watch(frozenset(in_sight))
        for session in in_sight.values():
            self._manager.sessions.refresh(session)

    def seen(self, client: Client, *, in_sight: bool) -> None:
        """Somebody has begun or ceased to look at a dashboard."""
        client.in_sight = in_sight
        self.keep_open()

    def keep(self, client: Client) -> None:
        """Somebody wants the session to go on."""
        self._manager.sessions.refresh(client.session)
        self._tell_expiry(client.session.id)

    def _warn(self) -> None:
        """Tell those that look away of a session that it is about to expire, once each time."""
        for session_id in list(self._clients):
            self._tell_expiry(session_id)

    def _tell_expiry(self, session_id: str) -> None:
        clients = self._clients.get(session_id, ())
        if all(client.in_sight or not client.warned for client in clients) and any(
            client.in_sight for client in clients
        ):
            return  # so that the sessions in use cost no read
        session = self._manager.store.read.session(session_id) if clients else None
        if session is None:
            return
        at = self._manager.sessions.expires_at(session)
        is_near = at is not None and at - self._manager.tasks.now() <= self._manager.sessions.warning_s
        for client in clients:
            if is_near and at is not None and client.warned != at:
                client.warned = at
                client.send(event="session_expiring", expires_at=iso(at))
            elif client.warned and not is_near:
                client.warned = 0.0
                client.send(event="session_kept")

    async def run(self) -> None:
        """Tell counts and dashboards at their times until cancelled."""
        loop = asyncio.get_running_loop()
        quiet_until = loop.time()
        while True:
            await asyncio.sleep(_TICK_S)
            now = loop.time()
            try:
                self._warn()
                picture = self._manager.activity.picture()
                self._manager.watch.look(picture.total_running, len(picture.active))
                await self._tell_dashboards(now)
                if self._changed or now >= quiet_until:
                    self._changed = False
                    quiet_until = now + _QUIET_S
                    await self._tell_counts(picture)
            except LSMError:
                _log.exception("the dashboards could not be told")

    def join(self, client: Client) -> None:
        """Send a client that has come its whole dashboard; of events it is told those after it."""
        client.told = self.dashboard(client, "dashboard_update")

    def dashboard(self, client: Client, event: str) -> int:
        """Send a client its whole dashboard; gives the number of the last event that it covers."""
        data = self._manager.dashboard(client.session)
        client.send(event=event, id=data["event_id"], data=data, timestamp=data["server"]["timestamp"])
        return int(data["event_id"])

    def events(self, session: SessionRecord, events: Sequence[EventRecord], picture: Picture) -> list[dict[str, Any]]:
        """The messages that a session gets for its events, oldest first; tasks as they are now."""
        messages = []
        for event in events:
            if event.kind not in _FOR_CLIENTS:
                continue
            message = event_view(event)
            task = self._manager.store.read.task(event.task_id) if event.task_id and event.kind in _WITH_TASK else None
            if task:
                view = self._manager.activity.brief(self._manager.activity.task(task, session, picture))
                message |= {"description": task.description, "task": view}
            messages.append(message)
        return messages

    def _on_events(self, events: Sequence[EventRecord]) -> None:
        self._changed = True
        if any(event.kind is EventKind.MESSAGE_CHANGED for event in events):
            self._tell_message()
        by_session: dict[str, list[EventRecord]] = defaultdict(list)
        for event in events:
            if event.session_id and event.session_id in self._clients:
                by_session[event.session_id].append(event)
        if not by_session:
            return
        picture = self._manager.activity.picture()
        for session_id, own in by_session.items():
            clients = self._clients[session_id]
            for event in own:
                if event.kind is EventKind.DEVICE_FORGOTTEN:
                    for client in clients:
                        if is_gone(client.caller, event):
                            client.forget()
                if event.kind in (EventKind.SESSION_PAUSED, EventKind.SESSION_UNPAUSED):
                    self._due[session_id] = 0.0  # why each of its tasks waits is another reason now
            session = next(iter(clients)).session
            for message in self.events(session, own, picture):
                encoded = encode(message)
                for client in clients:
                    client.send_event(message["id"], encoded)

    def _tell_message(self) -> None:
        """Tell everybody what the owner has to say, or that it is nothing any more. No event of a session: no id."""
        now = self._manager.tasks.now()
        message = message_view(self._manager.store.read.message(now))
        encoded = encode({"event": "message", "timestamp": iso(now), "message": message})
        for clients in self._clients.values():
            for client in clients:
                client.send_encoded(encoded)

    async def _tell_dashboards(self, now: float) -> None:
        for session_id in [session_id for session_id, due in self._due.items() if now >= due]:
            await asyncio.sleep(0)  # between the sessions everybody else has a turn, and the last client may go
            clients = self._clients.get(session_id)
            if not clients:
                continue
            self._due[session_id] = now + PERIOD_S
            session = next(iter(clients)).session
            data = self._manager.dashboard(session)
            encoded = encode(
                {
                    "event": "periodic_update",
                    "id": data["event_id"],
                    "data": data,
                    "timestamp": data["server"]["timestamp"],
                }
            )
            for client in clients:
                client.send_encoded(encoded)

    async def _tell_counts(self, picture: Picture) -> None:
        activity = self._manager.activity
        swarm, now = activity.swarm(picture), iso(self._manager.tasks.now())
        for session_id in list(self._clients):
            await asyncio.sleep(0)
            clients = self._clients.get(session_id)
            if not clients:
                continue
            session = next(iter(clients)).session
            encoded = encode(
                {
                    "event": "activity",
                    "timestamp": now,
                    "network_activity": activity.network(session_id, picture),
                    "swarm_health": swarm,
                    "workspace_usage": usage_view(self._manager.sessions.workspace(session).usage()),
                    "queue": activity.queue_of(session_id, picture),
                }
            )
            for client in clients:
                client.send_encoded(encoded)
