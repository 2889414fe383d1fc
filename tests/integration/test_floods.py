"""However much one address opens, sends or asks, it meets a bound, and the others are served."""

import contextlib
import itertools
import json
import os
import resource
import select
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lan_session_manager.web.rates import FIGURES, Rate
from lan_session_manager.web.seats import EACH, SPARE
from tests.integration.clients import dashboard, device, ended, submit, wait_for
from tests.server import Server, start_server

_BEGUN = (
    b"POST /api/task/submit HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n"
)
_ASKED = b"GET /api/client-ip HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def _connect(server: Server, address: str, sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), 20, source_address=(address, 0))
    connection.sendall(sent)
    return connection


def _answer(connection: socket.socket) -> bytes:
    """The first bytes of an answer; nothing when the connection has ended."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(65536)
    return b""


@contextlib.contextmanager
def _many(server: Server, address: str, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as opened:
        connections = [opened.enter_context(_connect(server, address, sent)) for _ in range(count)]
        with device(server, "127.0.20.99") as client:  # all before it are accepted when this one is answered
            assert client.get("/api/client-ip").status_code == 200
        yield connections


def test_one_address_has_so_many_connections_and_the_others_are_served(server: Server) -> None:
    with _many(server, "127.0.20.1", EACH, _BEGUN) as held:
        with contextlib.ExitStack() as opened:
            told = [opened.enter_context(_connect(server, "127.0.20.1", _ASKED)) for _ in range(SPARE)]
            answers = [_answer(connection) for connection in told]
            assert all(
                answer.startswith(b"HTTP/1.1 503 ") and b"\r\nretry-after: 5\r\n" in answer for answer in answers
            )
            assert json.loads(answers[0].partition(b"\r\n\r\n")[2])["code"] == "too_many_connections"
        with device(server, "127.0.20.2") as other, dashboard(server, "127.0.20.2") as live:
            assert other.get("/api/dashboard/127.0.20.2").status_code == 200
            live.event("dashboard_update")
        held[0].close()
        _until_answered(server, "127.0.20.1")


def _until_answered(server: Server, address: str) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with _connect(server, address) as connection, contextlib.suppress(OSError):
            connection.sendall(_ASKED)
            if _answer(connection).startswith(b"HTTP/1.1 200 "):
                return
        time.sleep(0.05)
    raise AssertionError("no place comes back")


def test_connections_that_wait_give_way_to_those_of_the_same_address_that_ask(server: Server) -> None:
    with _many(server, "127.0.21.1", EACH + 40, b"") as silent, _connect(server, "127.0.21.1", _ASKED) as asking:
        assert _answer(asking).startswith(b"HTTP/1.1 200 ")
        assert _answer(silent[0]) == b""


def _answered(connections: list[socket.socket]) -> int:
    return len(select.select(connections, [], [], 0)[0])


def test_who_asks_over_many_connections_at_once_waits_for_itself(server: Server) -> None:
    with device(server, "127.0.25.1") as client, device(server, "127.0.25.2") as other:
        assert client.get("/api/dashboard/127.0.25.1").status_code == 200
        assert other.get("/api/client-ip").status_code == 200
        asked = b"GET /api/dashboard/127.0.25.1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with _many(server, "127.0.25.1", EACH - 8, b"") as held:
            os.kill(server.process.pid, signal.SIGSTOP)
            try:
                for connection in held:  # all of these are there before the other's
                    connection.sendall(asked)
                with _connect(server, "127.0.25.2", _ASKED) as late:
                    os.kill(server.process.pid, signal.SIGCONT)
                    assert _answer(late).startswith(b"HTTP/1.1 200 ")
                    before = _answered(held)
            finally:
                os.kill(server.process.pid, signal.SIGCONT)
            assert before < len(held) // 2
            assert all(_answer(connection).startswith(b"HTTP/1.1 200 ") for connection in held)


def test_requests_that_are_none_do_not_fill_the_servers_log(tmp_path: Path) -> None:
    with start_server(tmp_path) as server:
        for _ in range(60):
            with _connect(server, "127.0.25.3", b"none\r\n\r\n") as connection:
                assert _answer(connection).startswith(b"HTTP/1.1 400 ")
        assert 0 < server.output.count("Invalid HTTP request") <= 45  # of two minutes, should one begin in between


def test_wrong_tokens_are_counted_by_address(server: Server) -> None:
    with device(server, "127.0.22.1", "wrong") as guessing, device(server, "127.0.22.2", "wrong") as other:
        answers = [guessing.get("/api/sessions/all") for _ in range(FIGURES[Rate.LOGIN].burst + 1)]
        assert [answer.status_code for answer in answers] == [401] * FIGURES[Rate.LOGIN].burst + [429]
        _is_told_when(answers[-1])
        assert other.get("/api/sessions/all").status_code == 401


def _is_told_when(answer: httpx.Response) -> None:
    assert answer.json()["code"] == "too_many_requests"
    assert 1 <= int(answer.headers["retry-after"]) <= 3600
    assert answer.headers["retry-after"] in answer.json()["error"]


def test_new_devices_are_counted_by_address(server: Server) -> None:
    most = FIGURES[Rate.MINT].burst
    with device(server, "127.0.23.1") as minting, device(server, "127.0.23.2") as other:
        answers = [minting.post("/api/device", json={"program": True, "fresh": True}) for _ in range(most + 1)]
        assert {answer.status_code for answer in answers[:-2]} == {200}, answers[0].text
        assert answers[-1].status_code == 429
        _is_told_when(answers[-1])
        assert other.get("/api/session/127.0.23.2").status_code == 200


def _is_answer(message: dict[str, Any]) -> bool:
    return message["event"] in ("pong", "error")


def test_messages_over_a_websocket_are_counted_and_the_others_are_answered(server: Server) -> None:
    with dashboard(server, "127.0.24.1") as flooding, dashboard(server, "127.0.24.2") as other:
        refused = None
        while refused is None:  # so many, and as many as come back meanwhile
            for _ in range(500):
                flooding.send(type="ping")
            answers = [flooding.until(_is_answer)[-1] for _ in range(500)]
            refused = next((answer for answer in answers if answer["event"] == "error"), None)
        assert refused["code"] == "too_many_requests"
        other.send(type="ping")
        other.event("pong")


def test_when_all_dashboards_are_taken_who_has_the_most_gives_one_up(tmp_path: Path) -> None:
    with start_server(tmp_path, env={"LSM_MAX_SOCKETS": "6"}) as server, contextlib.ExitStack() as opened:
        crowd = [opened.enter_context(dashboard(server, "127.0.28.1")) for _ in range(6)]
        for last in range(2, 5):
            opened.enter_context(dashboard(server, f"127.0.28.{last}")).event("dashboard_update")
        with pytest.raises(InvalidStatus) as refused, dashboard(server, "127.0.28.1"):
            pass
        assert refused.value.response.status_code == 503
        gone = 0
        for live in crowd:
            with contextlib.suppress(ConnectionClosed):
                live.send(type="ping")
                live.event("pong")
                continue
            gone += 1
        assert gone == 3


def test_a_visit_makes_no_directory_and_the_first_use_does(server: Server) -> None:
    place = server.data_dir / "127_0_25_1"
    with device(server, "127.0.25.1") as client, dashboard(server, "127.0.25.1") as live:
        live.event("activity")
        assert client.get("/api/session/127.0.25.1").status_code == 200
        listed = client.get("/api/workspace/127.0.25.1/files").json()["entries"]
        assert [entry["name"] for entry in listed] == ["inputs", "outputs", "temp"]
        assert client.get("/api/workspace/127.0.25.1/files", params={"path": "inputs"}).json()["entries"] == []
        assert client.get("/api/workspace/127.0.25.1/files", params={"path": "other"}).status_code == 404
        assert not place.exists()
        assert client.put("/api/workspace/127.0.25.1/files/inputs/a", content=b"a").status_code == 201
        assert {entry.name for entry in place.iterdir()} == {"inputs", "outputs", "temp", "session.json"}


def test_a_task_is_the_first_use_as_well(server: Server) -> None:
    with device(server, "127.0.26.1") as client:
        assert ended(client, submit(client, "echo here > outputs/a"))["status"] == "completed"
    place = server.data_dir / "127_0_26_1"
    assert json.loads((place / "session.json").read_text())["ip"] == "127.0.26.1"


def test_with_few_descriptors_many_addresses_together_leave_room_for_another_one(tmp_path: Path) -> None:
    with start_server(tmp_path, prefix=["prlimit", "--nofile=300:300"]) as server, contextlib.ExitStack() as opened:
        for last in range(1, 5):
            opened.enter_context(_many(server, f"127.0.27.{last}", 60, _BEGUN))
        for last in range(11, 21):
            with device(server, f"127.0.27.{last}") as other:
                assert other.get("/api/system/health").status_code == 200
        with device(server, "127.0.27.11") as other:
            assert ended(other, submit(other, "true"))["status"] == "completed"


def _open_files(pid: int) -> set[int]:
    """Those of a server that has come to rest."""
    seen = [set[int](), {-1}]
    while seen[-1] != seen[-2]:
        time.sleep(0.5)
        seen.append({int(name) for name in os.listdir(f"/proc/{pid}/fd")})
    return seen[-1]


@pytest.mark.parametrize("spare", [1, 6])
def test_a_task_that_cannot_start_for_want_of_descriptors_waits_and_runs(tmp_path: Path, spare: int) -> None:
    with start_server(tmp_path) as server, device(server) as client:
        assert ended(client, submit(client, "true"))["status"] == "completed"
        pid = server.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = _open_files(pid)
        free = (number for number in itertools.count() if number not in used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (next(itertools.islice(free, spare, None)), before[1]))
        try:
            task_id = submit(client, "echo done > outputs/done")
            waiting = wait_for(client, task_id, lambda task: task["detail"])
            assert waiting["status"] == "queued"
            assert "tried again" in waiting["detail"]
        finally:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        task = ended(client, task_id)
        assert (task["status"], task["detail"]) == ("completed", "")
