"""What was answered is on disk; a commit that fails fails everybody in it; reads do not wait for writes."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from lan_session_manager.errors import BusyError, NewerDatabaseError, StorageError
from lan_session_manager.states import Reason, TaskState
from lan_session_manager.store import Store, Transaction
from lan_session_manager.store import database as database_module
from lan_session_manager.store.records import NewTask, SessionRecord, SourceType

NEW = NewTask("shell", SourceType.USER_TRIGGERED, "count", "wc -l", 64, 5.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def _session(store: Store, address: str = "10.0.0.1") -> SessionRecord:
    return store.write(lambda tx: tx.add_session(address.replace(".", "_"), address, 1.0)).result()


def _held(store: Store) -> tuple[threading.Event, Future[None]]:
    """Keep the writer busy until the event is set, so that later jobs share one batch."""
    release, begun = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        begun.set()
        release.wait(10)

    future = store.write(hold)
    assert begun.wait(10)
    return release, future


def test_a_result_that_was_answered_is_there_after_the_process_is_gone(path: Path) -> None:
    store = Store(path)
    session = _session(store)
    task = store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0)).result()
    # No close(): another connection sees only what is committed.
    other = Store(path)
    assert other.read.task(task.id) == task
    other.close()
    store.close()


def test_opening_twice_migrates_once(path: Path) -> None:
    for _ in range(2):
        store = Store(path)
        _session(store, "10.0.0.1") if store.read.last_session_at("10.0.0.1") is None else None
        store.close()
    store = Store(path)
    assert store.read.live_session_count() == 1
    store.close()


def test_a_database_of_a_newer_version_is_refused(path: Path) -> None:
    Store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(NewerDatabaseError, match=r"its schema is 999"):
        Store(path)


def test_every_table_is_strict_and_every_state_is_checked(store: Store, path: Path) -> None:
    connection = sqlite3.connect(path)
    tables = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for name, sql in tables.fetchall():
        assert sql.rstrip().endswith("STRICT"), name
    session = _session(store)
    store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0)).result()
    for statement in (
        "UPDATE tasks SET state = 'sleeping'",
        "UPDATE tasks SET state = 'completed'",  # without a time of its end
        "UPDATE tasks SET reason = 'because'",
        "UPDATE sessions SET state = 'zombie'",
        "UPDATE tasks SET outputs = 'no json'",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
    connection.close()


def test_a_job_that_raises_changes_nothing_and_the_others_of_its_batch_are_kept(store: Store) -> None:
    session = _session(store)

    def half(tx: Transaction) -> None:
        tx.add_numbered_task(session.id, NEW, 2.0)
        raise KeyError("no")

    release, _ = _held(store)
    good = store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0))
    bad = store.write(half)
    also_good = store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0))
    release.set()
    with pytest.raises(KeyError):
        bad.result(10)
    assert [good.result(10).number, also_good.result(10).number] == [1, 2]
    assert store.read.queued_count(session.id) == 2


def test_who_is_refused_for_what_another_job_has_changed_finds_it_changed(store: Store) -> None:
    session, found = _session(store), list[int]()

    def too_late(tx: Transaction) -> None:
        raise KeyError(tx.queued_count(session.id))

    release, _ = _held(store)
    store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0))
    refused = store.write(too_late)
    refused.add_done_callback(lambda _: found.append(store.read.queued_count(session.id)))
    release.set()
    with pytest.raises(KeyError, match="1"):
        refused.result(10)
    store.write(lambda _: None).result(10)
    assert found == [1]


def test_a_failed_commit_fails_every_job_of_its_batch(store: Store) -> None:
    session = _session(store)
    release, held = _held(store)

    def break_the_commit(tx: Transaction) -> None:
        # A deferred foreign key that points nowhere lets COMMIT itself fail.
        tx._connection.execute("PRAGMA defer_foreign_keys = ON")
        tx._connection.execute("INSERT INTO leases VALUES ('nowhere', 'b', 1, 1, 1, 1.0, 1.0, NULL, NULL)")

    jobs: list[Future[object]] = [
        store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0)),
        store.write(break_the_commit),
        store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0)),
    ]
    release.set()
    held.result(10)
    for job in jobs:
        with pytest.raises(sqlite3.IntegrityError):
            job.result(10)
    assert store.read.queued_count(session.id) == 0
    assert store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0)).result(10).number == 1


def test_the_queue_of_the_writer_is_bounded(store: Store) -> None:
    release, _ = _held(store)
    for _ in range(database_module._WAITING_JOBS):
        store.write(lambda _: None)
    with pytest.raises(BusyError):
        store.write(lambda _: None)
    release.set()


def test_a_read_does_not_wait_for_a_write(store: Store) -> None:
    session = _session(store)
    release, held = _held(store)
    try:
        assert store.read.session(session.id) == session
        assert not held.done()
    finally:
        release.set()


def test_a_writer_of_another_process_is_waited_for(store: Store, path: Path) -> None:
    foreign = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    foreign.execute("BEGIN IMMEDIATE")
    future = store.write(lambda tx: tx.add_session("a", "10.0.0.9", 1.0))
    timer = threading.Timer(0.3, lambda: foreign.execute("COMMIT"))
    timer.start()
    assert future.result(10).address == "10.0.0.9"
    timer.join()
    foreign.close()


def test_a_commit_of_another_connection_changes_the_version(store: Store, path: Path) -> None:
    before = store.version()
    assert store.version() == before
    other = Store(path)
    _session(other)
    other.close()
    assert store.version() != before


def test_a_closed_store_says_so(path: Path) -> None:
    store = Store(path)
    future = store.write(lambda tx: tx.add_session("a", "10.0.0.9", 1.0))
    store.close()
    assert future.result(0).name == "a"  # what waited was carried out
    with pytest.raises(BusyError):
        store.write(lambda _: None)


def test_every_move_of_a_task_writes_its_event_in_the_same_transaction(store: Store) -> None:
    session = _session(store)
    task = store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0)).result()

    def fail_after_moving(tx: Transaction) -> None:
        tx.move_task(task.id, TaskState.RUNNING, 3.0, started_at=3.0)
        raise KeyError

    with pytest.raises(KeyError):
        store.write(fail_after_moving).result()
    store.write(lambda tx: tx.move_task(task.id, TaskState.RUNNING, 3.0, started_at=3.0)).result()
    kinds = [str(event.kind) for event in store.read.events_of_session(session.id, 0, 100)]
    assert kinds == ["session_started", "task_submitted", "task_started"]


def test_an_event_id_is_never_used_again(store: Store, path: Path) -> None:
    session = _session(store)
    last = store.read.last_event_id()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM events")
    connection.close()
    store.write(lambda tx: tx.add_numbered_task(session.id, NEW, 2.0)).result()
    assert store.read.events_after(0, 1)[0].id > last


def test_the_hot_reads_use_an_index(path: Path, store: Store) -> None:
    connection = sqlite3.connect(path)
    for query in (
        "SELECT 1 FROM tasks WHERE session_id = 'a' AND state = 'queued'",
        "SELECT 1 FROM tasks WHERE state = 'running' GROUP BY session_id",
        "SELECT 1 FROM tasks WHERE session_id = 'a' AND state IN ('queued', 'running')",
        "SELECT 1 FROM events WHERE session_id = 'a' AND id > 5 ORDER BY id",
        "SELECT 1 FROM sessions WHERE address = 'a' AND state <> 'ended'",
        "SELECT 1 FROM bindings JOIN sessions ON id = session_id WHERE bindings.address = 'a' AND state <> 'ended'",
        "SELECT 1 FROM bindings JOIN sessions ON id = session_id WHERE mac = 'a' AND state <> 'ended'",
        "SELECT 1 FROM former_bindings f JOIN sessions s ON s.id = session_id WHERE f.address = 'a' AND mac = 'a'",
        "SELECT 1 FROM devices JOIN sessions ON sessions.id = session_id WHERE token_hash = 'a'",
    ):
        plan = " ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + query))
        assert "SEARCH" in plan, (query, plan)
        assert "SCAN" not in plan, (query, plan)
    connection.close()


def test_how_long_tasks_take_is_learned_from_the_newest_alone(store: Store) -> None:
    session = _session(store)

    def end(tx: Transaction, state: TaskState, reason: Reason) -> None:
        task = tx.add_numbered_task(session.id, NEW, 2.0)
        tx.move_task(task.id, TaskState.RUNNING, 2.0, started_at=2.0)
        tx.move_task(task.id, state, 5.0, ended_at=5.0, reason=reason)

    def job(tx: Transaction) -> None:
        end(tx, TaskState.FAILED, Reason.EXIT)  # behind so many others nobody looks for it
        for _ in range(2):
            end(tx, TaskState.FAILED, Reason.TIME_LIMIT)
        end(tx, TaskState.COMPLETED, Reason.EXIT)

    store.write(job).result()
    assert store.read.lately_ended(2) == [(session.id, NEW.command, 3.0)]
    assert len(store.read.lately_ended(3)) == 2


def test_the_connections_of_threads_that_have_ended_are_closed(store: Store) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        thread = threading.Thread(target=lambda: store.read.live_sessions())
        thread.start()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) < before + 10


class _GivenUp(Future[int]):
    """Its caller gives up in the moment between a look at it and its answer."""

    def done(self) -> bool:
        was_done = super().done()
        self.cancel()
        return was_done


def test_a_caller_who_gives_up_while_a_batch_fails_does_not_end_the_writer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    future = _GivenUp()
    monkeypatch.setattr(database_module, "Future", lambda: future)
    with monkeypatch.context() as failing:
        failing.setattr(database_module, "_run_batch", _fail)
        store.write(Transaction.last_event_id)
        wait([future], 20)
    monkeypatch.setattr(database_module, "Future", Future)
    assert store.write(Transaction.last_event_id).result(20) == 0


def _fail(*_: object) -> None:
    raise sqlite3.OperationalError("database is locked")


def test_a_read_of_a_damaged_file_is_an_error_that_a_caller_can_meet(store: Store, path: Path) -> None:
    session = _session(store)
    with contextlib.closing(sqlite3.connect(path)) as foreign:
        foreign.execute("ALTER TABLE sessions RENAME TO taken_away")
    with pytest.raises(StorageError):
        store.read.session(session.id)
