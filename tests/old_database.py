"""A database as an earlier version of the schema left it."""

import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

SESSION = "0" * 32


def old_database(path: Path, version: int, address: str) -> None:
    """Make it, with one live session of that address in it: SESSION, whose user slot is 0."""
    found = resources.files("lan_session_manager.store").joinpath("migrations").iterdir()
    with closing(sqlite3.connect(path)) as connection:
        for file in sorted((file for file in found if file.name[:4] <= f"{version:04}"), key=lambda file: file.name):
            connection.executescript(file.read_text())
        connection.execute(
            """INSERT INTO sessions (id, name, address, user_slot, state, created_at, last_activity)
               VALUES (?, ?, ?, 0, 'live', 1, unixepoch())""",
            (SESSION, address.replace(".", "_"), address),
        )
        connection.execute("INSERT INTO bindings (address, session_id, seen_at) VALUES (?, ?, 1)", (address, SESSION))
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
