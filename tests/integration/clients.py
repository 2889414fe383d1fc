"""Clients of a server on loopback. Each address of 127.0.0.0/8 is a device of its own."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.server import Server

PATIENCE_S = 30.0 * float(os.environ.get("TEST_PATIENCE", "1"))  # more where everything is slow


@contextmanager
def device(server: Server, address: str = "127.0.0.1", token: str = "") -> Iterator[httpx.Client]:
    """An HTTP client at that address, with a token if it has one."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.HTTPTransport(local_address=address)
    with httpx.Client(base_url=server.url, transport=transport, headers=headers, timeout=PATIENCE_S) as client:
        yield client


@contextmanager
def dashboard(server: Server, address: str = "127.0.0.1", port: int | None = None) -> Iterator["Live"]:
    """An open dashboard of the device at that address."""
    raw = socket.create_connection(("127.0.0.1", port or server.port), PATIENCE_S, source_address=(address, 0))
    uri = f"ws://127.0.0.1:{port or server.port}/ws/dashboard/{address}"
    with connect(uri, sock=raw, max_size=None, compression=None) as connection:
        yield Live(connection)


class Live:
    """What an open dashboard gets, in order."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, **message: Any) -> None:
        """Send a message."""
        self.connection.send(json.dumps(message))

    def until(self, wanted: Callable[[dict[str, Any]], object]) -> list[dict[str, Any]]:
        """All messages up to the first wanted one, which is the last of the list."""
        got: list[dict[str, Any]] = []
        end = time.monotonic() + PATIENCE_S
        while not got or not wanted(got[-1]):
            got.append(json.loads(self.connection.recv(max(0.0, end - time.monotonic()))))
        return got

    def event(self, name: str, **fields: Any) -> dict[str, Any]:
        """The next event of that name with those fields."""
        return self.until(lambda got: got["event"] == name and fields.items() <= got.items())[-1]


def submit(client: httpx.Client, command: str, **fields: Any) -> str:
    """Submit a shell task and give its id."""
    body = {"description": command[:100], "runner": "shell", "command": command, **fields}
    answer = client.post("/api/task/submit", json=body)
    assert answer.status_code == 200, answer.text
    task_id: str = answer.json()["task_id"]
    return task_id


def ended(client: httpx.Client, task_id: str) -> dict[str, Any]:
    """The task once it has ended."""
    return wait_for(client, task_id, lambda task: task["status"] in ("completed", "failed", "cancelled"))


def wait_for(client: httpx.Client, task_id: str, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The task once it is as wanted."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        answer = client.get(f"/api/task/{task_id}")
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        if wanted(task):
            return task
        time.sleep(0.02)
    raise AssertionError(f"not as wanted in {PATIENCE_S} s: {task}")
