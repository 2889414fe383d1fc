"""The changes that are made to sessions, by name."""

import json
import uuid
from dataclasses import asdict

from lan_session_manager.states import SessionState, check_session_move
from lan_session_manager.store.event_writes import EventWrites
from lan_session_manager.store.records import EventKind, LimitsRecord, SessionRecord

_SESSION_EVENT = {
    SessionState.LIVE: EventKind.SESSION_RESUMED,
    SessionState.EXPIRED: EventKind.SESSION_EXPIRED,
    SessionState.ENDED: EventKind.SESSION_ENDED,
}


class SessionWrites(EventWrites):
    """Changes of sessions."""

    def add_session(self, name: str, address: str, now: float) -> SessionRecord:
        """Write a new live session with the next free range of user ids."""
        session_id = uuid.uuid4().hex
        self._connection.execute(
            """INSERT INTO sessions (id, name, address, user_slot, state, created_at, last_activity)
               VALUES (?, ?, ?, ?, 'live', ?, ?)""",
            (session_id, name, address, self.next_user_slot(), now, now),
        )
        self.add_event(now, EventKind.SESSION_STARTED, session_id, None)
        return self._known_session(session_id)

    def touch_session(self, session_id: str, now: float, address: str | None = None) -> SessionRecord:
        """Note that the session's device was here, at that address."""
        self._connection.execute(
            "UPDATE sessions SET last_activity = max(last_activity, ?), address = coalesce(?, address) WHERE id = ?",
            (now, address, session_id),
        )
        return self._known_session(session_id)

    def move_session(self, session_id: str, wanted: SessionState, now: float) -> SessionRecord:
        """Move a session to another state, with its event. Raises IllegalMoveError."""
        session = self._known_session(session_id)
        check_session_move(session_id, session.state, wanted)
        # Who comes back takes the session out of the trash; of one that is over it stays noted.
        keeps = "" if wanted is SessionState.ENDED else ", trashed_at = NULL"
        self._connection.execute(f"UPDATE sessions SET state = ?{keeps} WHERE id = ?", (wanted, session_id))
        self.add_event(now, _SESSION_EVENT[wanted], session_id, None)
        return self._known_session(session_id)

    def trash_session(self, session_id: str, now: float) -> None:
        """Note that a session is in the trash, with its event."""
        self._connection.execute("UPDATE sessions SET trashed_at = ? WHERE id = ?", (now, session_id))
        self.add_event(now, EventKind.SESSION_TRASHED, session_id, None)

    def restore_session(self, session_id: str, now: float) -> None:
        """Note that a session is out of the trash, and is kept as if somebody had been there now, with its event."""
        self._connection.execute(
            "UPDATE sessions SET trashed_at = NULL, last_activity = ? WHERE id = ?", (now, session_id)
        )
        self.add_event(now, EventKind.SESSION_RESTORED, session_id, None)

    def pause_session(self, session_id: str, now: float) -> None:
        """Note that nothing of a session is to be started, with its event; of one that is paused already nothing."""
        self._set_paused(session_id, now, EventKind.SESSION_PAUSED, now)

    def unpause_session(self, session_id: str, now: float) -> None:
        """Note that a session goes on, with its event; of one that is not paused nothing."""
        self._set_paused(session_id, now, EventKind.SESSION_UNPAUSED, None)

    def _set_paused(self, session_id: str, now: float, kind: EventKind, paused_at: float | None) -> None:
        changed = self._connection.execute(
            "UPDATE sessions SET paused_at = ?1 WHERE id = ?2 AND (paused_at IS NULL) = (?1 IS NOT NULL)",
            (paused_at, session_id),
        ).rowcount
        if changed:
            self.add_event(now, kind, session_id, None)

    def close_session(self, session_id: str) -> None:
        """Have nobody open a session any more: its devices and addresses are forgotten, and come back as strangers.

        A device that is a guest elsewhere has its home there from now on.
        """
        self._connection.execute(
            "UPDATE devices SET home_session_id = session_id WHERE home_session_id = ?1 AND session_id <> ?1",
            (session_id,),
        )
        for table in ("bindings", "former_bindings", "devices"):
            self._connection.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))

    def remove_what_was_of(self, session_id: str) -> None:
        """Remove the rows of a session that is over but its own, so that its name is never given again."""
        for table in ("session_limits", "shares", "events"):
            self._connection.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))
        self._connection.execute("UPDATE sessions SET trashed_at = NULL WHERE id = ?", (session_id,))

    def follow_clock(self, by: float, now: float) -> None:
        """Follow a clock that was set by so many seconds: what used the sessions is as long ago as it was."""
        # Set forward, nothing is later than now. Set back, only what would be is surely from before it was set.
        sets, which = (
            ("min(?1 + last_activity, ?2)", "?1 > 0") if by > 0 else ("?1 + last_activity", "last_activity > ?2")
        )
        self._connection.execute(
            f"UPDATE sessions SET last_activity = {sets} WHERE state = 'live' AND {which}", (by, now)
        )
        # What is kept for days goes for good: set back, it only stays longer.
        self._connection.execute(
            """UPDATE sessions SET last_activity = min(?1 + last_activity, ?2), trashed_at = min(?1 + trashed_at, ?2)
               WHERE state = 'expired' AND ?1 > 0""",
            (by, now),
        )

    def remove_unused_session(self, session_id: str) -> bool:
        """Remove an expired session that was only looked at, with its devices; gives whether it was one.

        It had no task, the owner gave it nothing, and nobody else depends on it: no guest, no device that is a guest
        elsewhere, no address that is shared. Whether it has files the caller knows.
        """
        row = self._one(
            """SELECT 1 FROM sessions WHERE id = ?1 AND state = 'expired' AND next_number = 1 AND total_tasks = 0
                   AND paused_at IS NULL AND NOT EXISTS (SELECT 1 FROM tasks WHERE session_id = ?1)
                   AND NOT EXISTS (SELECT 1 FROM session_limits WHERE session_id = ?1)
                   AND NOT EXISTS (SELECT 1 FROM devices WHERE session_id = ?1 AND home_session_id <> ?1)
                   AND NOT EXISTS (SELECT 1 FROM devices WHERE session_id <> ?1 AND home_session_id = ?1)
                   AND NOT EXISTS (SELECT 1 FROM bindings WHERE session_id = ?1 AND is_shared = 1)""",
            session_id,
        )
        if row is None:
            return False
        for table in ("bindings", "former_bindings", "devices"):
            self._connection.execute(f"DELETE FROM {table} WHERE session_id = ?", (session_id,))
        self._connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
        return True

    def set_limits(self, session_id: str, limits: LimitsRecord) -> None:
        """Give a session limits of its own, in place of those that it was given before."""
        given = {"session_id": session_id, **asdict(limits)}
        if limits.networks is not None:
            given["networks"] = json.dumps(limits.networks)
        names, marks = ", ".join(given), ", ".join("?" * len(given))
        self._connection.execute(
            f"INSERT OR REPLACE INTO session_limits ({names}) VALUES ({marks})", tuple(given.values())
        )
