"""A database of before tasks had limits of their own goes on working."""

import sqlite3
from importlib import resources
from pathlib import Path

from lan_session_manager.store import Store
from lan_session_manager.store.records import LimitsRecord

ID = "0" * 32


def test_tasks_leases_and_limits_of_before_are_there_without_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    migrations = resources.files("lan_session_manager.store").joinpath("migrations")
    with sqlite3.connect(path) as old:
        for name in ("0001_initial.sql", "0002_session_limits.sql"):
            old.executescript(migrations.joinpath(name).read_text())
        old.executescript(
            """PRAGMA user_version = 2;
            INSERT INTO sessions (id, name, address, user_slot, state, created_at, last_activity)
                VALUES ('00000000000000000000000000000000', '10_0_0_1', '10.0.0.1', 0, 'live', 1.0, 1.0);
            INSERT INTO tasks (id, session_id, number, state, runner, source_type, description, command, memory_mb,
                               time_s, created_at, started_at)
                VALUES ('t', '00000000000000000000000000000000', 1, 'running', 'shell', 'USER_TRIGGERED', 'd', 'c',
                        64, 9.0, 1.0, 2.0);
            INSERT INTO leases VALUES ('t', 'boot', 1, 2, 3, 2.0, 11.0);
            INSERT INTO session_limits (session_id, memory_mb) VALUES ('00000000000000000000000000000000', 99);"""
        )
    old.close()
    store = Store(path)
    try:
        task, lease = store.read.task("t"), store.read.lease("t")
        assert task is not None
        assert lease is not None
        assert (task.memory_mb, task.time_s, task.cores, task.pids, task.kept_bytes) == (64, 9.0, None, None, None)
        assert (lease.monitor_pid, lease.time_limit_at, lease.base) == (1, 11.0, None)
        assert store.read.limits_of(ID) == LimitsRecord(memory_mb=99)
    finally:
        store.close()
