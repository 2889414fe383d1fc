"""A server that is to drain ends when its tasks have; one without a sandbox looks after those that run from before."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lan_session_manager.settings import STATE_DIR
from tests.integration.clients import PATIENCE_S, dashboard, device, ended, submit, wait_for
from tests.integration.test_restart import wait_for_line
from tests.server import Server, remove_leftovers, start_server


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_leftovers(tmp_path / "user_sessions")


def _end_the_task(server: Server) -> None:
    (server.data_dir / "127_0_0_1" / "temp" / "go").touch()


_WAITS = "until [ -e temp/go ]; do sleep 0.05; done; exit 4"


def test_a_drain_waits_for_what_runs_and_keeps_what_comes_for_the_next_start(place: Path) -> None:
    server = start_server(place, args=["--drain"])
    with device(server) as client, dashboard(server) as live:
        running = submit(client, _WAITS)
        wait_for(client, running, lambda task: task["status"] == "running")
        os.kill(server.process.pid, signal.SIGTERM)
        live.until(lambda message: message["event"] == "activity" and message["swarm_health"]["draining"])
        queued = submit(client, "echo later")
        client.post("/api/task/submit", json={"description": "for a worker", "runner": "swarm"}).raise_for_status()
        token = (server.data_dir / STATE_DIR / "worker-token").read_text().strip()
        with device(server, token=token) as worker:
            claim = worker.post(
                "/api/worker/claim", json={"worker": "w", "kinds": ["swarm"], "capacity": 1, "wait_s": 0}
            )
        assert (claim.status_code, claim.json()["tasks"]) == (200, [])
        assert client.get(f"/api/task/{queued}").json()["status"] == "queued"
        assert server.process.poll() is None
        _end_the_task(server)
        assert live.event("task_completed", task_id=running)["task"]["exit_code"] == 4
    server.process.wait(PATIENCE_S)
    again = start_server(place)
    try:
        with device(again) as client:
            assert ended(client, running)["exit_code"] == 4
            assert ended(client, queued)["status"] == "completed"
    finally:
        again.stop()


def test_a_second_signal_does_not_wait(place: Path) -> None:
    server = start_server(place, args=["--drain"])
    with device(server) as client:
        running = submit(client, _WAITS)
        wait_for(client, running, lambda task: task["status"] == "running")
        os.kill(server.process.pid, signal.SIGTERM)
        wait_for(client, running, lambda _: client.get("/api/system/health").json()["draining"])
        os.kill(server.process.pid, signal.SIGTERM)
    server.process.wait(PATIENCE_S)
    again = start_server(place)
    try:
        _end_the_task(again)
        with device(again) as client:
            assert ended(client, running)["exit_code"] == 4
    finally:
        again.stop()


@pytest.mark.parametrize("runtime", ["/bin/false", "/not/there"])
def test_a_server_without_a_sandbox_looks_after_what_runs_and_starts_nothing(place: Path, runtime: str) -> None:
    server = start_server(place)
    with device(server) as client:
        ends, cancelled = submit(client, f"echo begun; {_WAITS}"), submit(client, "echo begun; sleep 60")
        for task_id in (ends, cancelled):
            wait_for_line(client, task_id)
        waits = submit(client, "echo never")
    server.kill9()
    broken = start_server(place, env={"LSM_OCI_RUNTIME": runtime})
    try:
        with device(broken) as client:
            _end_the_task(broken)
            task = ended(client, ends)
            assert (task["reason"], task["exit_code"]) == ("exit", 4), task["detail"]
            assert client.get(f"/api/task/{ends}/log").text == "begun\n"
            client.post(f"/api/task/{cancelled}/cancel").raise_for_status()
            assert ended(client, cancelled)["reason"] == "cancelled_by_user"
            assert client.get(f"/api/task/{waits}").json()["status"] in ("queued", "completed")
    finally:
        broken.stop()
