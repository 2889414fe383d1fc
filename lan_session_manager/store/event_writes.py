"""The changes that are made to what happens, by name."""

import json

from lan_session_manager.store.reads import Reads
from lan_session_manager.store.records import DeviceRecord, EventKind, SessionRecord, TaskRecord


class EventWrites(Reads):
    """Changes of what happens."""

    def add_event(self, at: float, kind: EventKind, session_id: str | None, task_id: str | None, **data: object) -> int:
        """Write an event row and give its id."""
        cursor = self._connection.execute(
            """INSERT INTO events (at, kind, session_id, task_id, data, number)
               SELECT ?1, ?2, ?3, ?4, ?5, CASE WHEN ?3 IS NOT NULL THEN coalesce(max(number), 0) + 1 END
               FROM events WHERE session_id = ?3""",
            (at, kind, session_id, task_id, json.dumps(data)),
        )
        return int(cursor.lastrowid or 0)

    def prune_events(self, after: int, before: float, most: int) -> int | None:
        """Remove those events that are older than `before` of the `most` with the next ids above `after`.

        The newest of each session stays, as the next one is numbered after it. Gives the last id that was looked at;
        None when there is nothing so old among them.
        """
        row = self._one(
            """SELECT max(id) AS last, min(at) AS oldest FROM (
                   SELECT id, at FROM events WHERE id > ? ORDER BY id LIMIT ?)""",
            after,
            most,
        )
        if row is None or row["last"] is None or row["oldest"] >= before:
            return None
        self._connection.execute(
            """DELETE FROM events WHERE id > ? AND id <= ? AND at < ? AND (session_id IS NULL OR number < (
                   SELECT max(number) FROM events AS other WHERE other.session_id = events.session_id))""",
            (after, row["last"], before),
        )
        return int(row["last"])

    def prune_events_of(self, session_id: str, kept: int, most: int) -> int:
        """Remove up to `most` of the session's oldest events beyond its `kept` newest; gives how many."""
        return self._connection.execute(
            """DELETE FROM events WHERE session_id = ?1 AND number IN (
                   SELECT number FROM events WHERE session_id = ?1
                       AND number <= (SELECT max(number) FROM events WHERE session_id = ?1) - ?2
                   ORDER BY number LIMIT ?3)""",
            (session_id, kept, most),
        ).rowcount

    def _known_session(self, session_id: str) -> SessionRecord:
        session = self.session(session_id)
        if session is None:
            raise LookupError(f"no session {session_id}")
        return session

    def _known_device(self, device_id: str) -> DeviceRecord:
        device = self.device(device_id)
        if device is None:
            raise LookupError(f"no device {device_id}")
        return device

    def _known_task(self, task_id: str) -> TaskRecord:
        task = self.task(task_id)
        if task is None:
            raise LookupError(f"no task {task_id}")
        return task
