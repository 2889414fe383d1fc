"""What the owner does to all: pauses a session, tells everybody something, looks at the queue and at the server."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.clients import PATIENCE_S, dashboard, device, ended, submit, wait_for
from tests.server import Server, start_server

SECRET = "worker-token-of-the-test-0123456789"
WORDS = "the words of somebody's own command"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"LSM_SLOTS": "2", "LSM_WORKER_TOKEN": SECRET, "LSM_TASK_TIME_S": "601"}
    directory = tmp_path_factory.mktemp("server")
    state = directory / "user_sessions" / ".lan_session_manager"
    state.mkdir(parents=True)
    (state / "settings.toml").write_text('retention_days = 5\n[egress.lab]\nallow = ["lab.example.org:443"]\n')
    with start_server(directory, env=env) as server:
        yield server


@pytest.fixture
def owner(server: Server) -> Iterator[httpx.Client]:
    with device(server, "127.0.0.9", server.admin_token) as client:
        yield client


def _ok(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()


def _until(owner: httpx.Client, path: str, name: str) -> Any:
    end = time.monotonic() + 2 * PATIENCE_S
    while time.monotonic() < end:
        body = _ok(owner.get(path))
        if body[name] is not None:
            return body
        time.sleep(0.2)
    raise AssertionError(f"{name} never came")


def test_a_paused_session_hears_of_it_and_waits_until_it_goes_on(server: Server, owner: httpx.Client) -> None:
    with device(server, "127.0.0.51") as client:
        running = submit(client, "sleep 600")
        wait_for(client, running, lambda task: task["status"] == "running")
        with dashboard(server, "127.0.0.51") as page:
            page.event("dashboard_update")
            answer = _ok(owner.post("/api/admin/session/127_0_0_51/pause"))
            assert (answer["workspace"], answer["state"]) == ("127_0_0_51", "live")
            assert answer["paused_at"] is not None
            page.event("session_paused")
            assert page.until(lambda got: got.get("data"))[-1]["data"]["paused"] is True
            waiting = submit(client, "true")
            task = page.event("task_submitted", task_id=waiting)["task"]
            assert (task["waits_for"], task["queue_position"]) == ("paused", None)
            with device(server, "127.0.0.52") as other:
                assert ended(other, submit(other, "true"))["status"] == "completed"
            assert _ok(client.get(f"/api/task/{waiting}"))["status"] == "queued"
            assert _ok(client.get(f"/api/task/{running}"))["status"] == "running"
            [mine] = [one for one in _ok(owner.get("/api/admin/sessions"))["sessions"] if one["ip"] == "127.0.0.51"]
            assert mine["paused_at"] == answer["paused_at"]
            assert _ok(owner.get("/api/admin/overview"))["paused_sessions"] == 1
            assert _ok(owner.post("/api/admin/session/127.0.0.51/resume"))["paused_at"] is None
            page.event("session_unpaused")
        assert ended(client, waiting)["status"] == "completed"
        client.post(f"/api/task/{running}/cancel")
        done = {entry["operation"] for entry in _ok(owner.get("/api/admin/audit?most=200"))["entries"]}
        assert "POST /api/admin/session/{client_ip}/pause" in done


def test_a_pause_is_there_after_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("paused")
    with start_server(directory) as server, device(server, "127.0.0.53") as client:
        submit(client, "true")
        with device(server, "127.0.0.9", server.admin_token) as owner:
            _ok(owner.post("/api/admin/session/127.0.0.53/pause"))
            _ok(owner.put("/api/admin/message", json={"text": "back soon"}))
        task = submit(client, "true")
        server.terminate()
    with start_server(directory) as server, device(server, "127.0.0.53") as client:
        board = _ok(client.get("/api/dashboard/127.0.0.53"))
        assert (board["paused"], board["message"]["text"]) == (True, "back soon")
        assert _ok(client.get(f"/api/task/{task}"))["waits_for"] == "paused"
        with device(server, "127.0.0.9", server.admin_token) as owner:
            _ok(owner.post("/api/admin/session/127.0.0.53/resume"))
        assert ended(client, task)["status"] == "completed"


def test_everybody_reads_the_message_until_it_is_taken_back(server: Server, owner: httpx.Client) -> None:
    with device(server, "127.0.0.54") as client, dashboard(server, "127.0.0.54") as page:
        assert page.event("dashboard_update")["data"]["message"] is None
        told = _ok(owner.put("/api/admin/message", json={"text": "  Restart at six 🙂 "}))["message"]
        assert (told["text"], told["until"]) == ("Restart at six 🙂", None)
        assert page.event("message")["message"] == told
        assert _ok(client.get("/api/dashboard/127.0.0.54"))["message"] == told
        again = _ok(owner.put("/api/admin/message", json={"text": "At seven", "for_s": 3600}))["message"]
        assert again["id"] > told["id"]
        assert again["until"] is not None
        assert page.event("message")["message"] == again
        assert owner.delete("/api/admin/message").status_code == 204
        assert page.event("message")["message"] is None
        assert _ok(client.get("/api/dashboard/127.0.0.54"))["message"] is None
        assert owner.delete("/api/admin/message").status_code == 204


def test_a_message_whose_time_is_over_is_gone(server: Server, owner: httpx.Client) -> None:
    _ok(owner.put("/api/admin/message", json={"text": "for a moment", "for_s": 0.001}))
    with device(server, "127.0.0.55") as client:
        time.sleep(0.01)
        assert _ok(client.get("/api/dashboard/127.0.0.55"))["message"] is None


@pytest.mark.parametrize("text", ["", "   ", "two\nlines", "bell\x07", "\x1b[31mred", "x" * 501, "a\u2028b", 7, None])
def test_a_message_is_one_line_of_plain_text(owner: httpx.Client, text: object) -> None:
    assert owner.put("/api/admin/message", json={"text": text}).status_code in (400, 422)
    assert _ok(owner.get("/api/admin/overview"))["message"] is None


def test_the_queue_says_who_and_why_and_nothing_of_what_they_do(server: Server, owner: httpx.Client) -> None:
    with device(server, "127.0.0.56") as one, device(server, "127.0.0.57") as two:
        runs = []
        for client in (one, one, two):  # the third in the newcomers' slot
            runs.append(submit(client, f"# {WORDS}\nsleep 600", metadata={"of": WORDS}))
            wait_for(client, runs[-1], lambda task: task["status"] == "running")
        waits = submit(two, f"# {WORDS}\ntrue", limits={"memory_mb": 64})
        after = submit(two, "true", depends_on=[waits])
        body = _ok(owner.get("/api/admin/queue"))
        assert (body["running"], body["queued"]) == (3, 2)
        assert [task["status"] for task in body["tasks"]] == ["running"] * 3 + ["queued"] * 2
        assert [task["task_id"] for task in body["tasks"][3:]] == [waits, after]
        queued, last = body["tasks"][3:]
        assert (queued["workspace"], queued["ip"], queued["queue_position"]) == ("127_0_0_57", "127.0.0.57", 1)
        assert (queued["waits_for"], queued["limits"]["memory_mb"], queued["runner"]) == ("slot", 64, "shell")
        assert (last["waits_for"], last["wait"]) == ("dependency", {"tasks": [waits]})
        assert WORDS not in json.dumps(body)
        assert not {"command", "description", "metadata", "outputs", "detail"} & set(queued)
        assert len(_ok(owner.get("/api/admin/queue?most=2"))["tasks"]) == 2

        assert _ok(owner.post(f"/api/admin/task/{waits}/cancel"))["status"] == "cancelled"
        task = _ok(two.get(f"/api/task/{waits}"))
        assert (task["status"], task["reason"]) == ("cancelled", "cancelled_by_admin")
        for task_id in runs:
            assert _ok(owner.post(f"/api/admin/task/{task_id}/cancel"))["status"] in ("running", "cancelled")
        assert ended(one, runs[0])["reason"] == "cancelled_by_admin"
        assert owner.post(f"/api/admin/task/{waits}/cancel").status_code == 409
        assert owner.post("/api/admin/task/none/cancel").status_code == 404
        assert two.get("/api/admin/queue").status_code == 401
        assert two.post(f"/api/admin/task/{runs[0]}/cancel").status_code == 401


def test_settings_say_where_they_come_from_and_no_secret(server: Server, owner: httpx.Client) -> None:
    answer = owner.get("/api/admin/settings")
    found = {one["name"]: one for one in _ok(answer)["settings"]}
    assert (found["slots"]["value"], found["slots"]["source"], found["slots"]["variable"]) == (
        2,
        "environment",
        "LSM_SLOTS",
    )
    assert (found["retention_days"]["value"], found["retention_days"]["source"]) == (5.0, "settings.toml")
    assert found["queue_bound"]["source"] == "default"
    assert found["egress"]["value"] == {"lab": {"allow": ["lab.example.org:443"]}}
    for name in ("admin_token", "worker_token"):
        assert (found[name]["value"], found[name]["is_secret"]) == (None, True)
    assert (found["worker_token"]["is_set"], found["admin_token"]["is_set"]) == (True, False)
    assert SECRET not in answer.text
    assert server.admin_token not in answer.text
    assert all(one["meaning"] for one in found.values())


def test_the_doctor_looks_once_and_not_again_at_once(owner: httpx.Client) -> None:
    body = _until(owner, "/api/admin/health", "findings")
    assert {"isolation", "disk space", "database"} <= {finding["name"] for finding in body["findings"]}
    assert body["verdict"] in ("PASS", "CAUTION", "FAIL")
    assert body["versions"]["server"]
    assert body["database_mb"] > 0
    assert not body["draining"]
    again = _ok(owner.post("/api/admin/doctor"))
    assert not again["checking"]
    assert again["checked_at"] == body["checked_at"]
    assert again["again_in_s"] > 0


@pytest.mark.parametrize("name", ["overview", "sessions", "queue", "health", "settings"])
def test_what_has_not_changed_is_not_sent_again(owner: httpx.Client, name: str) -> None:
    for _ in range(20):  # a machine's figures may change in between
        etag = owner.get(f"/api/admin/{name}").headers["etag"]
        again = owner.get(f"/api/admin/{name}", headers={"If-None-Match": etag})
        if again.status_code == 304:
            assert again.content == b""
            return
    raise AssertionError("every answer was another one")


@pytest.mark.parametrize("name", ["overview", "queue", "health", "settings"])
def test_only_the_owner_is_answered(server: Server, name: str) -> None:
    with device(server, "127.0.0.58") as client:
        for root in ("/api/admin", "/admin/api"):
            assert client.get(f"{root}/{name}").status_code == 401
        assert client.put("/api/admin/message", json={"text": "I am the owner"}).status_code == 401
        assert client.post("/api/admin/session/127.0.0.58/resume").status_code == 401
