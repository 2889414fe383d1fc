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
