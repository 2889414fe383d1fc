"""An open dashboard hears of everything that its session may know, as it happens, and misses nothing."""

import json

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.integration.clients import Live, dashboard, ended, submit
from tests.server import Server


def test_joining_shows_the_dashboard_on_both_ports(server: Server) -> None:
    for port in (server.port, server.ws_port):
        with dashboard(server, port=port) as live:
            joined = live.event("dashboard_update")
            assert joined["data"]["session"]["ip"] == "127.0.0.1"
            assert joined["timestamp"]


def test_nobody_joins_the_dashboard_of_somebody_else(server: Server, client: httpx.Client) -> None:
    client.get("/api/dashboard/127.0.0.1")
    bodies = []
    for address in ("127.0.0.2", "127.0.0.222", "nonsense"):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{server.port}/ws/dashboard/{address}", compression=None)
        assert refused.value.response.status_code == 404
        bodies.append(json.loads(refused.value.response.body)["code"])
    assert set(bodies) == {"not_found"}


def test_a_task_is_told_from_submission_to_end_in_order(server: Server, client: httpx.Client) -> None:
    with dashboard(server) as live:
        live.event("dashboard_update")
        task_id = submit(client, "sleep 0.2")
        got = live.until(lambda message: message["event"] == "task_completed" and message["task_id"] == task_id)
        own = [message for message in got if message.get("task_id") == task_id]
        assert [message["event"] for message in own] == ["task_submitted", "task_started", "task_completed"]
        assert [message["status"] for message in own] == ["queued", "running", "completed"]
        assert all(message["description"] == "sleep 0.2" for message in own)
        ids = [message["id"] for message in own]
        assert ids == sorted(set(ids))
        assert own[-1]["task"]["exit_code"] == 0


def test_a_task_is_submitted_and_the_dashboard_asked_for_over_the_socket(server: Server) -> None:
    with dashboard(server) as live:
        live.send(type="submit_task", description="echo over the socket > temp/x", runner="shell")
        task_id = live.event("task_submitted")["task_id"]
        live.event("task_completed", task_id=task_id)
        live.send(type="request_dashboard_update")
        board = live.event("dashboard_update")["data"]
        assert board["my_tasks"][0]["task_id"] == task_id
        live.send(type="ping")
        assert live.event("pong")["type"] == "pong"


def test_a_log_comes_as_it_is_printed_with_its_stream(server: Server, client: httpx.Client) -> None:
    with dashboard(server) as live:
        task_id = submit(client, "for i in 1 2 3; do echo line $i; sleep 0.2; done; echo err >&2")
        live.send(type="follow_log", task_id=task_id, after=0)
        got = live.until(lambda message: message["event"] == "log_end")
        logs = [message for message in got if message["event"] == "log"]
        assert "".join(message["text"] for message in logs) == "line 1\nline 2\nline 3\nerr\n"
        assert {message["stream"] for message in logs} == {"stdout", "stderr"}
        assert len(logs) >= 4  # not all at the end
        assert [message["after"] for message in logs] == [0, *(message["next"] for message in logs[:-1])]
        assert got[-1]["next"] == 25


def test_who_opens_a_dashboard_before_anything_else_has_all_of_it(server: Server) -> None:
    with dashboard(server, "127.7.7.7") as live:
        live.send(type="submit_task", description="echo first", runner="shell")
        task_id = live.event("task_submitted")["task_id"]
        live.send(type="follow_log", task_id=task_id, after=0)
        assert live.event("log", task_id=task_id)["text"] == "first\n"


def test_a_log_is_resumed_at_a_byte_without_loss_or_repeat(server: Server, client: httpx.Client) -> None:
    task_id = submit(client, "for i in $(seq 200); do echo \u00e9\u00e8 $i; done")
    ended(client, task_id)
    whole = client.get(f"/api/task/{task_id}/log").text
    with dashboard(server) as live:
        for after in (0, 5, 100, len(whole.encode()) - 1, len(whole.encode())):
            live.send(type="follow_log", task_id=task_id, after=after)
            got = live.until(lambda message: message["event"] == "log_end")
            text = "".join(message["text"] for message in got if message["event"] == "log")
            tail = whole.encode()[after:].decode("utf-8", "ignore")
            assert text.endswith(tail)
            assert len(text) <= len(tail) + 1  # a character that was cut is shown as one


def test_what_was_missed_is_replayed_once_and_in_order(server: Server, client: httpx.Client) -> None:
    with dashboard(server) as live:
        last = live.event("dashboard_update")["data"]["event_id"]
    task_id = submit(client, "true")
    ended(client, task_id)
    with dashboard(server) as live:
        live.send(type="resume", after=last)
        got = live.until(lambda message: message["event"] == "resumed")
        replayed = [(message["event"], message["id"]) for message in got if message.get("task_id") == task_id]
        assert [event for event, _ in replayed] == ["task_submitted", "task_started", "task_completed"]
        assert [number for _, number in replayed] == sorted({number for _, number in replayed})


def test_others_are_seen_as_counts_and_nothing_else(server: Server, other: httpx.Client) -> None:
    with dashboard(server) as live:
        live.event("dashboard_update")
        task_id = submit(other, "echo whale-secret; sleep 2.5")
        got = live.until(
            lambda message: message["event"] == "activity" and message["network_activity"]["other_tasks"] == 1
        )
        seen = json.dumps(got)
        for trace in ("whale", task_id, "127.0.0.2", "127_0_0_2"):
            assert trace not in seen
        assert got[-1]["network_activity"]["other_users"] >= 1
        live.send(type="follow_log", task_id=task_id)
        assert live.event("error")["code"] == "not_found"
        other.post(f"/api/task/{task_id}/cancel")


@pytest.mark.parametrize(
    "message",
    [
        "", "no json", "[]", "null", "1", '"ping"', "{}", '{"type": 1}',
        '{"type": "shutdown"}', '{"type": "submit_task"}',
        '{"type": "submit_task", "description": 7}', '{"type": "submit_task", "description": ""}',
        '{"type": "submit_task", "description": "a\\u0000b"}', '{"type": "follow_log"}', '{"type": "resume"}',
        '{"type": "follow_log", "task_id": "../../etc/passwd"}', '{"type": "follow_log", "task_id": "x", "after": -1}',
        '{"type": "resume", "after": "x"}', '{"type": "resume", "after": true}', '{"type": "resume", "after": 1e400}',
        '{"type": "unfollow_log", "task_id": null}', "[" * 100_000, b"\x00\xff",
    ],
)  # fmt: skip
def test_a_bad_message_is_answered_with_a_sentence_and_the_dashboard_stays(
    server: Server, message: str | bytes
) -> None:
    with dashboard(server) as live:
        live.event("dashboard_update")
        live.connection.send(message)
        error = live.event("error")
        assert error["error"].endswith(".")
        assert "Traceback" not in error["error"]
        live.send(type="ping")
        live.event("pong")


def test_a_message_that_is_too_large_ends_the_connection(server: Server) -> None:
    with dashboard(server) as live, pytest.raises(ConnectionClosed):
        _send_and_wait(live, "x" * 3_000_000)
    with dashboard(server) as live:
        live.event("dashboard_update")


def _send_and_wait(live: Live, message: str) -> None:
    live.connection.send(message)
    live.until(lambda _: False)
