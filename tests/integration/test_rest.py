"""Each REST call answers what its clients know, to whom it is for and to nobody else."""

import time

import httpx
import pytest

from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server


def test_the_page_and_its_files_are_served_under_a_strict_policy(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "<!doctype html>" in page.text.lower()
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "<script>" not in page.text
    assert " style=" not in page.text
    assert page.headers["x-content-type-options"] == "nosniff"


def test_everybody_learns_the_own_address(other: httpx.Client) -> None:
    assert other.get("/api/client-ip").json().items() >= {"ip": "127.0.0.2"}.items()


def test_the_dashboard_is_its_own_clients_and_the_owners(
    client: httpx.Client, other: httpx.Client, admin: httpx.Client
) -> None:
    assert client.get("/api/dashboard/127.0.0.1").json()["session"]["ip"] == "127.0.0.1"
    assert admin.get("/api/dashboard/127.0.0.1").status_code == 200
    foreign, missing = other.get("/api/dashboard/127.0.0.1"), other.get("/api/dashboard/127.0.0.77")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content


def test_the_session_has_the_fields_that_clients_read(client: httpx.Client) -> None:
    assert set(client.get("/api/session/127.0.0.1").json()) >= {
        "session_id", "ip", "created_at", "last_activity", "active_tasks", "total_tasks", "workspace", "permissions",
    }  # fmt: skip


def test_health_is_told_to_everybody_in_counts(other: httpx.Client) -> None:
    health = other.get("/api/system/health").json()
    assert set(health) >= {"status", "timestamp", "active_sessions", "active_tasks", "websocket_connections"}
    assert health["status"] == "healthy"
    assert health["isolation"]["grade"] == "full"


def test_all_sessions_are_for_the_owner(client: httpx.Client, admin: httpx.Client, server: Server) -> None:
    client.get("/api/dashboard/127.0.0.1")
    assert client.get("/api/sessions/all").status_code == 401
    with device(server, token="wrong") as guessing:
        assert guessing.get("/api/sessions/all").status_code == 401
    everybody = admin.get("/api/sessions/all").json()
    assert set(everybody) == {"total_sessions", "active_tasks", "sessions"}
    assert "127.0.0.1" in everybody["sessions"]


def test_a_task_runs_and_everything_of_it_is_told(client: httpx.Client) -> None:
    task_id = submit(client, "echo out; echo err >&2; echo made > outputs/made.txt; exit 3", limits={"memory_mb": 64})
    task = ended(client, task_id)
    assert (task["status"], task["reason"], task["exit_code"]) == ("failed", "exit", 3)
    assert task["outputs"] == [{"path": "outputs/made.txt", "size": 5}]
    assert task["limits"]["memory_mb"] == 64
    assert task["isolation"] == "full"
    assert task["usage"]["cpu_s"] > 0
    assert 0 < task["usage"]["memory_peak_mb"] <= 64
    log = client.get(f"/api/task/{task_id}/log")
    assert sorted(log.text.splitlines()) == ["err", "out"]
    assert log.headers["x-log-next"] == "8"
    rest = client.get(f"/api/task/{task_id}/log", params={"after": 4})
    assert rest.content == log.content[4:]


def test_a_followed_log_goes_on_until_the_task_ends(client: httpx.Client) -> None:
    task_id = submit(client, "for i in 1 2 3 4; do echo line $i; sleep 0.2; done")
    arrived: list[tuple[str, float]] = []
    with client.stream("GET", f"/api/task/{task_id}/log", params={"follow": 1}) as answer:
        arrived.extend((line, time.monotonic()) for line in answer.iter_lines())
    assert [line for line, _ in arrived] == [f"line {n}" for n in range(1, 5)]
    assert arrived[-1][1] - arrived[0][1] > 0.3  # they came as they were printed, and not at the end


def test_out_of_memory_says_so(client: httpx.Client) -> None:
    task_id = submit(client, "python3 -c 'x = bytearray(200 << 20)'", limits={"memory_mb": 64})
    task = ended(client, task_id)
    assert (task["status"], task["reason"], task["exit_code"]) == ("failed", "out_of_memory", 137)


def test_the_time_limit_says_so(client: httpx.Client) -> None:
    task = ended(client, submit(client, "sleep 60", limits={"time_s": 0.5}))
    assert (task["status"], task["reason"]) == ("failed", "time_limit")


def test_a_running_task_is_cancelled_and_says_by_whom(client: httpx.Client, admin: httpx.Client) -> None:
    for by, reason in ((client, "cancelled_by_user"), (admin, "cancelled_by_admin")):
        task_id = submit(client, "sleep 60")
        wait_for(client, task_id, lambda task: task["status"] == "running")
        assert by.post(f"/api/task/{task_id}/cancel").status_code == 200
        task = ended(client, task_id)
        assert (task["status"], task["reason"]) == ("cancelled", reason)
        assert client.post(f"/api/task/{task_id}/cancel").status_code == 409


def test_a_task_that_is_cancelled_as_it_starts_is_asked_before_it_is_killed(client: httpx.Client) -> None:
    for _ in range(6):
        task_id = submit(client, "sleep 60")
        wait_for(client, task_id, lambda task: task["status"] == "running")
        client.post(f"/api/task/{task_id}/cancel")
        assert ended(client, task_id)["exit_code"] == 143


def test_a_task_runs_again_as_a_new_one_with_what_is_edited(client: httpx.Client) -> None:
    task_id = submit(client, "cat /proc/self/status | head -1; echo a")
    ended(client, task_id)
    again = client.post(f"/api/task/{task_id}/rerun", json={"limits": {"memory_mb": 128}}).json()
    assert again["task_id"] != task_id
    assert again["limits"]["memory_mb"] == 128
    assert ended(client, again["task_id"])["status"] == "completed"
    assert client.post(f"/api/task/{task_id}/rerun").json()["limits"]["memory_mb"] == 512


def test_a_deleted_task_is_gone_with_its_log_and_an_active_one_stays(client: httpx.Client) -> None:
    task_id = submit(client, "sleep 60")
    assert client.delete(f"/api/task/{task_id}").status_code == 409
    client.post(f"/api/task/{task_id}/cancel")
    ended(client, task_id)
    assert client.delete(f"/api/task/{task_id}").status_code == 204
    assert client.get(f"/api/task/{task_id}").status_code == 404
    assert client.get(f"/api/task/{task_id}/log").status_code == 404


def test_the_same_key_is_the_same_task(client: httpx.Client) -> None:
    assert submit(client, "true", idempotency_key="once") == submit(client, "true", idempotency_key="once")


def test_a_wish_in_plain_words_waits_for_a_worker_who_completes_it(client: httpx.Client, server: Server) -> None:
    answer = client.post("/api/task/submit", json={"description": "Analyze data.csv"}).json()
    assert (answer["status"], answer["runner"]) == ("submitted", "swarm")
    complete = f"/api/task/{answer['task_id']}/complete"
    assert client.post(complete, json={"status": "completed"}).status_code == 401
    worker_token = (server.data_dir / ".lan_session_manager" / "worker-token").read_text().strip()
    with device(server, "127.0.0.8", worker_token) as worker:
        done = worker.post(complete, json={"status": "failed"})
        assert done.json()["status"] == "failed"
        assert worker.post(complete).status_code == 409
    assert client.get(f"/api/task/{answer['task_id']}").json()["status"] == "failed"


def test_a_foreign_and_a_missing_task_answer_alike(client: httpx.Client, other: httpx.Client) -> None:
    task_id = submit(client, "true")
    other.get("/api/dashboard/127.0.0.2")
    for method, path in (
        ("GET", ""), ("GET", "/log"), ("POST", "/cancel"), ("POST", "/rerun"), ("DELETE", ""),
    ):  # fmt: skip
        foreign = other.request(method, f"/api/task/{task_id}{path}")
        missing = other.request(method, f"/api/task/user_127_0_0_1_task_99999{path}")
        assert foreign.status_code == missing.status_code == 404, (method, path)
        assert foreign.content == missing.content
    assert ended(client, task_id)["status"] == "completed"


def test_own_activity_is_in_full_and_others_never(client: httpx.Client, other: httpx.Client) -> None:
    secret = submit(other, "echo whale-secret")
    submit(client, "echo mine")
    log = client.get("/api/activity/log")
    assert set(log.json()) >= {"my_tasks", "network_activity", "recent_log", "timestamp"}
    assert log.json()["recent_log"]
    for trace in ("whale", secret, "127.0.0.2"):
        assert trace not in log.text


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("user_sessions/127_0_0_1/inputs/data.csv", True), ("inputs/data.csv", True), ("shared/templates", True),
        ("/etc/passwd", False), ("../127_0_0_2/inputs/x", False), ("user_sessions/127_0_0_2/inputs/x", False),
        ("inputs/../../127_0_0_2", False), ("\x00", False), ("", False), (".lan_session_manager/admin-token", False),
        ("user_sessions/.lan_session_manager/admin-token", False),
    ],
)  # fmt: skip
def test_a_path_is_allowed_inside_of_the_own_workspace_only(client: httpx.Client, path: str, allowed: bool) -> None:
    answer = client.post("/api/workspace/127.0.0.1/validate", json={"file_path": path})
    assert answer.status_code == 200
    assert answer.json().items() >= {"file_path": path, "access_allowed": allowed}.items()


def test_a_forwarding_header_of_a_client_changes_nothing(client: httpx.Client) -> None:
    headers = {"X-Forwarded-For": "127.0.0.2", "Forwarded": "for=127.0.0.2", "X-Real-IP": "127.0.0.2"}
    assert client.get("/api/client-ip", headers=headers).json()["ip"] == "127.0.0.1"


def test_more_tasks_than_may_run_wait_with_their_position(client: httpx.Client) -> None:
    ids = [submit(client, "sleep 20") for _ in range(4)]
    try:
        wait_for(client, ids[1], lambda task: task["status"] == "running")
        waiting = [client.get(f"/api/task/{task_id}").json() for task_id in ids[2:]]
        assert [task["queue_position"] for task in waiting] == [1, 2]
        assert {task["waits_for"] for task in waiting} == {"slot"}
    finally:
        for task_id in ids:
            client.post(f"/api/task/{task_id}/cancel")
    for task_id in ids:
        ended(client, task_id)
