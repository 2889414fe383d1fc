"""What a session counts by says nothing about the others."""

import sqlite3
from importlib import resources
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lan_session_manager.states import Verdict
from lan_session_manager.store import Store, Transaction
from lan_session_manager.store.records import NewConnection, NewTask, SourceType

NEW = NewTask("shell", SourceType.USER_TRIGGERED, "x", "x", 64, 1.0)


def _connection(task_id: str, number: int) -> NewConnection:
    return NewConnection(f"{task_id} {number}", task_id, "a.test", 443, "", Verdict.NOT_LISTED, 0, 0, 1.0, 1.0)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 2), max_size=12))
def test_events_and_connections_are_numbered_without_gaps_whatever_others_do(tmp_path: Path, whose: list[int]) -> None:
    (tmp_path / "state.db").unlink(missing_ok=True)
    store = Store(tmp_path / "state.db")
    try:
        addresses = [f"10.0.0.{number}" for number in range(3)]
        sessions = store.write(lambda tx: [tx.add_session(each, each, 1.0) for each in addresses]).result()

        def job(tx: Transaction) -> None:
            for each in whose:
                task = tx.add_numbered_task(sessions[each].id, NEW, 2.0)
                tx.note_connections([_connection(task.id, number) for number in range(2)])
                tx.add_event(2.0, tx.events_after(0, 1)[0].kind, None, None)

        store.write(job).result()
        for session in sessions:
            events = store.read.events_of_session(session.id, 0, 100)
            assert [event.number for event in events] == list(range(1, len(events) + 1))
            assert store.read.last_event_number(session.id) == len(events)
            for task in store.read.live_tasks_of(session.id):
                assert [row.number for row in store.read.connections_of_task(task.id, 99, 99)] == [2, 1]
    finally:
        store.close()
        for suffix in ("", "-wal", "-shm"):
            (tmp_path / f"state.db{suffix}").unlink(missing_ok=True)


def test_events_and_connections_of_before_are_numbered_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    migrations = resources.files("lan_session_manager.store").joinpath("migrations")
    with sqlite3.connect(path) as old:
        for number in range(1, 6):
            [script] = [file for file in migrations.iterdir() if file.name.startswith(f"{number:04}_")]
            old.executescript(script.read_text())
        old.executescript(
            """PRAGMA user_version = 5;
            INSERT INTO sessions (id, name, address, user_slot, state, created_at, last_activity) VALUES
                ('AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', '10_0_0_1', '10.0.0.1', 0, 'live', 1.0, 1.0),
                ('BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB', '10_0_0_2', '10.0.0.2', 1, 'live', 1.0, 1.0);
            INSERT INTO events (at, kind, session_id) VALUES
                (1.0, 'session_started', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'),
                (2.0, 'session_started', 'BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB'),
                (3.0, 'task_tagged', NULL), (4.0, 'session_expired', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA');
            INSERT INTO connections (key, task_id, host, port, address, verdict, bytes_sent, bytes_received, started_at)
                VALUES ('1', 't', 'h', 1, '', 'allowed', 0, 0, 1.0), ('2', 'u', 'h', 1, '', 'allowed', 0, 0, 1.0),
                       ('3', 't', 'h', 1, '', 'allowed', 0, 0, 1.0);"""
        )
    old.close()
    store = Store(path)
    try:
        assert [(event.id, event.number) for event in store.read.events_after(0, 9)] == [
            (1, 1), (2, 1), (3, None), (4, 2),
        ]  # fmt: skip
        assert [(row.key, row.number) for row in store.read.connections_of_task("t", 99, 9)] == [("3", 2), ("1", 1)]
    finally:
        store.close()
