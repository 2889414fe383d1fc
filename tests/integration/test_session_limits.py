"""The owner gives single sessions more or less than the settings do, and that is what they then may use."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, start_server

pytestmark = pytest.mark.root

ENV = {"LSM_SESSION_MEMORY_MB": "600", "WORKSPACE_QUOTA_MB": "20", "LSM_SLOTS": "4"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server"), env=ENV) as server:
        yield server


def _give(admin: httpx.Client, address: str, **limits: Any) -> dict[str, Any]:
    answer = admin.put(f"/api/admin/session/{address}/limits", json=limits)
    assert answer.status_code == 200, answer.text
    given: dict[str, Any] = answer.json()
    return given


@pytest.fixture
def guest(server: Server) -> Iterator[httpx.Client]:
    with device(server, "127.0.0.3") as client:
        client.get("/api/dashboard/127.0.0.3").raise_for_status()
        yield client


def test_only_the_owner_sees_and_sets_them(guest: httpx.Client, admin: httpx.Client) -> None:
    path = "/api/admin/session/127.0.0.3/limits"
    assert (guest.get(path).status_code, guest.put(path, json={}).status_code) == (401, 401)
    assert admin.get(path).json()["given"]["memory_mb"] is None
    assert admin.get("/api/admin/session/127.0.0.77/limits").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"memory_mb": 1},
        {"pids": 0},
        {"cores": 0},
        {"files": 10**9},
        {"quota_mb": "many"},
        {"time_s": 0},
        {"time_s": "1"},
        {"open_files": 63},
        {"open_files": 65_537},
        {"log_mb": 0},
        {"logs_mb": 0.5},
    ],
)
def test_what_cannot_be_is_refused(guest: httpx.Client, admin: httpx.Client, body: dict[str, Any]) -> None:
    assert admin.put("/api/admin/session/127.0.0.3/limits", json=body).status_code == 422


def test_what_is_given_counts_and_what_is_left_out_is_as_the_settings_have_it(
    guest: httpx.Client, admin: httpx.Client
) -> None:
    _give(admin, "127.0.0.3", quota_mb=7, queue_bound=3)
    got = _give(admin, "127.0.0.3", memory_mb=700, max_concurrent_tasks=2)
    assert got["limits"] == {
        "memory_mb": 700, "pids": 1024, "cores": got["limits"]["cores"], "quota_mb": 20, "files": 200_000,
        "max_concurrent_tasks": 2, "queue_bound": 100, "time_s": 86_400, "open_files": got["limits"]["open_files"],
        "log_mb": 256, "logs_mb": 512, "networks": [], "weight": 1.0,
    }  # fmt: skip
    board = guest.get("/api/dashboard/127.0.0.3").json()
    assert (board["permissions"]["max_concurrent_tasks"], board["permissions"]["workspace_quota_mb"]) == (2, 20)
    assert board["limits"]["memory_mb"]["max"] == 700


def test_a_task_may_ask_for_its_sessions_allowance_and_no_more(
    guest: httpx.Client, client: httpx.Client, admin: httpx.Client
) -> None:
    def asked(who: httpx.Client, memory_mb: int) -> httpx.Response:
        body = {"description": "true", "runner": "shell", "limits": {"memory_mb": memory_mb}}
        return who.post("/api/task/submit", json=body)

    _give(admin, "127.0.0.3", memory_mb=700)
    assert ended(guest, asked(guest, 700).json()["task_id"])["status"] == "completed"
    for who, allowed in ((guest, 700), (client, 600)):
        answer = asked(who, 701)
        assert (answer.status_code, f"{allowed} MB at most" in answer.json()["error"]) == (422, True)
    _give(admin, "127.0.0.3", memory_mb=64)
    assert ended(guest, submit(guest, "true"))["limits"]["memory_mb"] == 64


def test_the_kernel_holds_what_was_given(guest: httpx.Client, admin: httpx.Client) -> None:
    _give(admin, "127.0.0.3", pids=40, quota_mb=2)
    task = ended(guest, submit(guest, "exec dash -c 'for i in $(seq 60); do sleep 60 & done; exit 1'"))
    assert "met its limit of 40 processes" in task["detail"]
    assert ended(guest, submit(guest, "exec head -c 3M /dev/zero > outputs/a"))["reason"] == "disk_quota"
    _give(admin, "127.0.0.3")
    assert ended(guest, submit(guest, "exec head -c 3M /dev/zero > outputs/a"))["status"] == "completed"


def test_how_many_run_and_wait_is_the_sessions_own(guest: httpx.Client, admin: httpx.Client) -> None:
    _give(admin, "127.0.0.3", max_concurrent_tasks=1, queue_bound=1)
    first = submit(guest, "sleep 60")
    wait_for(guest, first, lambda task: task["status"] == "running")
    second = submit(guest, "true")
    waits = guest.get(f"/api/task/{second}").json()
    assert (waits["status"], waits["waits_for"]) == ("queued", "own_limit")
    body = {"description": "true", "runner": "shell"}
    assert guest.post("/api/task/submit", json=body).status_code == 429
    guest.post(f"/api/task/{first}/cancel").raise_for_status()
    assert ended(guest, second)["status"] == "completed"


def test_less_that_is_given_holds_for_tasks_that_wait_already(server: Server, admin: httpx.Client) -> None:
    with device(server, "127.0.0.9") as client:
        client.get("/api/dashboard/127.0.0.9").raise_for_status()
        _give(admin, "127.0.0.9", max_concurrent_tasks=1)
        first = submit(client, "while [ ! -e inputs/go ]; do sleep 0.05; done")
        wait_for(client, first, lambda task: task["status"] == "running")
        waits = submit(client, "sleep 60", limits={"time_s": 60})
        _give(admin, "127.0.0.9", time_s=1)
        client.put("/api/workspace/127.0.0.9/files/inputs/go", content=b"").raise_for_status()
        assert ended(client, waits)["reason"] == "time_limit"
