"""Tasks that wait for each other, batches, lists and bulk actions, over REST and with real boxes."""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.integration.clients import dashboard, device, ended, submit, wait_for
from tests.server import Server, start_server

ENV = {"LSM_SLOTS": "3", "LSM_QUEUE_BOUND": "30"}
LATER_S = 3600.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("queue"), env=ENV) as server:
        yield server


def _batch(client: httpx.Client, *tasks: dict[str, Any]) -> httpx.Response:
    return client.post("/api/task/batch", json={"tasks": [{"runner": "shell", **task} for task in tasks]})


def _accepted(client: httpx.Client, *tasks: dict[str, Any]) -> dict[str, str]:
    answer = _batch(client, *tasks)
    assert answer.status_code == 200, answer.text
    return {task["ref"]: task["task_id"] for task in answer.json()["tasks"]}


def _waits(client: httpx.Client, **fields: Any) -> str:
    """A task that does not start while the test looks at it."""
    return submit(client, "true", start_after=time.time() + LATER_S, **fields)


def _chain(first: str) -> list[dict[str, Any]]:
    """Given from its end on."""
    return [
        {"ref": "c", "description": "echo c >> outputs/order", "depends_on": ["b"]},
        {"ref": "b", "description": "echo b >> outputs/order", "depends_on": ["a"]},
        {"ref": "a", "description": first},
    ]


@pytest.mark.root
def test_a_chain_of_three_runs_in_its_order(server: Server) -> None:
    with device(server, "127.0.60.1") as client:
        ids = _accepted(client, *_chain("sleep 0.5; echo a >> outputs/order"))
        tasks = [ended(client, ids[ref]) for ref in "abc"]
        assert [task["status"] for task in tasks] == ["completed"] * 3
        assert client.get("/api/workspace/127.0.60.1/files/outputs/order").text == "a\nb\nc\n"
        for before, after in pairwise(tasks):
            assert after["depends_on"] == [before["task_id"]]
            assert before["ended_at"] <= after["started_at"]


@pytest.mark.root
def test_when_one_fails_what_waits_for_it_is_cancelled_and_never_runs(server: Server) -> None:
    with device(server, "127.0.60.2") as client:
        ids = _accepted(client, *_chain("exit 3"))
        tasks = [ended(client, ids[ref]) for ref in "abc"]
        assert [(task["status"], task["reason"]) for task in tasks] == [
            ("failed", "exit"),
            ("cancelled", "dependency_failed"),
            ("cancelled", "dependency_failed"),
        ]
        assert ids["a"] in tasks[1]["detail"]
        assert tasks[2]["started_at"] is None
        assert client.get("/api/workspace/127.0.60.2/files/outputs/order").status_code == 404


@pytest.mark.root
def test_a_task_that_is_to_start_later_can_be_let_go_at_once(server: Server) -> None:
    with device(server, "127.0.60.3") as client, dashboard(server, "127.0.60.3") as live:
        task_id = _waits(client)
        assert client.get(f"/api/task/{task_id}").json()["waits_for"] == "start_after"
        changed = client.patch(f"/api/task/{task_id}", json={"priority": 7}).json()
        assert (changed["status"], changed["priority"]) == ("queued", 7)
        assert changed["start_after"] is not None
        assert live.event("task_changed", task_id=task_id)["task"]["priority"] == 7
        client.patch(f"/api/task/{task_id}", json={"start_after": None})
        assert ended(client, task_id)["status"] == "completed"
        refused = client.patch(f"/api/task/{task_id}", json={"priority": 1})
        assert (refused.status_code, refused.json()["code"]) == (409, "illegal_move")


def test_a_batch_that_cannot_be_accepted_leaves_nothing_behind(server: Server) -> None:
    with device(server, "127.0.60.4") as client:
        a = {"ref": "a", "description": "true", "depends_on": ["b"]}
        b = {"ref": "b", "description": "true", "depends_on": ["a"]}
        cycle = _batch(client, {"description": "true"}, a, b)
        assert cycle.status_code == 422
        assert "a → b → a" in cycle.json()["error"]
        assert _batch(client, {"description": "true"}, {"description": "true", "depends_on": ["x"]}).status_code == 422
        full = _batch(client, *[{"description": "true", "start_after": time.time() + LATER_S}] * 31)
        assert (full.status_code, full.json()["code"]) == (429, "queue_full")
        assert client.get("/api/tasks").json() == {"tasks": [], "next": None}


def test_a_batch_sent_twice_with_its_keys_exists_once(server: Server) -> None:
    with device(server, "127.0.60.5") as client:
        later = time.time() + LATER_S
        tasks: list[dict[str, Any]] = [
            {"ref": "b", "description": "true", "idempotency_key": "k2", "depends_on": ["a"]},
            {"ref": "a", "description": "true", "idempotency_key": "k1", "start_after": later},
        ]
        assert _accepted(client, *tasks) == _accepted(client, *tasks)
        assert len(client.get("/api/tasks").json()["tasks"]) == 2


def test_the_list_has_every_own_task_once_and_no_other(server: Server) -> None:
    with device(server, "127.0.60.6") as client, device(server, "127.0.60.7") as other:
        theirs = _waits(other)
        ids = [_waits(client, metadata={"n": n}) for n in range(5)]
        found: list[str] = []
        following = ""
        while following is not None:
            page = client.get("/api/tasks", params={"most": 2, "before": following}).json()
            found += [task["task_id"] for task in page["tasks"]]
            following = page["next"]
        assert found == ids[::-1]
        assert client.get("/api/tasks", params={"status": "running"}).json()["tasks"] == []
        named = client.get("/api/tasks", params={"q": "TASK_003"}).json()["tasks"]
        assert [(task["task_id"], task["metadata"]) for task in named] == [(ids[2], {"n": 2})]
        assert client.get("/api/tasks", params={"q": "%"}).json()["tasks"] == []
        answers = [client.get("/api/tasks", params={"before": task_id}) for task_id in (theirs, "nothing")]
        assert {answer.status_code for answer in answers} == {404}
        assert answers[0].json() == answers[1].json()


def test_a_long_command_is_whole_in_its_task_alone(server: Server) -> None:
    with device(server, "127.0.60.8") as client:
        command = f"true {'x' * 3000}"
        task_id = submit(client, command, start_after=time.time() + LATER_S)
        task = client.get(f"/api/task/{task_id}").json()
        assert (task["command"], task["command_cut"]) == (command, False)
        shown = client.get("/api/dashboard/127.0.60.8").json()["my_tasks"] + client.get("/api/tasks").json()["tasks"]
        assert {(task["command"], task["command_cut"]) for task in shown} == {(command[:1000], True)}


def test_many_are_cancelled_run_again_and_deleted_and_anothers_is_as_one_that_is_missing(server: Server) -> None:
    with device(server, "127.0.60.9") as client, device(server, "127.0.60.10") as other:
        theirs, first = _waits(other), _waits(client)
        mine = [first, _waits(client, depends_on=[first])]

        def bulk(action: str, *task_ids: str) -> dict[str, Any]:
            answer = client.post("/api/tasks/bulk", json={"action": action, "task_ids": task_ids})
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        done = bulk("cancel", *mine, theirs, "nothing")
        assert [one["task_id"] for one in done["done"]] == mine
        assert [one.pop("task_id") for one in done["refused"]] == [theirs, "nothing"]
        assert done["refused"][0] == done["refused"][1]
        assert {client.get(f"/api/task/{each}").json()["reason"] for each in mine} == {"cancelled_by_user"}
        again = bulk("rerun", mine[0])["done"][0]["now"]
        assert again not in mine
        ended(client, again)
        assert len(bulk("delete", *mine, again)["done"]) == 3
        assert other.get(f"/api/task/{theirs}").json()["status"] == "queued"


def test_a_dashboard_submits_with_the_same_fields_as_rest(server: Server) -> None:
    with device(server, "127.0.60.11") as client, dashboard(server, "127.0.60.11") as live:
        first = _waits(client)
        live.send(type="submit_task", description="true", depends_on=[first], priority=-3, retries=1)
        task_id = live.until(lambda got: got["event"] == "task_submitted" and got["task_id"] != first)[-1]["task_id"]
        task = wait_for(client, task_id, lambda task: task["status"] == "queued")
        assert (task["depends_on"], task["priority"], task["retries"]) == ([first], -3, 1)
        assert (task["waits_for"], task["wait"]["tasks"]) == ("dependency", [first])
