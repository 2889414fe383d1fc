"""The questions that are asked of what happened: events, the audit log, connections, by name."""

from lan_session_manager.store.connected import Connected
from lan_session_manager.store.records import AuditRecord, ConnectionRecord, EventKind, EventRecord
from lan_session_manager.store.rows import CONNECTION, EVENT, connection_of_row, event_of_row


class EventReads(Connected):
    """Reads of what happened: events, the audit log, connections."""

    def last_event_id(self) -> int:
        """The id of the newest event, 0 before the first."""
        row = self._one("SELECT coalesce(max(id), 0) AS id FROM events")
        return int(row["id"]) if row else 0

    def deleted_lately(self, events: int) -> list[str]:
        """The ids of the tasks that were deleted within so many last events, oldest first."""
        rows = self._all(
            "SELECT task_id FROM events WHERE id > (SELECT max(id) FROM events) - ? AND kind = ? ORDER BY id",
            events,
            EventKind.TASK_DELETED,
        )
        return [row["task_id"] for row in rows]

    def events_after(self, event_id: int, most: int) -> list[EventRecord]:
        """The events of everybody after that one, oldest first, `most` at once."""
        return [event_of_row(row) for row in self._all(f"{EVENT} WHERE id > ? ORDER BY id LIMIT ?", event_id, most)]

    def last_event_number(self, session_id: str) -> int:
        """The number of the session's newest event, 0 before the first."""
        row = self._one("SELECT coalesce(max(number), 0) AS number FROM events WHERE session_id = ?", session_id)
        return int(row["number"]) if row else 0

    def sessions_with_events(self, more_than: int) -> list[str]:
        """The ids of the sessions that have more than so many events."""
        rows = self._all(
            """SELECT id FROM sessions WHERE (SELECT max(number) FROM events WHERE session_id = sessions.id) - ? >=
                   (SELECT min(number) FROM events WHERE session_id = sessions.id)""",
            more_than,
        )
        return [row["id"] for row in rows]

    def first_event_number(self, session_id: str) -> int:
        """The number of the session's oldest event that is kept, 1 before the first."""
        row = self._one("SELECT coalesce(min(number), 1) AS number FROM events WHERE session_id = ?", session_id)
        return int(row["number"]) if row else 1

    def events_of_session(self, session_id: str, after: int, most: int) -> list[EventRecord]:
        """The session's own events with a number above `after`, oldest first, `most` at once."""
        rows = self._all(
            f"{EVENT} WHERE session_id = ? AND number > ? ORDER BY number LIMIT ?", session_id, after, most
        )
        return [event_of_row(row) for row in rows]

    def newest_events_of_session(self, session_id: str, most: int) -> list[EventRecord]:
        """The session's own newest events, newest first."""
        return [
            event_of_row(row)
            for row in self._all(f"{EVENT} WHERE session_id = ? ORDER BY number DESC LIMIT ?", session_id, most)
        ]

    def audit(
        self, before: int, most: int, *, session_id: str | None = None, verdict: str | None = None
    ) -> list[AuditRecord]:
        """The audit log below that id, newest first; of one session, or of one verdict, if it is given."""
        given = {name: value for name, value in {"session_id": session_id, "verdict": verdict}.items() if value}
        rows = self._all(
            f"""SELECT id, at, session_id, device_id, address, role, operation, object, verdict, detail FROM audit
                WHERE id < ? {"".join(f"AND {name} = ? " for name in given)} ORDER BY id DESC LIMIT ?""",
            before,
            *given.values(),
            most,
        )
        return [AuditRecord(**dict(row)) for row in rows]

    def connections_of_task(self, task_id: str, before: int, most: int) -> list[ConnectionRecord]:
        """The connections that a task tried to make with a number below `before`, newest first, `most` at once."""
        rows = self._all(
            f"{CONNECTION} WHERE task_id = ? AND number < ? ORDER BY number DESC LIMIT ?", task_id, before, most
        )
        return [connection_of_row(row) for row in rows]

    def connections(self, before: int, most: int) -> list[ConnectionRecord]:
        """The connections of everybody with an id below `before`, newest first, `most` at once."""
        return [
            connection_of_row(row)
            for row in self._all(f"{CONNECTION} WHERE id < ? ORDER BY id DESC LIMIT ?", before, most)
        ]
