"""Somebody sets the host's clock while the server runs, or while it does not: what runs goes on as it should.

The server is the real one; only what its clock shows is moved, by a module that its interpreter loads first.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.clients import dashboard, device, ended, submit, wait_for
from tests.integration.failing import until
from tests.server import Server, remove_leftovers, start_server

pytestmark = pytest.mark.root

DAY_S = 86_400
WAITS = "echo begun; until [ -e temp/go ]; do sleep 0.05; done; echo over"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[int], Server]]:
    """Starts a server, also once more, whose clock is so many seconds fast."""
    clock = tmp_path / "clock"

    def start(fast_s: int) -> Server:
        clock.write_text(str(fast_s))
        here = Path(__file__).with_name("moved_clock")
        return start_server(tmp_path, env={"PYTHONPATH": str(here), "MOVED_CLOCK": str(clock), "LSM_SLOTS": "4"})

    yield start
    remove_leftovers(tmp_path / "user_sessions")


def _begun(server: Server, address: str, command: str, **fields: object) -> str:
    with device(server, address) as client:
        task_id = submit(client, command, **fields)
        until(lambda: client.get(f"/api/task/{task_id}/log").text == "begun\n")
        return task_id


def _go(server: Server, address: str) -> None:
    (server.data_dir / address.replace(".", "_") / "temp" / "go").touch()


@pytest.mark.parametrize("fast_s", [3 * DAY_S, -3 * DAY_S])
def test_while_the_server_runs(tmp_path: Path, start: Callable[[int], Server], fast_s: int) -> None:
    with start(0) as server, device(server) as client, dashboard(server) as live:
        runs = _begun(server, "127.0.0.1", WAITS, limits={"time_s": 600})
        stops = _begun(server, "127.0.0.2", "echo begun; sleep 60")
        (tmp_path / "clock").write_text(str(fast_s))
        # A time limit counts seconds that pass.
        short = submit(client, "sleep 60", limits={"time_s": 1})
        assert ended(client, short)["reason"] == "time_limit"
        with device(server, "127.0.0.2") as other:
            other.post(f"/api/task/{stops}/cancel").raise_for_status()
            assert ended(other, stops)["reason"] == "cancelled_by_user"
        assert client.get(f"/api/task/{runs}").json()["status"] == "running"
        _go(server, "127.0.0.1")
        for task_id in (runs, submit(client, "true")):
            task = ended(client, task_id)
            assert task["status"] == "completed"
            assert datetime.fromisoformat(task["started_at"]) <= datetime.fromisoformat(task["ended_at"])
        assert client.get(f"/api/task/{runs}/log").text == "begun\nover\n"
        # Events are in the order of their numbers, whatever the clock said.
        told = live.until(lambda message: message["event"] == "task_completed")
        numbers = [message["id"] for message in told if "id" in message]
        assert numbers == sorted(numbers)
        # What waits for a moment of the clock starts once the clock shows it.
        later = submit(client, "true", start_after=int(time.time()) + fast_s + DAY_S)
        assert client.get(f"/api/task/{later}").json()["status"] == "queued"
        (tmp_path / "clock").write_text(str(fast_s + 2 * DAY_S))
        submit(client, "true")
        wait_for(client, later, lambda task: task["status"] == "completed")


@pytest.mark.parametrize("fast_s", [3 * DAY_S, -3 * DAY_S])
def test_while_no_server_runs(start: Callable[[int], Server], fast_s: int) -> None:
    server = start(0)
    runs = _begun(server, "127.0.0.1", WAITS, limits={"time_s": 600})
    # It counts seconds that pass, and so does the grace of who does not hear that it is to stop.
    stops = _begun(server, "127.0.0.2", "trap '' TERM; echo begun; while :; do sleep 0.05; done")
    runs_out = _begun(server, "127.0.0.3", "echo begun; sleep 60", limits={"time_s": 2})
    with device(server, "127.0.0.2") as other:
        other.post(f"/api/task/{stops}/cancel").raise_for_status()
    server.kill9()
    with start(fast_s) as server, device(server) as client:
        for last, task_id, reason in ((2, stops, "cancelled_by_user"), (3, runs_out, "time_limit")):
            with device(server, f"127.0.0.{last}") as other:
                assert ended(other, task_id)["reason"] == reason
        assert client.get(f"/api/task/{runs}").json()["status"] == "running"
        _go(server, "127.0.0.1")
        assert ended(client, runs)["status"] == "completed"
        assert client.get(f"/api/task/{runs}/log").text == "begun\nover\n"
