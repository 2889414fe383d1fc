"""The changes that are made to tasks, by name."""

import json
from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from lan_session_manager.states import Reason, TaskState, check_task_move
from lan_session_manager.store.dependency_writes import DependencyWrites
from lan_session_manager.store.records import EventKind, LeaseRecord, NewTask, SourceType, TaskRecord

_TASK_EVENT = {
    TaskState.QUEUED: EventKind.TASK_REQUEUED,
    TaskState.RUNNING: EventKind.TASK_STARTED,
    TaskState.COMPLETED: EventKind.TASK_COMPLETED,
    TaskState.FAILED: EventKind.TASK_COMPLETED,
    TaskState.CANCELLED: EventKind.TASK_COMPLETED,
}
_TASK_CHANGES = frozenset(
    {
        "started_at", "ended_at", "exit_code", "reason", "detail", "child_out_of_memory", "isolation", "cpu_s",
        "memory_peak_mb", "outputs", "outputs_total", "kept_bytes", "attempt",
    }
)  # fmt: skip


class TaskWrites(DependencyWrites):
    """Changes of tasks."""

    def add_numbered_task(self, session_id: str, new: NewTask, now: float) -> TaskRecord:
        """Accept a task under the session's next number, queued."""
        session = self._known_session(session_id)
        number = session.next_number
        while self.task(task_id := f"{session.namespace}_task_{number:03d}"):
            number += 1  # an orchestrator has reported a task under this id
        self._connection.execute("UPDATE sessions SET next_number = ? WHERE id = ?", (number + 1, session_id))
        return self._add_task(task_id, session_id, number, new, now)

    def add_reported_task(
        self, task_id: str, session_id: str | None, new: NewTask, now: float, *, number: int = 0
    ) -> TaskRecord:
        """Note a task that an orchestrator reports under its own id, running; the next number is above `number`."""
        self._add_task(task_id, session_id, None, new, now)
        self._connection.execute(
            "UPDATE sessions SET next_number = max(next_number, ?) WHERE id = ?", (number + 1, session_id)
        )
        return self.move_task(task_id, TaskState.RUNNING, now, started_at=now)

    def _add_task(
        self, task_id: str, session_id: str | None, number: int | None, new: NewTask, now: float
    ) -> TaskRecord:
        self._connection.execute(
            """INSERT INTO tasks (id, session_id, number, state, runner, source_type, description, command, memory_mb,
                                  time_s, created_at, idempotency_key, network, cores, pids, open_files, log_mb,
                                  disk_mb, files, priority, start_after, retries, parallel_safe, metadata)
               VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (task_id, session_id, number, new.runner, new.source_type, new.description, new.command, new.memory_mb,
             new.time_s, now, new.idempotency_key, new.network, new.cores, new.pids, new.open_files, new.log_mb,
             new.disk_mb, new.files, new.priority, new.start_after, new.retries, new.parallel_safe,
             json.dumps(dict(new.metadata))),
        )  # fmt: skip
        self._connection.execute("UPDATE sessions SET total_tasks = total_tasks + 1 WHERE id = ?", (session_id,))
        self.add_event(now, EventKind.TASK_SUBMITTED, session_id, task_id, status=TaskState.QUEUED)
        if new.depends_on:
            self.add_dependencies(self._known_task(task_id), new.depends_on, now)
        return self._known_task(task_id)

    def move_task(self, task_id: str, wanted: TaskState, now: float, **changes: Any) -> TaskRecord:
        """Move a task to another state, with its event and the fields in `changes`. Raises IllegalMoveError."""
        if unknown := changes.keys() - _TASK_CHANGES:
            raise TypeError(f"no fields of a move: {sorted(unknown)}")
        task = self._known_task(task_id)
        check_task_move(task_id, task.state, wanted)
        if "outputs" in changes:
            changes["outputs"] = json.dumps([astuple(output) for output in changes["outputs"]])
        if changes.get("ended_at") is not None and task.started_at is not None:
            changes["ended_at"] = max(changes["ended_at"], task.started_at)  # somebody may have set the clock back
        sets = "".join(f", {field} = ?" for field in changes)
        self._connection.execute(
            f"UPDATE tasks SET state = ?{sets} WHERE id = ?",
            (wanted, *changes.values(), task_id),
        )
        self.add_event(now, _TASK_EVENT[wanted], task.session_id, task_id, status=wanted)
        if wanted.ended or wanted is TaskState.QUEUED:
            self._connection.execute("DELETE FROM leases WHERE task_id = ?", (task_id,))
        if wanted is TaskState.QUEUED:
            self._connection.execute("DELETE FROM worker_leases WHERE task_id = ?", (task_id,))
        if wanted.ended:
            self.tell_dependents(task_id, wanted, now)
            # Its session was at work until now, however long nobody looked.
            self._connection.execute(
                "UPDATE sessions SET last_activity = max(last_activity, ?) WHERE id = ?", (now, task.session_id)
            )
        return self._known_task(task_id)

    def change_task(self, task_id: str, now: float, *, priority: int | None, start_after: float | None) -> TaskRecord:
        """Give a waiting task another place in its queue, with its event; None: as it is, 0 for `start_after`: now."""
        self._connection.execute(
            """UPDATE tasks SET priority = coalesce(?1, priority),
                   start_after = CASE WHEN ?2 IS NULL THEN start_after ELSE nullif(?2, 0) END WHERE id = ?3""",
            (priority, start_after, task_id),
        )
        task = self._known_task(task_id)
        self.add_event(now, EventKind.TASK_CHANGED, task.session_id, task_id, status=task.state)
        return task

    def keep_share(self, session_id: str, used_s: float, now: float) -> None:
        """Note what a session has used, decayed to this moment."""
        self._connection.execute("INSERT OR REPLACE INTO shares VALUES (?, ?, ?)", (session_id, used_s, now))

    def forget_shares(self, before: float) -> None:
        """Forget the shares of the sessions to which nothing was added since then."""
        self._connection.execute("DELETE FROM shares WHERE at < ?", (before,))

    def stop_task(self, task_id: str, reason: Reason, now: float) -> TaskRecord:
        """Note that somebody wants a running task to end, with its event; the first reason stays."""
        task = self._known_task(task_id)
        if task.stop_reason is None:
            self._connection.execute("UPDATE tasks SET stop_reason = ? WHERE id = ?", (reason, task_id))
            self.add_event(now, EventKind.TASK_STOPPING, task.session_id, task_id, status=task.state)
        return self._known_task(task_id)

    def tag_task(self, task_id: str, source_type: SourceType, now: float) -> TaskRecord:
        """Say who a task is for, with its event."""
        self._connection.execute("UPDATE tasks SET source_type = ? WHERE id = ?", (source_type, task_id))
        task = self._known_task(task_id)
        self.add_event(now, EventKind.TASK_TAGGED, task.session_id, task_id, status=task.state)
        return task

    def delete_task(self, task_id: str, now: float) -> None:
        """Remove a task's row; the event stays."""
        task = self._known_task(task_id)
        self._connection.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
        self.add_event(now, EventKind.TASK_DELETED, task.session_id, task_id)

    def remove_tasks(self, task_ids: Sequence[str]) -> None:
        """Remove the rows of tasks of a session that is over, without an event: nobody is there to be told."""
        marks = ", ".join("?" * len(task_ids))
        self._connection.execute(f"DELETE FROM tasks WHERE id IN ({marks})", tuple(task_ids))

    def note_kept(self, task_id: str, kept_bytes: int) -> None:
        """Note what the log and the records of an ended task take on the disk; nothing for one that is deleted."""
        self._connection.execute("UPDATE tasks SET kept_bytes = ? WHERE id = ?", (kept_bytes, task_id))

    def keep_lease(self, lease: LeaseRecord) -> None:
        """Note where a started task is to be found."""
        self._connection.execute("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", astuple(lease))

    def keep_base(self, task_id: str, base: tuple[int, int]) -> None:
        """Note a lease's base anew."""
        self._connection.execute("UPDATE leases SET base_bytes = ?, base_files = ? WHERE task_id = ?", (*base, task_id))
