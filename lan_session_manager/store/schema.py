"""Brings the schema of a database up to date: forward only, in one transaction, with a copy of the old one first."""

import contextlib
import os
import sqlite3
import time
from importlib import resources
from operator import itemgetter
from pathlib import Path

from lan_session_manager.errors import NewerDatabaseError, UpgradeError
from lan_session_manager.store.faults import is_full

_KEPT_BACKUPS = 3


def bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Carry out each migration that the database at `path` does not have yet, all or none.

    A database that has something in it is copied to `backups/` beside it before. Raises NewerDatabaseError,
    UpgradeError (nothing was changed then), and sqlite3.Error.
    """
    found = resources.files(__package__).joinpath("migrations").iterdir()
    files = sorted(((int(file.name[:4]), file) for file in found if file.name.endswith(".sql")), key=itemgetter(0))
    newest = files[-1][0]
    if _version(connection) == newest:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # again, as another process may have been first
        if version > newest:
            raise NewerDatabaseError(path=path, found=version, known=newest)
        if 0 < version < newest:
            _back_up(path, version)
        for number, file in files:
            if number <= version:
                continue
            for statement in _statements(file.read_text(encoding="utf-8")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _back_up(path: Path, version: int) -> None:
    """Copy the database as it was committed last; of earlier copies the newest few stay. Raises UpgradeError."""
    directory = path.parent / "backups"
    stamp = time.strftime("%Y-%m-%d-%H%M%S", time.gmtime())
    target = directory / f"{path.name}.v{version:04}-{stamp}"
    new = target.with_name(f".{target.name}.new")
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        for rest in directory.glob(f".{path.name}.v*.new"):  # of a start that was killed
            rest.unlink(missing_ok=True)
        os.close(os.open(new, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        with (
            contextlib.closing(sqlite3.connect(path)) as source,
            contextlib.closing(sqlite3.connect(new)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, which needs no others beside it
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(target)
        for old in sorted(directory.glob(f"{path.name}.v*"))[:-_KEPT_BACKUPS]:
            old.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        why = "the disk is full" if is_full(error) else "its directory cannot be written to"
        raise UpgradeError(path=path, why=f"no copy of it could be made first, as {why}") from error


def _statements(script: str) -> list[str]:
    """The statements of a script; `executescript` would commit the transaction around it."""
    statements, current = [], ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
