"""A database of an older version is copied before it is changed, and changed as a whole or not at all."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from lan_session_manager.errors import UpgradeError
from lan_session_manager.store import Store, schema
from tests.old_database import old_database

_OLD = 9


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database as version 9 of the schema left it, with one session in it."""
    path = tmp_path / "state.db"
    old_database(path, _OLD, "10.0.0.1")
    return path


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_copy_of_the_old_database_is_kept_for_its_owner_alone(old: Path) -> None:
    with closing(Store(old)) as store:
        assert store.read.session_named("10_0_0_1") is not None
    (copy,) = (old.parent / "backups").iterdir()
    assert (_version(copy), _version(old) > _OLD) == (_OLD, True)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT name FROM sessions").fetchall() == [("10_0_0_1",)]


def test_a_new_database_and_one_that_is_up_to_date_are_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        Store(tmp_path / "state.db").close()
    assert not (tmp_path / "backups").exists()


def test_only_the_newest_copies_stay(old: Path) -> None:
    backups = old.parent / "backups"
    backups.mkdir()
    for version in range(1, 6):
        (backups / f"state.db.v{version:04}-2026-01-01-000000").touch()
    (backups / ".state.db.v0009-2026-01-01-000000.new").touch()  # a start was killed in the middle
    Store(old).close()
    assert sorted(file.name[:14] for file in backups.iterdir()) == [
        "state.db.v0004",
        "state.db.v0005",
        "state.db.v0009",
    ]


def test_without_a_copy_nothing_is_changed(old: Path) -> None:
    (old.parent / "backups").write_text("in the way")
    with pytest.raises(UpgradeError, match="nothing in it was changed"):
        Store(old)
    assert _version(old) == _OLD


def test_a_migration_that_fails_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = schema._statements

    def broken(script: str) -> list[str]:
        return [*whole(script), "SELECT no_such_column FROM sessions"]

    monkeypatch.setattr(schema, "_statements", broken)
    with pytest.raises(Exception, match="could not write"):
        Store(old)
    monkeypatch.undo()
    assert _version(old) == _OLD
    Store(old).close()
    assert _version(old) > _OLD
