"""What can be said of a database file without a store over it."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import quote

_SHOWN = 3


def damage(path: Path) -> list[str]:
    """What SQLite's quick_check finds wrong in a database, the first few faults in its own words; empty: nothing.

    Reads only, also beside a server that writes. A file that is no database is a fault as well.
    """
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            rows = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({_SHOWN})")]
    except sqlite3.Error as error:
        return [str(error)]
    return [] if rows == ["ok"] else rows


def sqlite_version() -> str:
    """The version of the SQLite library."""
    return sqlite3.sqlite_version
