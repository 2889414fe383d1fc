"""Workers outside: a real server, real HTTP, and workers that die at each step."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.clients import dashboard, device, ended, submit, wait_for
from tests.server import ROOT, Server, start_server

TOKEN = "worker-token-of-the-test"
LEASE_S = 2.0


@pytest.fixture(scope="module")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = start_server(
        tmp_path_factory.mktemp("swarm"), env={"LSM_WORKER_TOKEN": TOKEN, "LSM_WORKER_LEASE_S": str(LEASE_S)}
    )
    yield server
    server.stop()


@pytest.fixture
def worker(swarm: Server) -> Iterator[httpx.Client]:
    with device(swarm, "127.0.0.77", TOKEN) as client:
        yield client


def _claim(worker: httpx.Client, wait_s: float = 10, **more: Any) -> dict[str, Any]:
    answer = worker.post("/api/worker/claim", json={"worker": "w", "wait_s": wait_s, **more})
    assert answer.status_code == 200, answer.text
    (task,) = answer.json()["tasks"]
    found: dict[str, Any] = task
    return found


def _url(task: dict[str, Any], what: str) -> str:
    return f"/api/worker/task/{task['task_id']}/{what}"


def _lease(task: dict[str, Any]) -> dict[str, str]:
    return {"LSM-Lease": task["lease"]}


@contextmanager
def _example(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "LSM_URL": server.url, "LSM_WORKER_TOKEN": TOKEN}
    process = subprocess.Popen([sys.executable, str(ROOT / "examples" / "worker.py")], env=env)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_the_example_does_tasks_and_their_log_is_live(swarm: Server) -> None:
    with _example(swarm), device(swarm) as client, dashboard(swarm) as live:
        task_id = submit(client, "echo begun; sleep 1; echo done >&2; exit 3", runner="swarm")
        live.send(type="follow_log", task_id=task_id, after=0)
        assert live.event("log", task_id=task_id)["text"] == "begun\n"
        task = ended(client, task_id)
        assert (task["status"], task["exit_code"], task["reason"]) == ("failed", 3, "exit")
        assert task["worker"]
        assert client.get(f"/api/task/{task_id}/log").text == "begun\ndone\n"
        stopped = submit(client, "sleep 60", runner="swarm")
        wait_for(client, stopped, lambda task: task["status"] == "running")
        client.post(f"/api/task/{stopped}/cancel").raise_for_status()
        assert ended(client, stopped)["reason"] == "cancelled_by_user"


def test_a_claim_waits_for_a_task(swarm: Server, worker: httpx.Client) -> None:
    assert worker.post("/api/worker/claim", json={"worker": "w"}).json()["tasks"] == []
    with device(swarm) as client, httpx.Client(base_url=swarm.url) as _:
        task_id = submit(client, "find it", runner="swarm", metadata={"model": "large"}, start_after=time.time() + 1)
        task = _claim(worker)
        assert (task["task_id"], task["metadata"]) == (task_id, {"model": "large"})
        worker.post(_url(task, "complete"), json={"status": "completed"}, headers=_lease(task)).raise_for_status()
        assert ended(client, task_id)["status"] == "completed"


def test_a_worker_sees_its_task_and_no_other(swarm: Server, worker: httpx.Client) -> None:
    with device(swarm) as client:
        submit(client, "mine", runner="swarm")
        other = submit(client, "another's", runner="swarm")
        client.put("/api/workspace/127.0.0.1/files/inputs/data.txt", content=b"42").raise_for_status()
        task = _claim(worker)
        assert worker.get(_url(task, "files/inputs/data.txt"), headers=_lease(task)).content == b"42"
        put = worker.put(_url(task, "files/outputs/answer.txt"), content=b"43", headers=_lease(task))
        assert put.status_code == 201
        assert client.get("/api/workspace/127.0.0.1/files/outputs/answer.txt").content == b"43"
        assert worker.put(_url(task, "files/inputs/x"), content=b"x", headers=_lease(task)).status_code == 404
        for path in ("temp", "shared", "../..", ""):
            assert worker.get(_url(task, f"files?path={path}"), headers=_lease(task)).status_code == 404
        nobody = worker.get("/api/worker/task/user_127_0_0_1_task_999/files", headers=_lease(task))
        for url, headers in (
            (f"/api/worker/task/{other}/files", _lease(task)),  # another's task
            (_url(task, "files"), {"LSM-Lease": "x" * 43}),  # another's lease
            (_url(task, "files"), {}),
        ):
            answer = worker.get(url, headers=headers)
            assert (answer.status_code, answer.content) == (nobody.status_code, nobody.content) == (404, nobody.content)
        assert client.post("/api/worker/claim", json={"worker": "w"}).status_code == 401
        worker.post(_url(task, "complete"), json={"status": "completed"}, headers=_lease(task)).raise_for_status()
        client.post(f"/api/task/{other}/cancel").raise_for_status()


def test_a_worker_that_dies_in_the_middle_loses_its_task_and_the_next_one_goes_on_with_the_log(
    swarm: Server, worker: httpx.Client
) -> None:
    with device(swarm) as client:
        task_id = submit(client, "long", runner="swarm", retries=1)
        first = _claim(worker)
        log = worker.put(_url(first, "log?offset=0"), content=b"half\n", headers=_lease(first))
        assert log.json() == {"next": 5}
        # It dies here: nothing is heard of it any more.
        second = _claim(worker, wait_s=30)
        assert (second["task_id"], second["attempt"]) == (task_id, 2)
        late = worker.put(_url(first, "log?offset=5"), content=b"late", headers=_lease(first))
        assert late.status_code == 404
        at = second["log_next"]
        worker.put(_url(second, f"log?offset={at}"), content=b"whole\n", headers=_lease(second)).raise_for_status()
        body = {"status": "completed", "usage": {"cpu_s": 2.5}}
        for _ in range(2):  # the answer to the first was lost
            worker.post(_url(second, "complete"), json=body, headers=_lease(second)).raise_for_status()
        task = ended(client, task_id)
        assert (task["status"], task["usage"]["cpu_s"]) == ("completed", 2.5)
        text = client.get(f"/api/task/{task_id}/log").text
        assert text.startswith("half\n")
        assert text.endswith("whole\n")


def test_a_lease_outlives_a_killed_server(tmp_path: Path) -> None:
    env = {"LSM_WORKER_TOKEN": TOKEN}
    server = start_server(tmp_path, env=env)
    with device(server) as client, device(server, "127.0.0.77", TOKEN) as worker:
        task_id = submit(client, "long", runner="swarm")
        task = _claim(worker)
        worker.put(_url(task, "log?offset=0"), content=b"before\n", headers=_lease(task)).raise_for_status()
    server.kill9()
    again = start_server(tmp_path, env=env)
    try:
        with device(again) as client, device(again, "127.0.0.77", TOKEN) as worker:
            worker.put(_url(task, "log?offset=7"), content=b"after\n", headers=_lease(task)).raise_for_status()
            worker.post(_url(task, "complete"), json={"status": "completed"}, headers=_lease(task)).raise_for_status()
            assert ended(client, task_id)["status"] == "completed"
            assert client.get(f"/api/task/{task_id}/log").text == "before\nafter\n"
    finally:
        again.stop()
