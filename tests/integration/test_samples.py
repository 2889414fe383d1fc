"""What tasks use: seen by their own session alone, live and after, also by a server that starts again."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.clients import PATIENCE_S, dashboard, device, ended, submit, wait_for
from tests.server import Server, start_server

_BUSY = "x = bytearray(60 << 20)\nwhile True: pass"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with start_server(tmp_path) as running:
        yield running


def _busy(client: httpx.Client) -> str:
    return submit(client, _BUSY, runner="python", limits={"memory_mb": 256, "time_s": 120})


def _samples(client: httpx.Client, task_id: str, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found: dict[str, Any] = client.get(f"/api/task/{task_id}/samples").json()
        if wanted(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"not as wanted: {found}")


def test_a_running_task_is_measured_and_stays_so_after_its_end(server: Server) -> None:
    with device(server) as client:
        task_id = _busy(client)
        found = _samples(client, task_id, lambda found: len(found["points"]) >= 4)
        assert found["task_id"] == task_id
        assert found["limits"]["memory_mb"] == 256
        assert found["limits"]["cores"] > 0
        assert all(60 <= memory <= 256 for _, memory, _ in found["points"][1:])
        assert max(cores for _, _, cores in found["points"]) > 0.3
        running = wait_for(client, task_id, lambda task: task["usage"] and task["usage"]["cpu_s"] > 0)
        assert running["usage"]["memory_mb"] >= 60
        client.post(f"/api/task/{task_id}/cancel")
        ended(client, task_id)
        after = client.get(f"/api/task/{task_id}/samples").json()
        assert after["points"][: len(found["points"]) - 1] == found["points"][:-1]
        client.delete(f"/api/task/{task_id}")
        assert client.get(f"/api/task/{task_id}/samples").status_code == 404


def test_the_samples_of_another_are_as_missing_as_those_of_nobody(server: Server) -> None:
    with device(server) as client, device(server, "127.0.0.2") as other:
        task_id = _busy(client)
        foreign, missing = (other.get(f"/api/task/{each}/samples") for each in (task_id, task_id + "9"))
        assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)
        assert foreign.status_code == 404
        foreign, missing = (other.get(f"/api/task/{each}/outputs") for each in (task_id, task_id + "9"))
        assert (foreign.status_code, foreign.content) == (missing.status_code, missing.content)


def test_a_dashboard_is_told_of_its_own_tasks_alone_and_without_an_id(server: Server) -> None:
    with device(server) as client, device(server, "127.0.0.2") as other:
        mine, theirs = _busy(client), _busy(other)
        with dashboard(server) as live, dashboard(server, "127.0.0.2") as live_there:
            told, told_there = live.event("usage"), live_there.event("usage")
        assert set(told["usage"]) == {mine}
        assert set(told_there["usage"]) == {theirs}
        assert "id" not in told
        assert set(told["usage"][mine]) == {"memory_mb", "cores", "cpu_s", "memory_peak_mb"}


def test_who_does_not_look_is_not_told(server: Server) -> None:
    with device(server) as client, dashboard(server) as live:
        _busy(client)
        live.event("usage")
        live.send(type="in_sight", in_sight=False)
        live.send(type="ping")
        live.event("pong")
        time.sleep(4.5)  # two rounds: what does not come cannot be waited for
        live.send(type="ping")
        assert all(message["event"] != "usage" for message in live.until(lambda got: got["event"] == "pong"))


def test_a_server_that_starts_again_goes_on_with_the_picture(tmp_path: Path) -> None:
    first = start_server(tmp_path)
    with device(first) as client:
        task_id = _busy(client)
        before = _samples(client, task_id, lambda found: len(found["points"]) >= 3)
    first.terminate()
    with start_server(tmp_path) as server, device(server) as client:
        found = _samples(client, task_id, lambda found: len(found["points"]) > len(before["points"]) + 2)
        assert found["points"][:2] == before["points"][:2]
        times = [t for t, _, _ in found["points"]]
        assert times == sorted(times)
        client.post(f"/api/task/{task_id}/cancel")


def test_outputs_are_seen_while_the_task_runs(server: Server) -> None:
    with device(server) as client:
        client.put("/api/workspace/127.0.0.1/files/outputs/old.txt", content=b"old")
        time.sleep(1.1)  # so that the file is older than the task, also on a disk that counts whole seconds
        task_id = submit(client, "echo new > outputs/new.txt; sleep 60", limits={"time_s": 120, "memory_mb": 64})
        wait_for(client, task_id, lambda task: task["status"] == "running")
        end = time.monotonic() + PATIENCE_S
        while not (found := client.get(f"/api/task/{task_id}/outputs").json())["outputs"]:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert found == {"outputs": [{"path": "outputs/new.txt", "size": 4}], "outputs_total": 1}
        client.post(f"/api/task/{task_id}/cancel")
