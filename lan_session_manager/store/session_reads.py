"""The questions that are asked of sessions, by name."""

import json

from lan_session_manager.store.connected import Connected
from lan_session_manager.store.records import LimitsRecord, SessionRecord
from lan_session_manager.store.rows import SESSION, session_of_row


class SessionReads(Connected):
    """Reads of sessions."""

    def session(self, session_id: str) -> SessionRecord | None:
        """The session of that id."""
        row = self._one(f"{SESSION} WHERE id = ?", session_id)
        return session_of_row(row) if row else None

    def session_of_address(self, address: str) -> SessionRecord | None:
        """The session that the address names now: live or expired, never one that is over."""
        row = self._one(
            f"""{SESSION} WHERE state <> 'ended'
                AND id = (SELECT session_id FROM bindings WHERE bindings.address = ?)""",
            address,
        )
        return session_of_row(row) if row else None

    def session_named(self, name: str) -> SessionRecord | None:
        """The session whose workspace has that name; not one that is over."""
        row = self._one(f"{SESSION} WHERE name = ? AND state <> 'ended'", name)
        return session_of_row(row) if row else None

    def last_session_at(self, address: str) -> SessionRecord | None:
        """Of the sessions that were seen last at that address the one that was there last; not one that is over."""
        row = self._one(
            f"{SESSION} WHERE address = ? AND state <> 'ended' ORDER BY last_activity DESC LIMIT 1", address
        )
        return session_of_row(row) if row else None

    def limits_of(self, session_id: str) -> LimitsRecord:
        """What the owner has given the session."""
        row = self._one(
            """SELECT memory_mb, pids, cores, quota_mb, files, max_concurrent_tasks, queue_bound, networks,
                      time_s, open_files, log_mb, logs_mb, weight
               FROM session_limits WHERE session_id = ?""",
            session_id,
        )
        if row is None:
            return LimitsRecord()
        networks = row["networks"]
        return LimitsRecord(**{**dict(row), "networks": None if networks is None else tuple(json.loads(networks))})

    def concurrency_of_sessions(self) -> dict[str, int]:
        """How many tasks of a session run at once, for those sessions for which the owner has said it."""
        rows = self._all(
            "SELECT session_id, max_concurrent_tasks AS n FROM session_limits WHERE max_concurrent_tasks IS NOT NULL"
        )
        return {row["session_id"]: row["n"] for row in rows}

    def weights_of_sessions(self) -> dict[str, float]:
        """The weights of the fair shares of those sessions for which the owner has said it."""
        rows = self._all("SELECT session_id, weight FROM session_limits WHERE weight IS NOT NULL")
        return {row["session_id"]: row["weight"] for row in rows}

    def paused_sessions(self) -> frozenset[str]:
        """The ids of the sessions that the owner has paused."""
        return frozenset(row["id"] for row in self._all("SELECT id FROM sessions WHERE paused_at IS NOT NULL"))

    def names_like(self, name: str) -> set[str]:
        """The workspace names that are `name` or `name-2`, `name-3`, …, of all sessions that ever were."""
        rows = self._all(
            "SELECT name FROM sessions WHERE name = ? OR substr(name, 1, ?) = ?", name, len(name) + 1, f"{name}-"
        )
        return {row["name"] for row in rows}

    def next_user_slot(self) -> int:
        """The lowest user slot that no session has; one that had files keeps its slot for good."""
        row = self._one(
            """SELECT min(slot) AS slot FROM (
                   SELECT 0 AS slot UNION ALL SELECT user_slot + 1 FROM sessions
               ) WHERE slot NOT IN (SELECT user_slot FROM sessions)"""
        )
        return int(row["slot"]) if row else 0

    def session_count(self) -> int:
        """How many sessions there are, in whatever state."""
        row = self._one("SELECT count(*) AS n FROM sessions")
        return int(row["n"]) if row else 0

    def unused_sessions(self, most: int) -> list[SessionRecord]:
        """Expired sessions that never had a task, `most` at once, those that were not there for longest first."""
        rows = self._all(
            f"""{SESSION} WHERE state = 'expired' AND next_number = 1 AND total_tasks = 0
                ORDER BY last_activity LIMIT ?""",
            most,
        )
        return [session_of_row(row) for row in rows]

    def live_sessions(self) -> list[SessionRecord]:
        """All live sessions, by address; of one address the oldest first."""
        return [session_of_row(row) for row in self._all(f"{SESSION} WHERE state = 'live' ORDER BY address, user_slot")]

    def known_sessions(self, most: int) -> list[SessionRecord]:
        """Live and expired sessions: the live ones first, of each the one that was seen last first."""
        rows = self._all(
            f"{SESSION} WHERE state <> 'ended' ORDER BY state = 'live' DESC, last_activity DESC, id LIMIT ?", most
        )
        return [session_of_row(row) for row in rows]

    def known_session_count(self) -> int:
        """How many sessions are live or expired."""
        row = self._one("SELECT count(*) AS n FROM sessions WHERE state <> 'ended'")
        return int(row["n"]) if row else 0

    def oldest_activity(self) -> list[tuple[str, float]]:
        """(session id, noted activity) of the live sessions without a queued or running task."""
        rows = self._all(
            """SELECT id, last_activity FROM sessions WHERE state = 'live' AND NOT EXISTS (
                   SELECT 1 FROM tasks WHERE session_id = sessions.id AND state IN ('queued', 'running'))"""
        )
        return [(row["id"], row["last_activity"]) for row in rows]

    def expired_before(self, moment: float) -> list[SessionRecord]:
        """Expired sessions that nobody was in since that moment, and those in the trash; longest ago first."""
        rows = self._all(
            f"""{SESSION} WHERE state = 'expired' AND (last_activity < ? OR trashed_at IS NOT NULL)
                ORDER BY last_activity""",
            moment,
        )
        return [session_of_row(row) for row in rows]

    def ended_with_rows(self) -> list[SessionRecord]:
        """Sessions that came from the trash to their end, and of which not everything has been removed yet."""
        rows = self._all(f"{SESSION} WHERE state = 'ended' AND trashed_at IS NOT NULL")
        return [session_of_row(row) for row in rows]

    def idle_sessions(self, before: float) -> list[SessionRecord]:
        """Live sessions without activity since `before` and without a queued or running task."""
        rows = self._all(
            f"""{SESSION} WHERE state = 'live' AND last_activity <= ? AND NOT EXISTS (
                SELECT 1 FROM tasks WHERE session_id = sessions.id AND state IN ('queued', 'running'))""",
            before,
        )
        return [session_of_row(row) for row in rows]

    def live_session_count(self) -> int:
        """How many sessions are live."""
        row = self._one("SELECT count(*) AS n FROM sessions WHERE state = 'live'")
        return int(row["n"]) if row else 0

    def active_sessions(self, since: float) -> frozenset[str]:
        """The ids of the live sessions with activity since that moment."""
        rows = self._all("SELECT id FROM sessions WHERE state = 'live' AND last_activity >= ?", since)
        return frozenset(row["id"] for row in rows)
