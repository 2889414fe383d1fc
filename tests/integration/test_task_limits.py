"""A task may ask for less or more within what its session may use; the kernel and the disk watch hold it to that."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from lan_session_manager.sandbox.box import opaque_id
from tests.integration.clients import device, ended, submit, wait_for
from tests.server import Server, start_server

pytestmark = pytest.mark.root

MB = 1024 * 1024
ENV = {
    "LSM_SLOTS": "4",
    "LSM_SESSION_MEMORY_MB": "600",
    "LSM_SESSION_PIDS": "300",
    "LSM_SESSION_CORES": "1.5",
    "LSM_TASK_TIME_MAX_S": "900",
    "LSM_TASK_OPEN_FILES": "2000",
    "LSM_TASK_OPEN_FILES_MAX": "4000",
    "LSM_LOG_MB": "2",
    "LSM_LOG_MAX_MB": "8",
    "WORKSPACE_QUOTA_MB": "80",
    "LSM_WORKSPACE_FILES": "5000",
}
UNASKED = {
    "memory_mb": 512,
    "time_s": 600,
    "cores": None,
    "pids": 256,
    "open_files": 2000,
    "log_mb": 2,
    "disk_mb": None,
    "files": None,
}
ASKED = {
    "memory_mb": 64,
    "time_s": 30,
    "cores": 0.5,
    "pids": 50,
    "open_files": 100,
    "log_mb": 1,
    "disk_mb": 10,
    "files": 20,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_server(tmp_path_factory.mktemp("server"), env=ENV) as server:
        yield server


def _try(client: httpx.Client, **limits: Any) -> httpx.Response:
    return client.post("/api/task/submit", json={"description": "true", "runner": "shell", "limits": limits})


def test_a_task_that_asks_for_nothing_has_the_usual_limits(client: httpx.Client) -> None:
    assert ended(client, submit(client, "true"))["limits"] == UNASKED


def test_a_task_has_what_it_asks_for_and_runs_again_with_it_or_with_what_is_edited(client: httpx.Client) -> None:
    first = ended(client, submit(client, "true", limits=ASKED))
    assert (first["status"], first["limits"]) == ("completed", ASKED)
    again = client.post(f"/api/task/{first['task_id']}/rerun").json()
    assert ended(client, again["task_id"])["limits"] == ASKED
    edited = client.post(f"/api/task/{first['task_id']}/rerun", json={"limits": {"pids": 60, "disk_mb": None}}).json()
    assert ended(client, edited["task_id"])["limits"] == {**ASKED, "pids": 60}


@pytest.mark.parametrize(
    ("name", "most", "sentence"),
    [
        ("memory_mb", 600, "Ask for 600 MB at most."),
        ("time_s", 900, "Ask for 900 seconds at most."),
        ("cores", 1.5, "Ask for 1.5 cores at most."),
        ("pids", 300, "Ask for 300 processes at most."),
        ("open_files", 4000, "Ask for 4000 open files at most."),
        ("log_mb", 8, "Ask for 8 MB at most."),
        ("disk_mb", 80, "Ask for 80 MB at most."),
        ("files", 5000, "Ask for 5000 files at most."),
    ],
)
def test_more_than_the_session_may_use_is_refused_with_what_it_may(
    client: httpx.Client, name: str, most: float, sentence: str
) -> None:
    assert _try(client, **{name: most}).status_code == 200
    for too_much in (most + 1, 2**40):
        refused = _try(client, **{name: too_much})
        assert (refused.status_code, refused.json()["code"]) == (422, "limit_too_high")
        assert refused.json()["error"].endswith(f"more than this session may use. {sentence}")


@pytest.mark.parametrize("name", ASKED)
def test_too_little_to_work_with_is_refused_with_the_least(client: httpx.Client, name: str) -> None:
    for too_little in (0, -1):
        refused = _try(client, **{name: too_little})
        assert refused.status_code == 422
        assert f"{name} is too small. Ask for " in refused.json()["error"]


@pytest.mark.parametrize("value", ['"many"', "true", "[]", "{}", str(2**60), "1e400", "NaN"])
@pytest.mark.parametrize("name", ["cores", "files"])
def test_what_is_no_limit_is_refused(client: httpx.Client, name: str, value: str) -> None:
    body = f'{{"description": "true", "runner": "shell", "limits": {{"{name}": {value}}}}}'
    answer = client.post("/api/task/submit", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


def test_the_owner_gives_a_session_other_bounds_and_they_are_what_is_said(server: Server, admin: httpx.Client) -> None:
    given = {"time_s": 20, "open_files": 500, "log_mb": 1, "cores": 0.5, "logs_mb": 64}
    with device(server, "127.0.0.60") as client:
        client.get("/api/dashboard/127.0.0.60").raise_for_status()
        answer = admin.put("/api/admin/session/127.0.0.60/limits", json=given)
        assert answer.status_code == 200, answer.text
        assert answer.json()["limits"].items() >= given.items()
        for name, value in given.items():
            if name != "logs_mb":
                assert f"Ask for {value:g} " in _try(client, **{name: value + 1}).json()["error"]
        limits = ended(client, submit(client, "true"))["limits"]
        assert (limits["time_s"], limits["open_files"], limits["log_mb"]) == (20, 500, 1)
        most = client.get("/api/dashboard/127.0.0.60").json()["limits"]["most"]
        assert (most["time_s"], most["cores"], most["disk_mb"]) == (20, 0.5, 80)


def test_processes_and_open_files_are_what_was_asked_for(client: httpx.Client) -> None:
    forks = "exec dash -c 'for i in $(seq 60); do sleep 60 & done; exit 1'"
    task = ended(client, submit(client, forks, limits={"pids": 40}))
    assert (task["reason"], task["detail"]) == ("exit", "The task met its limit of 40 processes and threads.")
    task_id = submit(client, "ulimit -Sn; ulimit -Hn", limits={"open_files": 100})
    ended(client, task_id)
    assert client.get(f"/api/task/{task_id}/log").text == "100\n100\n"
    task_id = submit(client, "ulimit -Sn; ulimit -Hn", limits={"open_files": 3000})
    ended(client, task_id)
    assert client.get(f"/api/task/{task_id}/log").text == "1024\n3000\n"


def test_a_task_that_adds_more_than_it_may_is_stopped_and_told_which_limit(server: Server) -> None:
    with device(server, "127.0.0.61") as client:
        many = "for i in {1..40}; do head -c 1M /dev/zero > outputs/$i; sleep 0.1; done; sleep 20"
        task = ended(client, submit(client, many, limits={"disk_mb": 5}))
        assert (task["status"], task["reason"]) == ("failed", "disk_quota")
        assert "it may add 5 MB." in task["detail"]
        task = ended(client, submit(client, "touch temp/{1..100}; sleep 20", limits={"files": 50}))
        assert (task["status"], task["reason"]) == ("failed", "disk_quota")
        assert task["detail"] == "The task added 0 MB in 100 files to the workspace; it may add 50 files."


def test_a_file_larger_than_the_task_may_add_is_cut_off_and_says_why(server: Server) -> None:
    with device(server, "127.0.0.62") as client:
        task = ended(client, submit(client, "exec head -c 30M /dev/zero > outputs/x", limits={"disk_mb": 3}))
        assert (task["reason"], task["exit_code"]) == ("disk_quota", 153)
        assert task["detail"] == "A file would have grown beyond the 3 MB that the task may add to the workspace."
        assert (server.data_dir / "127_0_0_62/outputs/x").stat().st_size == 3 * MB


def test_what_is_uploaded_or_written_by_a_neighbour_is_not_held_against_a_task(server: Server) -> None:
    with device(server, "127.0.0.63") as client:
        waits = submit(client, "while [ ! -e inputs/go ]; do sleep 0.1; done", limits={"disk_mb": 2})
        wait_for(client, waits, lambda task: task["status"] == "running")
        client.put("/api/workspace/127.0.0.63/files/inputs/large", content=bytes(10 * MB)).raise_for_status()
        assert ended(client, submit(client, "head -c 10M /dev/zero > outputs/x; sleep 3"))["status"] == "completed"
        client.put("/api/workspace/127.0.0.63/files/inputs/go", content=b"").raise_for_status()
        assert ended(client, waits)["status"] == "completed"


def test_the_limits_of_a_task_outlive_the_server(tmp_path: Path) -> None:
    write = "head -c 4M /dev/zero > outputs/a; while [ ! -e inputs/go ]; do sleep 0.1; done; "
    write += "head -c 3M /dev/zero > outputs/b; sleep 20"
    with start_server(tmp_path, env=ENV) as server, device(server) as client:
        task_id = submit(client, write, limits={"disk_mb": 5, "cores": 0.5})
        wait_for(client, task_id, lambda _: client.get("/api/dashboard/127.0.0.1").json()["workspace_usage"]["size_mb"])
        server.kill9()
        with start_server(tmp_path, env=ENV) as later, device(later) as again:
            task = wait_for(again, task_id, lambda task: task["status"] == "running")
            assert (task["limits"]["disk_mb"], task["limits"]["cores"]) == (5, 0.5)
            again.put("/api/workspace/127.0.0.1/files/inputs/go", content=b"").raise_for_status()
            task = ended(again, task_id)
            assert task["reason"] == "disk_quota"
            assert "it may add 5 MB." in task["detail"]


def _kept(server: Server, tasks: list[str]) -> int:
    boxes = server.data_dir / ".lan_session_manager" / "boxes"
    found = [path for task_id in tasks for path in (boxes / opaque_id(task_id)).rglob("*")]
    infos = {
        info.st_ino: info for info in (path.stat() for path in found if path.exists())
    }  # a file may have two names
    return sum(info.st_blocks * 512 for info in infos.values())


def test_the_oldest_logs_make_room_for_newer_ones_and_say_so(server: Server, admin: httpx.Client) -> None:
    with device(server, "127.0.0.64") as client:
        client.get("/api/dashboard/127.0.0.64").raise_for_status()
        admin.put("/api/admin/session/127.0.0.64/limits", json={"logs_mb": 4}).raise_for_status()
        tasks = [submit(client, "head -c 1M /dev/zero | tr '\\0' x | fold") for _ in range(6)]
        for task_id in tasks:
            assert ended(client, task_id)["status"] == "completed"
        removed = "This log was removed to make room"
        until = time.monotonic() + 20
        while _kept(server, tasks) > 4 * MB and time.monotonic() < until:
            time.sleep(0.05)
        assert 2 * MB < _kept(server, tasks) <= 4 * MB
        logs = [client.get(f"/api/task/{task_id}/log").text for task_id in tasks]
        flags = [removed in log for log in logs]
        assert (flags[0], flags[-1]) == (True, False)
        assert flags == sorted(flags, reverse=True)  # the oldest first
        assert logs[-1].startswith("xxxx")


def test_a_task_for_which_the_machine_has_no_memory_left_waits_for_another_ones_end(tmp_path: Path) -> None:
    env = {"LSM_SLOTS": "4", "LSM_TASKS_MEMORY_MB": "300"}
    waits = "while [ ! -e inputs/go ]; do sleep 0.05; done"
    with start_server(tmp_path, env=env) as server, device(server) as first, device(server, "127.0.0.2") as second:
        holds = submit(first, waits, limits={"memory_mb": 200})
        wait_for(first, holds, lambda task: task["status"] == "running")
        small = submit(second, waits, limits={"memory_mb": 100})
        wait_for(second, small, lambda task: task["status"] == "running")
        large = submit(second, "true", limits={"memory_mb": 400})
        assert second.get(f"/api/task/{large}").json()["status"] == "queued"
        for client, address in ((first, "127.0.0.1"), (second, "127.0.0.2")):
            assert second.get(f"/api/task/{large}").json()["status"] == "queued"
            client.put(f"/api/workspace/{address}/files/inputs/go", content=b"").raise_for_status()
            ended(client, {"127.0.0.1": holds, "127.0.0.2": small}[address])
        assert ended(second, large)["status"] == "completed"  # it is larger than all that there is, and runs alone


def test_a_task_that_waits_for_memory_holds_up_nobody_who_leaves_it_its_room(tmp_path: Path) -> None:
    env = {"LSM_SLOTS": "4", "LSM_TASKS_MEMORY_MB": "300", "LSM_SESSION_MEMORY_MB": "300"}
    waits = "while [ ! -e inputs/go ]; do sleep 0.05; done"
    with (
        start_server(tmp_path, env=env) as server,
        device(server) as first,
        device(server, "127.0.0.2") as second,
        device(server, "127.0.0.3") as third,
    ):
        holds = submit(first, waits, limits={"memory_mb": 200, "time_s": 3600})
        wait_for(first, holds, lambda task: task["status"] == "running")
        large = submit(second, "true", limits={"memory_mb": 250, "time_s": 3600})
        behind = submit(second, "true", limits={"memory_mb": 16, "time_s": 1})
        beside = submit(third, "true", limits={"memory_mb": 50, "time_s": 7200})
        assert ended(third, beside)["status"] == "completed"
        in_the_way = submit(third, "true", limits={"memory_mb": 60, "time_s": 7200})
        over_by_then = submit(first, "true", limits={"memory_mb": 60, "time_s": 60})
        assert ended(first, over_by_then)["status"] == "completed"
        for task_id in (large, behind):
            assert second.get(f"/api/task/{task_id}").json()["status"] == "queued"
        assert third.get(f"/api/task/{in_the_way}").json()["status"] == "queued"
        first.put("/api/workspace/127.0.0.1/files/inputs/go", content=b"").raise_for_status()
        for client, task_id in ((second, large), (second, behind), (third, in_the_way)):
            assert ended(client, task_id)["status"] == "completed"
