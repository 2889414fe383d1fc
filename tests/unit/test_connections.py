"""Connections are written down: each of a task's first ones, then a count, and none of it without bound."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from lan_session_manager.connections import ConnectionLog
from lan_session_manager.egress.journal import Connection, Journal
from lan_session_manager.states import Verdict
from lan_session_manager.store import Store, Transaction, log_writes
from lan_session_manager.store.records import ConnectionRecord, NewTask, SourceType

LAST = 2**53


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state.db")
    yield made
    made.close()


def _refused(number: int, task: str = "one") -> Connection:
    return Connection(f"{task} {number}", task, 1.0, "a.example", 80, "", Verdict.NOT_LISTED, 1, 2, 2.0)


def _written(store: Store, *connections: Connection) -> list[ConnectionRecord]:
    journal = Journal()
    for one in connections:
        journal.note(one)
    asyncio.run(ConnectionLog(store, journal).flush())
    return store.read.connections(LAST, 5_000)


def test_a_connection_is_written_down_as_it_was(store: Store) -> None:
    [row] = _written(store, _refused(1))
    assert (row.task_id, row.host, row.port, row.verdict) == ("one", "a.example", 80, Verdict.NOT_LISTED)
    assert (row.bytes_sent, row.bytes_received, row.started_at, row.ended_at, row.more) == (1, 2, 1.0, 2.0, 0)


def test_the_end_of_a_connection_changes_its_row(store: Store) -> None:
    begun = replace(_refused(1), verdict=Verdict.ALLOWED, ended_at=None)
    [row] = _written(store, begun)
    assert row.ended_at is None
    [over] = _written(store, replace(begun, ended_at=9.0, bytes_sent=70))
    assert (over.id, over.ended_at, over.bytes_sent) == (row.id, 9.0, 70)


def test_of_one_task_so_many_are_listed_and_the_others_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writes, "LISTED", 10)
    _written(store, *(_refused(number) for number in range(8)))
    _written(store, *(_refused(number) for number in range(8, 500)))
    rows = _written(store, *(_refused(number) for number in range(500, 1000)), _refused(1, "two"))
    own = [row for row in rows if row.task_id == "one"]
    assert len(own) == 11
    [more] = [row for row in own if row.verdict is Verdict.MORE]
    assert (more.more, more.host, more.bytes_sent, more.bytes_received) == (990, "", 990, 1980)
    assert [row.verdict for row in rows if row.task_id == "two"] == [Verdict.NOT_LISTED]


def test_what_the_journal_had_no_room_for_is_counted_too(store: Store) -> None:
    journal = Journal(most=3)
    for number in range(10):
        journal.note(_refused(number))
    asyncio.run(ConnectionLog(store, journal).flush())
    assert sorted(row.more for row in store.read.connections(LAST, 100)) == [0, 0, 0, 7]


def test_the_oldest_rows_go_when_there_are_too_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writes, "_KEPT", 20)
    for task in range(10):
        rows = _written(store, *(_refused(number, f"task {task}") for number in range(5)))
    assert len(rows) == 20
    assert rows[0].task_id == "task 9"


def test_a_session_with_too_many_rows_pushes_out_its_own_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writes, "_KEPT_OF_SESSION", 20)

    def session_with_tasks(tx: Transaction, address: str) -> list[str]:
        session = tx.add_session(address, address, 1.0)
        new = NewTask("shell", SourceType.USER_TRIGGERED, "x", "x", 64, 1.0)
        return [tx.add_numbered_task(session.id, new, 1.0).id for _ in range(3)]

    quiet, loud = (
        store.write(partial(session_with_tasks, address=address)).result() for address in ("10.0.0.1", "10.0.0.2")
    )
    _written(store, *(_refused(number, quiet[0]) for number in range(5)))
    for task in loud:
        rows = _written(store, *(_refused(number, task) for number in range(15)))
    assert [row.task_id for row in rows].count(quiet[0]) == 5
    assert [row.task_id for row in rows if row.task_id in loud] == [loud[2]] * 15 + [loud[1]] * 5


def test_what_an_earlier_server_left_open_has_an_end(store: Store) -> None:
    _written(store, replace(_refused(1), ended_at=None))

    async def main() -> None:
        running = asyncio.create_task(ConnectionLog(store, Journal(), clock=lambda: 77.0).run())
        async with asyncio.timeout(20):
            while store.read.connections(LAST, 1)[0].ended_at is None:  # noqa: ASYNC110 - another thread writes it
                await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(main())
    assert store.read.connections(LAST, 1)[0].ended_at == 77.0


def test_pages_follow_one_another(store: Store) -> None:
    rows = _written(store, *(_refused(number) for number in range(5)))
    first = store.read.connections(LAST, 2)
    assert first + store.read.connections(first[-1].id, 3) == rows
    assert store.read.connections_of_task("one", 4, 3) == rows[2:]
    assert store.read.connections_of_task("nobody", LAST, 3) == []
