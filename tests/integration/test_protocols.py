"""What is relied on of uvicorn's inside: bounded headers, connections that end, and a stop that waits for nobody."""

import base64
import json
import os
import socket
import time
from pathlib import Path

import psutil
import pytest

from tests.integration.clients import dashboard, device, submit
from tests.server import Server, start_server


def _connect(server: Server, receive_buffer: int = 0) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(20)
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.connect(("127.0.0.1", server.port))
    return connection


def _rest(connection: socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("ended", [True, False], ids=["complete", "endless"])
def test_headers_beyond_64_kib_are_refused(server: Server, ended: bool) -> None:
    with _connect(server) as connection:
        head = b"GET /api/client-ip HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Big: " + b"a" * 70_000
        connection.sendall(head + (b"\r\n\r\n" if ended else b""))
        answer = _rest(connection)
    assert answer.startswith(b"HTTP/1.1 431")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "headers"


def test_many_headers_do_not_cost_memory(server: Server) -> None:
    before = psutil.Process(server.process.pid).memory_info().rss
    with _connect(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(b"".join(b"X-%d: " % number + b"a" * 500 + b"\r\n" for number in range(200_000)))
    assert psutil.Process(server.process.pid).memory_info().rss - before < 30_000_000


def test_headers_that_do_not_come_end_the_connection(server: Server) -> None:
    with _connect(server) as silent, _connect(server) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHo")
        begun = time.monotonic()
        assert _rest(silent) == _rest(slow) == b""
        assert 3 < time.monotonic() - begun < 15


def test_a_connection_that_is_kept_alive_answers_again(server: Server) -> None:
    with _connect(server) as connection:
        for _ in range(3):
            connection.sendall(b"GET /api/client-ip HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200")


def test_a_request_line_of_a_megabyte_is_refused(server: Server) -> None:
    with _connect(server) as connection:
        try:
            connection.sendall(b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = _rest(connection)
        except (ConnectionResetError, BrokenPipeError):
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 431")
    with device(server) as client:
        assert client.get("/api/client-ip").status_code == 200


def _open_dashboard_that_never_reads(server: Server) -> socket.socket:
    connection = _connect(server, receive_buffer=4096)
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        (
            "GET /ws/dashboard/127.0.0.1 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
        ).encode()
    )
    assert b" 101 " in connection.recv(64)
    return connection


def _ask_for_ever(sleeper: socket.socket) -> None:
    for _ in range(1000):  # each answer is about 2 MB
        sleeper.sendall(_frame(type="request_dashboard_update"))
        time.sleep(0.02)


def _frame(**message: object) -> bytes:
    text, mask = json.dumps(message).encode(), b"\0\0\0\0"
    assert len(text) < 126
    return bytes([0x81, 0x80 | len(text)]) + mask + text


def test_a_dashboard_that_never_reads_is_let_go_and_holds_nobody_up(server: Server) -> None:
    with device(server) as client:
        for _ in range(30):
            client.post(
                "/api/task/submit", json={"description": "x" * 2000, "runner": "swarm", "command": "y" * 60_000}
            )
    with _open_dashboard_that_never_reads(server) as sleeper, dashboard(server) as live:
        live.event("dashboard_update")
        with pytest.raises((ConnectionResetError, BrokenPipeError, TimeoutError)):
            _ask_for_ever(sleeper)
        live.send(type="ping")
        live.event("pong")
    assert psutil.Process(server.process.pid).memory_info().rss < 400_000_000


def test_sigterm_does_not_wait_for_one_who_never_reads(tmp_path: Path) -> None:
    with start_server(tmp_path) as server, device(server) as client:
        for _ in range(30):
            client.post("/api/task/submit", json={"description": "a", "runner": "swarm", "command": "y" * 60_000})
        running = submit(client, "yes")
        with _open_dashboard_that_never_reads(server) as sleeper:
            sleeper.sendall(_frame(type="follow_log", task_id=running, after=0))
            time.sleep(1)
            begun = time.monotonic()
            server.terminate()
            assert time.monotonic() - begun < 15
    assert "Traceback" not in server.output
