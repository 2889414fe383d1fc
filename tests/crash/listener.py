"""A dashboard that comes back after every loss, resumes after the last event that it saw, and follows every log."""

import asyncio
import contextlib
import json
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.crash.revenant import Revenant

_AGAIN_S = 0.1
_MOST_FOLLOWED = 10  # by one connection


@dataclass
class Followed:
    """A log as it came, piece by piece, over however many connections."""

    next: int = 0
    streams: dict[str, bytes] = field(default_factory=lambda: {"stdout": b"", "stderr": b"", "gap": b""})
    ended: bool = False
    missed: int = 0  # pieces that did not begin where the one before ended


class Listener:
    """The open dashboard of a device.

    Until `resumed` has come it puts events aside: what came live before it is told once more in its place.
    """

    def __init__(self, revenant: Revenant, address: str) -> None:
        self._revenant = revenant
        self.address = address
        self.last: int | None = None  # the id of the last event
        self.events: list[tuple[int, str, str | None]] = []  # id, name, task
        self.first = 0  # events with this id and below were before the first connection
        self.logs: dict[str, Followed] = {}
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._aside: list[dict[str, Any]] | None = None
        self._following: set[str] = set()
        self._gone: set[str] = set()  # tasks that were deleted

    async def run(self) -> None:
        """Listen until cancelled."""
        while True:
            try:
                async with connect(self._uri, sock=await self._connected(), max_size=None, compression=None) as live:
                    self.counts["connections"] += 1
                    await self._hear(live)
            except ConnectionClosed as closed:
                self.counts[f"closed with {closed.rcvd.code if closed.rcvd else 'nothing'}"] += 1
            except (OSError, InvalidHandshake, EOFError):
                await asyncio.sleep(_AGAIN_S)

    @property
    def _uri(self) -> str:
        return f"ws://127.0.0.1:{self._revenant.port}/ws/dashboard/{self.address}"

    async def _connected(self) -> socket.socket:
        raw = socket.socket()
        raw.setblocking(False)
        try:
            raw.bind((self.address, 0))
            await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self._revenant.port))
        except BaseException:
            raw.close()
            raise
        return raw

    async def _hear(self, live: ClientConnection) -> None:
        self._following.clear()
        self._aside = None
        async for text in live:
            message = json.loads(text)
            match message["event"]:
                case "dashboard_update" if self.last is None:
                    self.last = self.first = message["data"]["event_id"]
                case "dashboard_update" if self._aside is None:
                    self._aside = []
                    await live.send(json.dumps({"type": "resume", "after": self.last}))
                case "dashboard_update":
                    self.faults.append("what was missed was not replayed: a dashboard came instead")
                case "resumed":
                    self._take_aside()
                    self.counts["resumed"] += 1
                case "log" | "log_end":
                    self._log(message)
                case "error":
                    if message["code"] != "not_found":  # the log of a task that was deleted meanwhile
                        self.faults.append(f"error over the WebSocket: {message}")
                case _ if "id" in message and message["event"] != "periodic_update":
                    if self._aside is not None:
                        self._aside.append(message)
                    else:
                        self._take(message)
            if self._aside is None:
                await self._follow(live)

    def _take_aside(self) -> None:
        """What came before `resumed`: perhaps some events as they happened, then all of the replay, in order."""
        aside, self._aside = self._aside or [], None
        ids = [message["id"] for message in aside]
        begin = max((n for n in range(1, len(ids)) if ids[n] <= ids[n - 1]), default=0)
        if sorted(set(ids[:begin])) != ids[:begin] or not set(ids[:begin]) <= set(ids[begin:]):
            self.faults.append(f"the replay after {self.last} lacks events, or is not in order: {ids}")
        self.counts["events told before their replay"] += begin
        for message in aside[begin:]:
            self._take(message)

    def _take(self, message: dict[str, Any]) -> None:
        if self.last is not None and message["id"] <= self.last:
            self.faults.append(f"event {message['id']} came after {self.last}")
            return
        self.last = message["id"]
        task_id = message.get("task_id")
        self.events.append((message["id"], message["event"], task_id))
        if task_id and message["event"] == "task_deleted":
            self._gone.add(task_id)
        elif task_id:
            self.logs.setdefault(task_id, Followed())

    async def _follow(self, live: ClientConnection) -> None:
        for task_id, log in self.logs.items():
            if len(self._following) >= _MOST_FOLLOWED:
                return
            if not log.ended and task_id not in self._following | self._gone:
                self._following.add(task_id)
                await live.send(json.dumps({"type": "follow_log", "task_id": task_id, "after": log.next}))

    def _log(self, message: dict[str, Any]) -> None:
        log = self.logs[message["task_id"]]
        if message["event"] == "log_end":
            log.ended = True
            self._following.discard(message["task_id"])
            return
        log.missed += message["after"] != log.next
        log.next = message["next"]
        log.streams.setdefault(message["stream"], b"")
        log.streams[message["stream"]] += message["text"].encode()

    async def heard(self, event_id: int, within_s: float) -> bool:
        """Wait until it has seen that event, and the end of every log; whether it did."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            over = all(log.ended for task_id, log in self.logs.items() if task_id not in self._gone)
            if self.last is not None and self.last >= event_id and over:
                return True
            await asyncio.sleep(0.05)
        return False


@contextlib.asynccontextmanager
async def listening(listener: Listener) -> Any:
    """It listens inside of this."""
    running = asyncio.create_task(listener.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
