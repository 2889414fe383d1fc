"""The audit log: nothing in it changes, nothing in it can fool a reader, and nobody's flood hides another's row."""

import asyncio
import sqlite3
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lan_session_manager.audit import Audit, AuditVerdict, Entry, escaped
from lan_session_manager.errors import StorageError
from lan_session_manager.store import Store, Transaction, log_writes
from lan_session_manager.store.records import AuditRecord, NewAudit

LAST = 2**53
ALLOWED, REFUSED = AuditVerdict.ALLOWED, AuditVerdict.REFUSED


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state.db")
    yield made
    made.close()


def _entry(
    address: str = "10.0.0.1",
    verdict: AuditVerdict = REFUSED,
    what: str = "task",
    role: str = "device",
    at: float = 1.0,
) -> Entry:
    return Entry(at, "s" * 32, None, address, "GET /x", what, verdict, role, "not_found")


def _rows(store: Store) -> list[AuditRecord]:
    return store.read.audit(LAST, 100_000)[::-1]


def _flush(audit: Audit) -> None:
    asyncio.run(audit.flush())


def test_an_entry_is_written_down_as_it_was(store: Store) -> None:
    audit = Audit(store)
    audit.note(Entry(5.0, "s" * 32, "d" * 32, "10.0.0.1", "DELETE /x", "one", ALLOWED, "admin", "why"))
    _flush(audit)
    [row] = _rows(store)
    assert (row.at, row.session_id, row.device_id, row.address) == (5.0, "s" * 32, "d" * 32, "10.0.0.1")
    assert (row.operation, row.object, row.verdict, row.role, row.detail) == (
        "DELETE /x", "one", "allowed", "admin", "why",
    )  # fmt: skip


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET detail = 'nothing happened'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE id = 2",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE id = 2",
        "REPLACE INTO audit SELECT 99, number, at, session_id, device_id, address, role, operation, object, verdict, "
        "'another' FROM audit WHERE id = 2",
    ],
)
def test_no_row_is_changed_or_removed(store: Store, tmp_path: Path, sql: str) -> None:
    audit = Audit(store)
    for number in range(3):
        audit.note(_entry(what=str(number)))
    _flush(audit)
    before = _rows(store)
    with closing(sqlite3.connect(tmp_path / "state.db")) as direct:
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            direct.execute(sql)
        direct.rollback()
    assert _rows(store) == before


def test_only_the_oldest_beyond_the_bound_go_and_each_verdict_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Store(tmp_path / "state.db")) as store:
        _lower_the_bound(tmp_path / "state.db")
        monkeypatch.setattr(log_writes, "_KEPT_AUDIT", 10)
        audit = Audit(store)
        audit.note(_entry(verdict=ALLOWED, what="a change"))
        for number in range(35):
            audit.note(_entry(f"10.0.0.{number}", what=str(number)))
            _flush(audit)
        rows = _rows(store)
        assert [row.object for row in rows] == ["a change", *map(str, range(25, 35))]
        monkeypatch.setattr(log_writes, "_KEPT_AUDIT", 9)  # more than the trigger lets go
        audit.note(_entry("10.0.1.1"))
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            _flush(audit)


def _lower_the_bound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as direct:
        [[sql]] = direct.execute("SELECT sql FROM sqlite_master WHERE name = 'audit_keeps_its_newest_rows'").fetchall()
        direct.execute("DROP TRIGGER audit_keeps_its_newest_rows")
        assert "- 100000" in sql
        direct.execute(sql.replace("- 100000", "- 10"))


def test_the_trigger_and_the_store_know_the_same_bound(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "state.db")), closing(sqlite3.connect(tmp_path / "state.db")) as direct:
        [[sql]] = direct.execute("SELECT sql FROM sqlite_master WHERE name = 'audit_keeps_its_newest_rows'").fetchall()
    assert f"- {log_writes._KEPT_AUDIT} " in sql


HOSTILE = st.text(st.characters() | st.sampled_from("\x1b\n\r\x00\u202e\u2066\u200b\u2028\ud800\\\x9b\U000e0041"))


@given(HOSTILE)
def test_what_is_written_has_nothing_that_a_reader_does_not_see(text: str) -> None:
    shown = escaped(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    shown.encode()
    assert len(shown) <= 2001


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_what_is_escaped_can_be_told_from_what_was_typed(text: str) -> None:
    assert escaped(text).encode("latin-1", "backslashreplace").decode("unicode_escape") == text


@given(st.text("ab", min_size=201))
def test_a_long_text_is_cut_and_says_so(text: str) -> None:
    assert escaped(text) == text[:200] + "…"


@given(st.text(HOSTILE.filter(bool).map(lambda text: text[0]), min_size=190, max_size=220))
def test_the_longest_hostile_text_fits_into_its_column(text: str) -> None:
    assert len(escaped("\U000e0041" * 300)) == 2001
    assert len(escaped(text)) <= 2010


def test_a_flood_of_one_address_is_a_count_and_hides_nobody(store: Store) -> None:
    clock = Clock()
    audit = Audit(store, clock)
    for number in range(832):
        audit.note(_entry("10.0.0.66", what=str(number), at=clock.now))
        if number % 100 == 0:
            audit.note(_entry("10.0.0.1", what=f"mine {number}", at=clock.now))
    _flush(audit)
    clock.now += 61
    _flush(audit)
    loud = [row for row in _rows(store) if row.address == "10.0.0.66"]
    assert [row.object for row in loud] == [*map(str, range(20)), ""]
    assert (loud[-1].detail, loud[-1].verdict, loud[-1].session_id) == ("and 812 more in this minute", "refused", None)
    assert sum(row.address == "10.0.0.1" for row in _rows(store)) == 9


def test_a_flood_of_refused_requests_hides_nothing_that_the_same_address_did(store: Store) -> None:
    audit = Audit(store)
    for _ in range(500):
        audit.note(_entry())
    audit.note(_entry(verdict=ALLOWED, what="done"))
    audit.note(_entry(what="by the owner", role="admin"))
    _flush(audit)
    assert {"done", "by the owner"} <= {row.object for row in _rows(store)}


def test_addresses_of_one_ipv6_network_are_counted_as_one(store: Store) -> None:
    clock = Clock()
    audit = Audit(store, clock)
    for number in range(1, 101):
        audit.note(_entry(f"2001:db8::{number:x}"))
        audit.note(_entry(f"fe80::{number:x}%eth0", verdict=ALLOWED))
    clock.now += 61
    _flush(audit)
    rows = _rows(store)
    assert sum(row.address.startswith("2001") for row in rows) == 21
    assert sum(row.address.startswith("fe80") for row in rows) == 100


def test_what_all_addresses_together_are_refused_is_bounded_in_memory_and_in_rows(store: Store) -> None:
    clock = Clock()
    audit = Audit(store, clock)
    for number in range(20_000):
        audit.note(_entry(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert len(audit._minutes) <= 1001
    clock.now += 61
    _flush(audit)
    rows = _rows(store)
    assert len(rows) <= 200 + 1001
    counted = sum(int(row.detail.split()[1]) for row in rows if row.detail.startswith("and "))
    assert counted + sum(not row.detail.startswith("and ") for row in rows) == 20_000


def test_what_finds_no_room_is_of_the_loudest_and_counted(store: Store) -> None:
    audit = Audit(store, most=50)
    for number in range(250):
        audit.note(_entry("10.0.0.66", ALLOWED, str(number)))
        if number % 25 == 0:
            audit.note(_entry("10.0.0.1", ALLOWED, f"mine {number}"))
    assert audit._count <= 50
    _flush(audit)
    rows = _rows(store)
    assert sum(row.object.startswith("mine") for row in rows) == 10
    [more] = [row for row in rows if row.detail.startswith("and ")]
    assert (more.address, more.detail) == ("10.0.0.66", "and 210 more not written down")


def test_a_full_disk_keeps_nobody_waiting_and_loses_nothing_that_has_room(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = Audit(store)
    audit.note(_entry(what="first"))

    def full(self: Transaction, noted: list[NewAudit]) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "note_audit", full)
        for _ in range(2):
            with pytest.raises(StorageError):
                _flush(audit)
        audit.note(_entry(what="second"))
    _flush(audit)
    _flush(audit)
    assert [row.object for row in _rows(store)] == ["first", "second"]


def test_a_stop_writes_down_everything_counts_too_and_nothing_twice(store: Store) -> None:
    audit = Audit(store)
    go_on = threading.Event()

    def busy(tx: Transaction) -> None:
        assert go_on.wait(20)

    async def main() -> None:
        store.write(busy)
        audit.note(_entry(what="first"))
        running = asyncio.create_task(audit.run())
        while audit._writing is None:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        go_on.set()
        for _ in range(30):
            audit.note(_entry(what="later"))
        await audit.close()

    asyncio.run(main())
    rows = _rows(store)
    assert [row.object for row in rows] == ["first", *["later"] * 19, ""]
    assert rows[-1].detail == "and 11 more in this minute"


def test_what_cannot_be_written_at_a_stop_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path / "state.db")
    audit = Audit(store)
    audit.note(_entry())
    store.close()
    asyncio.run(audit.close())
    assert "1 entries of the audit log could not be written down" in caplog.text
