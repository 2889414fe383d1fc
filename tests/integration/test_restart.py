"""A server that dies leaves its tasks running; the next one goes on with them."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lan_session_manager import LANSessionManager
from lan_session_manager.sandbox.box import opaque_id
from tests.integration.clients import PATIENCE_S, dashboard, device, ended, submit, wait_for
from tests.server import remove_leftovers, start_server


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_leftovers(tmp_path / "user_sessions")


def test_tasks_go_on_while_the_server_is_killed_and_are_adopted(place: Path) -> None:
    server = start_server(place)
    with device(server) as client:
        ends_meanwhile = submit(client, "echo begun; until [ -e temp/go ]; do sleep 0.05; done; echo over; exit 7")
        goes_on = submit(client, "for i in $(seq 100); do echo line $i; sleep 0.1; done; exit 5")
        waits = submit(client, "echo waited")
        for task_id in (ends_meanwhile, goes_on):
            wait_for(client, task_id, lambda task: task["status"] == "running")
        for task_id in (ends_meanwhile, goes_on):  # a task is running from before its program begins
            wait_for_line(client, task_id)
    server.kill9()
    (place / "user_sessions" / "127_0_0_1" / "temp" / "go").touch()  # not before: it is to end while no server is there
    wait_until_ended_on_disk(place, ends_meanwhile)
    again = start_server(place)
    try:
        with device(again) as client:
            task = ended(client, ends_meanwhile)
            assert (task["status"], task["reason"], task["exit_code"]) == ("failed", "exit", 7)
            assert client.get(f"/api/task/{ends_meanwhile}/log").text == "begun\nover\n"
            task = ended(client, goes_on)
            assert (task["reason"], task["exit_code"]) == ("exit", 5)
            lines = client.get(f"/api/task/{goes_on}/log").text.splitlines()
            assert lines == [f"line {n}" for n in range(1, 101)]
            assert ended(client, waits)["status"] == "completed"
    finally:
        again.stop()


def test_limits_and_cancel_hold_after_a_restart(place: Path) -> None:
    server = start_server(place)
    with device(server) as client:
        runs_out = submit(client, "sleep 60", limits={"time_s": 3})
        is_cancelled = submit(client, "sleep 60")
        for task_id in (runs_out, is_cancelled):
            wait_for(client, task_id, lambda task: task["status"] == "running")
    server.kill9()
    again = start_server(place)
    try:
        with device(again) as client:
            client.post(f"/api/task/{is_cancelled}/cancel")
            assert ended(client, is_cancelled)["reason"] == "cancelled_by_user"
            assert ended(client, runs_out)["reason"] == "time_limit"
    finally:
        again.stop()


def test_sigterm_ends_the_server_and_not_its_tasks_and_tells_the_dashboards(place: Path) -> None:
    server = start_server(place)
    with device(server) as client:
        task_id = submit(client, "sleep 2; echo survived")
        wait_for(client, task_id, lambda task: task["status"] == "running")
        with dashboard(server) as live:
            live.event("dashboard_update")
            server.terminate()
            with pytest.raises(Exception, match="1012"):
                live.until(lambda _: False)
    again = start_server(place)
    try:
        with device(again) as client:
            assert ended(client, task_id)["status"] == "completed"
            assert client.get(f"/api/task/{task_id}/log").text == "survived\n"
    finally:
        again.stop()


def test_what_is_kept_of_a_deleted_task_goes_though_the_server_died_before_it_was(place: Path) -> None:
    server = start_server(place)
    with device(server) as client:
        deleted, kept = (ended(client, submit(client, "echo whale"))["task_id"] for _ in range(2))
    server.kill9()
    # All that a server does in one step: the rest of it comes after, and never came.
    with contextlib.closing(LANSessionManager(server.data_dir)) as manager:
        manager.tasks.delete(deleted).result()
    directories = {task_id: log_directory(place, task_id) for task_id in (deleted, kept)}
    assert all(directory.exists() for directory in directories.values())
    again = start_server(place)
    try:
        end = time.monotonic() + PATIENCE_S
        while directories[deleted].exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        with device(again) as client:
            assert client.get(f"/api/task/{kept}/log").text == "whale\n"
    finally:
        again.stop()


def test_two_servers_do_not_run_over_one_directory(place: Path) -> None:
    with start_server(place), pytest.raises(AssertionError, match="another server runs over it"):
        start_server(place)


def wait_for_line(client: object, task_id: str) -> None:
    """Wait until the task has printed something."""
    with client.stream("GET", f"/api/task/{task_id}/log", params={"follow": 1}) as answer:  # type: ignore[attr-defined]
        for _ in answer.iter_lines():
            return


def log_directory(place: Path, task_id: str) -> Path:
    """Where everything is that is kept of a task."""
    return place / "user_sessions" / ".lan_session_manager" / "boxes" / opaque_id(task_id)


def wait_until_ended_on_disk(place: Path, task_id: str) -> None:
    """Wait until the monitor has written the task's exit code, with no server there."""
    directory = log_directory(place, task_id)
    end = time.monotonic() + 30
    while not any(path.is_file() and path.stat().st_size for path in directory.glob("exits/*")):
        assert time.monotonic() < end, [str(path) for path in directory.rglob("*")]
        time.sleep(0.05)
