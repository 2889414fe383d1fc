"""The changes that are made to the leases of workers outside, by name."""

from collections.abc import Sequence

from lan_session_manager.store.event_writes import EventWrites


class WorkerLeaseWrites(EventWrites):
    """Changes of leases of workers."""

    def add_worker_lease(self, task_id: str, token_hash: str, worker: str, expires_at: float) -> None:
        """Note that a worker has claimed a task."""
        self._connection.execute(
            "INSERT OR REPLACE INTO worker_leases (task_id, token_hash, expires_at) VALUES (?, ?, ?)",
            (task_id, token_hash, expires_at),
        )
        self._connection.execute("UPDATE tasks SET worker = ? WHERE id = ?", (worker, task_id))

    def prolong(self, task_id: str, expires_at: float) -> None:
        """Note that a worker was heard of, and until when its lease is good now."""
        self._connection.execute(
            "UPDATE worker_leases SET expires_at = max(expires_at, ?), is_used = 1 WHERE task_id = ?",
            (expires_at, task_id),
        )

    def stop_by(self, task_ids: Sequence[str], moment: float) -> None:
        """Note until when the workers of these tasks have time to end them."""
        for task_id in task_ids:
            self._connection.execute("UPDATE worker_leases SET stop_by = ? WHERE task_id = ?", (moment, task_id))

    def note_silent_claim(self, task_id: str) -> int:
        """Count a claim that nobody was heard of after; gives how many there were."""
        self._connection.execute("UPDATE tasks SET silent_claims = silent_claims + 1 WHERE id = ?", (task_id,))
        row = self._one("SELECT silent_claims FROM tasks WHERE id = ?", task_id)
        return int(row["silent_claims"]) if row else 0

    def grace_for_leases(self, until: float, moved_s: float = 0.0) -> None:
        """Let no lease run out before that moment; before that, all go with a clock that was set by so much."""
        self._connection.execute(
            """UPDATE worker_leases SET stop_by = stop_by + ?2, expires_at = max(?1, expires_at + ?2)
               WHERE task_id IN (SELECT id FROM tasks WHERE state = 'running')""",
            (until, moved_s),
        )
