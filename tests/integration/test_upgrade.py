"""A server of this version takes over the data directory of an older one, with the tasks that run."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from lan_session_manager.engine.base import Job, Lease
from lan_session_manager.engine.local import LocalEngine
from lan_session_manager.sandbox.box import opaque_id
from lan_session_manager.settings import STATE_DIR
from tests.integration.clients import device, ended, submit
from tests.integration.sandbox.room import Room
from tests.old_database import SESSION, old_database
from tests.server import remove_leftovers, start_server

pytestmark = pytest.mark.root

_ADDRESS, _NAME = "127.0.0.1", "127_0_0_1"
_OLD = 9
_KEPT = ("group", "lease", "log_bytes", "network", "monitor_read")  # of a box, by the version with that schema


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    remove_leftovers(tmp_path / "user_sessions")


class _Old:
    """What a server with the schema of version 9 had begun, and left when it was killed."""

    def __init__(self, data_dir: Path) -> None:
        self._room = Room(data_dir)
        self._state = data_dir / STATE_DIR
        old_database(self._state / "state.db", _OLD, _ADDRESS)
        self._room.workspace(_NAME, slot=0)

    def begin(self, *scripts: str) -> list[str]:
        """Have so many tasks begun; gives their ids."""
        jobs = [self._room.job("/bin/bash", "-c", script, session=_NAME) for script in scripts]
        leases: list[Lease] = []

        async def start(engine: LocalEngine) -> None:
            leases.extend([await engine.start(job) for job in jobs])

        self._room.with_engine(start)
        with closing(sqlite3.connect(self._state / "state.db")) as connection:
            for number, (job, lease) in enumerate(zip(jobs, leases, strict=True), 1):
                self._keep(connection, number, job, lease)
            connection.execute("UPDATE sessions SET next_number = ?, total_tasks = ?", (len(jobs) + 1, len(jobs)))
            connection.commit()
        return [job.task_id for job in jobs]

    def _keep(self, connection: sqlite3.Connection, number: int, job: Job, lease: Lease) -> None:
        started = self._state / "boxes" / opaque_id(job.task_id) / "started.json"
        kept = json.loads(started.read_text())
        started.write_text(json.dumps({name: kept[name] for name in _KEPT}))
        connection.execute(
            """INSERT INTO tasks (id, session_id, number, state, runner, source_type, description, command, memory_mb,
                                  time_s, created_at, started_at, isolation)
               VALUES (?, ?, ?, 'running', 'shell', 'USER_TRIGGERED', 'old', ?, 256, ?, ?, ?, 'full')""",
            (job.task_id, SESSION, number, job.argv[-1], job.limits.time_s, lease.started_at, lease.started_at),
        )
        columns = asdict(lease)
        marks = ", ".join(f":{name}" for name in columns)
        connection.execute(f"INSERT INTO leases ({', '.join(columns)}) VALUES ({marks})", columns)  # noqa: S608


def test_what_an_older_version_had_begun_is_adopted(place: Path) -> None:
    data_dir = place / "user_sessions"
    ends, cancelled, ended_before = _Old(data_dir).begin(
        "echo begun; until [ -e go ]; do sleep 0.05; done; echo over; exit 4",
        "echo begun; sleep 60",
        "echo begun; exit 5",
    )
    server = start_server(place)
    try:
        with device(server, _ADDRESS) as client:
            assert client.get(f"/api/task/{ends}").json()["status"] == "running"
            (data_dir / _NAME / "go").touch()
            client.post(f"/api/task/{cancelled}/cancel").raise_for_status()
            for task_id, reason, code, log in (
                (ends, "exit", 4, "begun\nover\n"),
                (ended_before, "exit", 5, "begun\n"),
                (cancelled, "cancelled_by_user", 143, "begun\n"),
            ):
                task = ended(client, task_id)
                assert (task["reason"], task["exit_code"]) == (reason, code), task["detail"]
                assert client.get(f"/api/task/{task_id}/log").text == log
            new = submit(client, "echo new")
            assert (new, ended(client, new)["status"]) == (f"user_{_NAME}_task_004", "completed")
        (copy,) = (data_dir / STATE_DIR / "backups").iterdir()
        assert copy.name.startswith(f"state.db.v{_OLD:04}-")
    finally:
        server.stop()
