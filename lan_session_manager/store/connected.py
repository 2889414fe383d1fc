"""A connection to the database that is asked questions."""

import sqlite3

from lan_session_manager.store.faults import readable


class Connected:
    """One connection, for one thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _one(self, sql: str, *values: object) -> sqlite3.Row | None:
        try:
            row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise readable(error) from error
        return row

    def _all(self, sql: str, *values: object) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise readable(error) from error
