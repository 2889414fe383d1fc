"""What one client does holds up, breaks or changes nothing for the others."""

import base64
import contextlib
import json
import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lan_session_manager import LANSessionManager
from tests.integration.clients import Live, dashboard, device
from tests.server import Server, start_server

_CHUNKED = (
    b"POST /api/task/submit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
)


def _connect(server: Server, address: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 20, source_address=(address, 0))


def _handshake(address: str) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    head = f"GET /ws/dashboard/{address} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _masked(text: bytes) -> bytes:
    return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text


def test_a_client_that_is_gone_before_its_dashboard_is_open_stops_nobody_elses(server: Server) -> None:
    with dashboard(server, "127.0.2.1") as live:
        for last in range(2, 22):
            address = f"127.0.2.{last}"
            connection = _connect(server, address)
            connection.sendall(_handshake(address))
            _reset(connection) if last % 2 else connection.close()
        for _ in range(2):
            with dashboard(server, "127.0.2.99") as later:
                live.event("activity")
                later.event("activity")
    assert "the hub failed" not in server.output


def test_a_flood_of_messages_lets_the_others_have_their_turns(server: Server) -> None:
    with device(server, "127.0.3.1") as client:
        for _ in range(60):
            client.post("/api/task/submit", json={"description": "wait", "runner": "swarm"})
    with device(server, "127.0.3.2") as other, dashboard(server, "127.0.3.1") as flooding:
        flooding.event("dashboard_update")
        flood = _masked(b'{"type": "request_dashboard_update"}') + _masked(b'{"type": "ping"}')
        with ThreadPoolExecutor(1) as pool:
            flooding.connection.socket.sendall(flood * 200)
            answered = pool.submit(_pongs, flooding, 200)
            turns = []
            while not answered.done():
                turns.append(other.get("/api/system/health").json()["timestamp"])
    # Each with the server's own time of its answer. Without turns, none would be between the first and the last.
    first, *_, last = answered.result()
    assert [turn for turn in turns if first < turn < last]


def _pongs(live: Live, most: int) -> list[str]:
    """When the server answered, message by message, as far as it let a client that is too slow come."""
    times: list[str] = []
    with contextlib.suppress(ConnectionClosed):
        while len(times) < most:
            message = json.loads(live.connection.recv(30))
            if message["event"] == "pong":
                times.append(message["timestamp"])
    return times


@pytest.mark.parametrize(
    "endless", [b"".join(b"a%d: %b\r\n" % (n, b"v" * 200) for n in range(300)), b"v" * 65536], ids=["lines", "one line"]
)
def test_trailers_without_end_end_the_connection(server: Server, endless: bytes) -> None:
    with _connect(server, "127.0.4.1") as connection:
        connection.sendall(_CHUNKED + (b"x: " if b"\n" not in endless else b""))
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(endless * 500)


def test_trailers_are_no_headers(tmp_path: Path) -> None:
    with start_server(tmp_path, env={"LSM_TRUSTED_PROXIES": "127.0.0.9"}) as server:
        with _connect(server, "127.0.0.9") as connection:
            head = (
                b"GET /api/client-ip HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
            )
            connection.sendall(head + b"X-Forwarded-For: 10.0.0.1\r\n\r\n0\r\nX-Forwarded-For: 10.0.0.2\r\n\r\n")
            assert _ip(connection) == "10.0.0.1"
        with _connect(server, "127.0.0.9") as connection:
            connection.sendall(
                b"GET /api/client-ip HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                b"X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n\r\n"
            )
            assert _ip(connection) == "10.0.0.2", "the proxy's own header is the last one"


def _ip(connection: socket.socket) -> str:
    answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return str(json.loads(answer.partition(b"\r\n\r\n")[2])["ip"])


def test_half_a_character_is_refused_and_the_dashboard_stays_open(server: Server) -> None:
    with dashboard(server, "127.0.5.1") as live:
        for text in (r'{"type": "\ud800"}', r'{"type": "follow_log", "task_id": "\ud800"}'):
            live.connection.send(text)
            assert live.event("error")["code"] == "invalid_input"


def test_a_bound_on_dashboards_holds_for_those_who_come_at_once(tmp_path: Path) -> None:
    with start_server(tmp_path, env={"LSM_MAX_SESSION_SOCKETS": "3"}) as server, contextlib.ExitStack() as opened:
        with device(server) as client:
            client.get("/api/dashboard/127.0.0.1")

        def join(_: int) -> Live | None:
            try:
                return opened.enter_context(dashboard(server))
            except InvalidStatus:
                return None

        with ThreadPoolExecutor(16) as pool:
            joined = [live for live in pool.map(join, range(16)) if live]
        assert len(joined) == 3


def test_a_dashboard_of_many_long_commands_opens_and_resumes(server: Server) -> None:
    with device(server, "127.0.6.1") as client:
        for _ in range(90):
            body = {"description": "long", "runner": "swarm", "command": "x" * 65_000}
            assert client.post("/api/task/submit", json=body).status_code == 200
    with dashboard(server, "127.0.6.1") as live:
        assert len(live.event("dashboard_update")["data"]["my_tasks"]) == 90
        live.send(type="resume", after=0)
        replayed = live.until(lambda message: message["event"] == "resumed")
        assert len({message["task_id"] for message in replayed if message["event"] == "task_submitted"}) == 90


def test_a_dashboard_that_is_open_keeps_its_session_live(tmp_path: Path) -> None:
    with (
        start_server(tmp_path, env={"SESSION_TIMEOUT_MINUTES": "0.05"}) as server,
        dashboard(server, "127.0.0.2") as live,
        device(server, "127.0.0.3", server.admin_token) as gone,
    ):
        gone.get("/api/dashboard/127.0.0.3")
        live.until(lambda message: message["event"] == "activity" and message["swarm_health"]["active_sessions"] < 2)
        assert list(gone.get("/api/sessions/all").json()["sessions"]) == ["127.0.0.2"]


def test_the_same_key_over_the_websocket_is_answered_each_time(server: Server) -> None:
    with dashboard(server, "127.0.7.1") as live:
        live.event("dashboard_update")
        answers = []
        for _ in range(2):
            live.send(type="submit_task", description="wait", runner="swarm", idempotency_key="mine")
            answers.append(live.event("task_submitted")["task_id"])
        assert answers[0] == answers[1]


def test_the_log_of_a_task_with_an_id_of_any_characters_can_be_saved(server: Server) -> None:
    reporter = LANSessionManager(server.data_dir)
    reporter.activity_tracker.tag_task('tâche-中"', "USER_TRIGGERED", "127.0.8.1")
    reporter.close()
    with device(server, "127.0.8.1") as client:
        answer = client.get("/api/task/t%C3%A2che-%E4%B8%AD%22/log", params={"download": 1})
    assert answer.status_code == 200
    names = "filename=\"t_che-__.log\"; filename*=UTF-8''t%C3%A2che-%E4%B8%AD_.log"
    assert answer.headers["content-disposition"] == f"attachment; {names}"


def test_the_server_may_have_as_many_connections_as_the_machine_allows(tmp_path: Path) -> None:
    with start_server(tmp_path, prefix=["prlimit", "--nofile=256:4096"]) as server:
        limits = (Path("/proc") / str(server.process.pid) / "limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == ["4096", "4096"]
