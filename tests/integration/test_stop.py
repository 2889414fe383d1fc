"""A server that is told to stop says so to who listens, waits for nobody for long, and leaves the tasks running."""

import contextlib
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from lan_session_manager.settings import STATE_DIR
from tests.integration.clients import PATIENCE_S, dashboard, device, ended, submit, wait_for
from tests.integration.test_restart import wait_for_line
from tests.server import Server, remove_leftovers, start_server

_WAITS = "until [ -e temp/go ]; do sleep 0.05; done; exit 6"
_MB = 1024 * 1024
_HANDSHAKE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_leftovers(tmp_path / "user_sessions")


def _says(server: Server, words: str) -> socket.socket:
    """A connection over which a client has sent so much, and does nothing from then on."""
    connection = socket.create_connection(("127.0.0.1", server.port), PATIENCE_S)
    connection.sendall(words.encode("latin-1"))
    return connection


def _asks(server: Server, line: str, headers: str = "", body: str = "") -> socket.socket:
    return _says(server, f"{line} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{headers}\r\n{body}")


def _is_closed(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), PATIENCE_S).close()
    except ConnectionError:
        return True
    return False


def test_a_stop_waits_for_no_client_and_ends_no_task(place: Path) -> None:
    server = start_server(place)
    workspace = server.data_dir / "127_0_0_1"
    with contextlib.ExitStack() as clients, device(server) as client:
        task_id = submit(client, f"echo begun; {_WAITS}")
        prints = submit(client, "while :; do head -c 100000 /dev/zero | tr '\\0' x; echo; sleep 0.01; done")
        for each in (task_id, prints):
            wait_for_line(client, each)
        with (workspace / "outputs" / "large").open("wb") as file:
            file.truncate(256 * _MB)
        api = "/api/workspace/127.0.0.1/files/inputs"
        for connection in (
            _says(server, ""),
            _says(server, "GET / HTTP/1.1\r\nHost: "),
            _asks(server, "GET /api/client-ip"),  # and stays, for another request
            _asks(server, f"GET /api/task/{prints}/log?follow=1"),
            _asks(server, "GET /api/workspace/127.0.0.1/files/outputs/large"),
            _asks(server, f"PUT {api}/half", f"Content-Length: {10 * _MB}\r\n", "x" * _MB),
            _asks(server, "GET /ws/dashboard/127.0.0.1", _HANDSHAKE),
        ):
            clients.enter_context(connection)
        follows = clients.enter_context(client.stream("GET", f"/api/task/{task_id}/log", params={"follow": 1}))
        assert next(follows.iter_lines()) == "begun"
        live = clients.enter_context(dashboard(server))
        live.event("dashboard_update")
        assert server.terminate() in (0, -signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            live.until(lambda _: False)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
    again = start_server(place)
    try:
        (workspace / "temp" / "go").touch()
        with device(again) as client:
            task = ended(client, task_id)
            assert (task["exit_code"], client.get(f"/api/task/{task_id}/log").text) == (6, "begun\n")
            assert not (workspace / "inputs" / "half").exists()
    finally:
        again.stop()


def test_a_stop_waits_for_no_handshake(place: Path) -> None:
    server = start_server(place, args=["--tls"])
    with _says(server, "\x16\x03\x01\x02\x00\x01\x00"):  # the beginning of a ClientHello
        assert server.terminate() in (0, -signal.SIGTERM)


@pytest.mark.parametrize(("signals", "status"), [((), 0), ((signal.SIGINT,), -signal.SIGINT)])
def test_a_stop_waits_for_no_locked_database(place: Path, signals: tuple[int, ...], status: int) -> None:
    """And a second signal not even for the rest: of the two ways to end, the exit status tells which it was."""
    server = start_server(place)
    with device(server) as client:
        task_id = submit(client, f"echo begun; {_WAITS}")
        wait_for_line(client, task_id)
        wait_for(client, task_id, lambda task: task["status"] == "running")
    with _locked(server), _waiting_for_a_write(server):
        os.kill(server.process.pid, signal.SIGTERM)
        for number in signals:
            while not _is_closed(server):
                time.sleep(0.02)
            os.kill(server.process.pid, number)
        assert server.process.wait(PATIENCE_S) == status, server.output
    again = start_server(place)
    try:
        (server.data_dir / "127_0_0_1" / "temp" / "go").touch()
        with device(again) as client:
            assert ended(client, task_id)["exit_code"] == 6
            assert len(client.get("/api/dashboard/127.0.0.1").json()["my_tasks"]) == 1
    finally:
        again.stop()


@contextlib.contextmanager
def _locked(server: Server) -> Iterator[None]:
    """Another program holds the lock of the database."""
    with contextlib.closing(sqlite3.connect(server.data_dir / STATE_DIR / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextlib.contextmanager
def _waiting_for_a_write(server: Server) -> Iterator[None]:
    """A client waits for the answer to a submit, which the server cannot write down."""
    begun = threading.Event()

    def wait() -> None:
        with device(server) as client, contextlib.suppress(httpx.TransportError):
            client.get("/api/client-ip")
            begun.set()
            answer = client.post("/api/task/submit", json={"description": "true", "runner": "shell"})
            assert (answer.status_code, answer.json()["code"]) == (503, "stopping")

    waiting = threading.Thread(target=wait)
    waiting.start()
    try:
        assert begun.wait(PATIENCE_S)
        yield
    finally:
        waiting.join()
