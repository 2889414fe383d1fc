"""The changes that are made to the audit log and the log of connections, by name."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from lan_session_manager.states import Verdict
from lan_session_manager.store.event_writes import EventWrites
from lan_session_manager.store.records import NewAudit, NewConnection

LISTED = 1000  # connections of one task that have a row each
_KEPT = 200_000  # rows of all tasks: about 40 MB
_KEPT_OF_SESSION = 20_000
_KEPT_AUDIT = 100_000  # rows of the audit log of each verdict, some 20 MB; its trigger knows the same number


class LogWrites(EventWrites):
    """Changes of the audit log and the log of connections."""

    def note_connections(self, noted: Sequence[NewConnection]) -> None:
        """Write down what connections were tried; of one task `LISTED` at most, and then how many more there were."""
        listed: dict[str, int] = {}
        for one in noted:
            if one.task_id not in listed:
                row = self._one("SELECT count(*) AS n FROM connections WHERE task_id = ?", one.task_id)
                listed[one.task_id] = int(row["n"]) if row else 0
            if one.verdict is not Verdict.MORE:
                changed = self._connection.execute(
                    """UPDATE connections SET verdict = ?, bytes_sent = ?, bytes_received = ?, ended_at = ?
                       WHERE key = ?""",
                    (one.verdict, one.bytes_sent, one.bytes_received, one.ended_at, one.key),
                )
                if changed.rowcount:
                    continue
                if listed[one.task_id] < LISTED:
                    listed[one.task_id] += 1
                    self._add_connection(one)
                    continue
                if one.ended_at is None:
                    continue  # it is counted when it ends
                one = replace(one, host="", port=0, address="", verdict=Verdict.MORE, more=1)
            self._add_connection(replace(one, key=f"more {one.task_id}"))
        for session_id in {self._session_of(task_id) for task_id in listed}:
            # Else one session could push out what the others did, or what it did itself, with rows of no interest.
            self._connection.execute(
                """DELETE FROM connections WHERE session_id IS ?1 AND id <= (
                       SELECT id FROM connections WHERE session_id IS ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)""",
                (session_id, _KEPT_OF_SESSION),
            )
        self._connection.execute("DELETE FROM connections WHERE id <= (SELECT max(id) FROM connections) - ?", (_KEPT,))

    def _add_connection(self, one: NewConnection) -> None:
        values = {**asdict(one), "session_id": self._session_of(one.task_id)}
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self._connection.execute(
            f"""INSERT INTO connections ({names}, number) VALUES (
                    {marks}, (SELECT coalesce(max(number), 0) + 1 FROM connections WHERE task_id = ?)
                ) ON CONFLICT (key) DO UPDATE SET
                more = more + excluded.more, bytes_sent = bytes_sent + excluded.bytes_sent,
                bytes_received = bytes_received + excluded.bytes_received, ended_at = excluded.ended_at""",
            (*values.values(), one.task_id),
        )

    def note_audit(self, noted: Sequence[NewAudit]) -> None:
        """Add rows to the audit log; of each verdict the oldest go when there are too many."""
        for one in noted:
            values = asdict(one)
            names, marks = ", ".join(values), ", ".join("?" * len(values))
            self._connection.execute(
                f"""INSERT INTO audit ({names}, number)
                    VALUES ({marks}, (SELECT coalesce(max(number), 0) + 1 FROM audit WHERE verdict = ?))""",
                (*values.values(), one.verdict),
            )
        for verdict in {one.verdict for one in noted}:
            self._connection.execute(
                """DELETE FROM audit WHERE verdict = ?1 AND number <= (
                       SELECT max(number) FROM audit WHERE verdict = ?1) - ?2""",
                (verdict, _KEPT_AUDIT),
            )

    def _session_of(self, task_id: str) -> str | None:
        row = self._one("SELECT session_id FROM tasks WHERE id = ?", task_id)
        return row["session_id"] if row else None

    def end_connections(self, now: float) -> None:
        """Note that no connection goes on, as the server that made them has ended."""
        self._connection.execute("UPDATE connections SET ended_at = ? WHERE ended_at IS NULL", (now,))
