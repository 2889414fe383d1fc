"""The questions that are asked of the leases of workers outside, by name."""

from lan_session_manager.store.connected import Connected
from lan_session_manager.store.records import TaskRecord, WorkerLeaseRecord

_LEASE = "SELECT task_id, token_hash, expires_at, is_used, stop_by FROM worker_leases"


class WorkerLeaseReads(Connected):
    """Reads of leases of workers."""

    def worker_lease(self, task_id: str) -> WorkerLeaseRecord | None:
        """The lease of a task that a worker has claimed, or had when it ended."""
        row = self._one(f"{_LEASE} WHERE task_id = ?", task_id)
        return WorkerLeaseRecord(**{**dict(row), "is_used": bool(row["is_used"])}) if row else None

    def is_claimed(self, task: TaskRecord) -> bool:
        """Whether a worker has the task now, if it runs."""
        return task.worker is not None and self.worker_lease(task.id) is not None

    def worker_leases_until(self, moment: float) -> list[WorkerLeaseRecord]:
        """The leases of running tasks that have run out by that moment, or whose worker was to stop by then."""
        rows = self._all(
            f"""{_LEASE} WHERE (expires_at <= ?1 OR stop_by <= ?1)
                AND task_id IN (SELECT id FROM tasks WHERE state = 'running') ORDER BY expires_at""",
            moment,
        )
        return [WorkerLeaseRecord(**{**dict(row), "is_used": bool(row["is_used"])}) for row in rows]

    def stopping_claimed(self) -> list[str]:
        """The ids of the claimed tasks that somebody wants to end and for which no last moment is noted yet."""
        rows = self._all(
            """SELECT task_id FROM worker_leases JOIN tasks ON tasks.id = task_id
               WHERE state = 'running' AND stop_reason IS NOT NULL AND stop_by IS NULL"""
        )
        return [row["task_id"] for row in rows]
