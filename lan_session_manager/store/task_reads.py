"""The questions that are asked of tasks, by name."""

from collections.abc import Sequence

from lan_session_manager.store.connected import Connected
from lan_session_manager.store.records import LeaseRecord, TaskRecord
from lan_session_manager.store.rows import TASK, task_of_row

_READY = "state = 'queued' AND open_dependencies = 0 AND session_id IS NOT NULL"  # as the index `tasks_ready` has it


class TaskReads(Connected):
    """Reads of tasks."""

    def task(self, task_id: str) -> TaskRecord | None:
        """The task of that id."""
        row = self._one(f"{TASK} WHERE id = ?", task_id)
        return task_of_row(row) if row else None

    def task_by_seq(self, seq: int) -> TaskRecord | None:
        """The task with that place in the order of acceptance."""
        row = self._one(f"{TASK} WHERE seq = ?", seq)
        return task_of_row(row) if row else None

    def task_of(self, session_id: str, task_id: str) -> TaskRecord | None:
        """The task of that id, if it is of that session; one that is not takes as long as one that is missing."""
        row = self._one(f"{TASK} WHERE id = ? AND session_id = ?", task_id, session_id)
        return task_of_row(row) if row else None

    def task_of_key(self, session_id: str, idempotency_key: str) -> TaskRecord | None:
        """The task that the session submitted with that key."""
        row = self._one(f"{TASK} WHERE session_id = ? AND idempotency_key = ?", session_id, idempotency_key)
        return task_of_row(row) if row else None

    def task_ids_of(self, session_id: str, most: int) -> list[str]:
        """So many ids of the session's tasks."""
        rows = self._all("SELECT id FROM tasks WHERE session_id = ? ORDER BY seq LIMIT ?", session_id, most)
        return [row["id"] for row in rows]

    def live_tasks_of(self, session_id: str) -> list[TaskRecord]:
        """The session's queued and running tasks, newest first."""
        rows = self._all(
            f"""{TASK} INDEXED BY tasks_of_session_by_state
                WHERE session_id = ? AND state IN ('queued', 'running') ORDER BY seq DESC""",
            session_id,
        )
        return [task_of_row(row) for row in rows]

    def live_count(self, session_id: str) -> int:
        """How many of the session's tasks wait or run."""
        row = self._one(
            "SELECT count(*) AS n FROM tasks WHERE session_id = ? AND state IN ('queued', 'running')", session_id
        )
        return int(row["n"]) if row else 0

    def recent_tasks_of(self, session_id: str, most: int) -> list[TaskRecord]:
        """All live tasks of the session and the last `most` ended ones, newest first."""
        rows = self._all(
            # By that index: all of a session's tasks are many, those that wait or run are few.
            f"""SELECT * FROM ({TASK} INDEXED BY tasks_of_session_by_state
                               WHERE session_id = ?1 AND state IN ('queued', 'running'))
                UNION ALL
                SELECT * FROM ({TASK} WHERE session_id = ?1 AND state NOT IN ('queued', 'running')
                               ORDER BY seq DESC LIMIT ?2)
                ORDER BY seq DESC""",
            session_id,
            most,
        )
        return [task_of_row(row) for row in rows]

    def queued_count(self, session_id: str) -> int:
        """How many of the session's tasks wait."""
        row = self._one("SELECT count(*) AS n FROM tasks WHERE session_id = ? AND state = 'queued'", session_id)
        return int(row["n"]) if row else 0

    def waiting(self, runners: Sequence[str], now: float) -> list[tuple[int, str, str, int, float, int, bool]]:
        """Each session's queued tasks that one of `runners` is to run and that may start now, oldest first.

        (seq, task id, session id, MB of memory, seconds that it may run, priority, whether others may run beside it).
        """
        marks = ", ".join("?" * len(runners))
        rows = self._all(
            f"""SELECT seq, id, session_id, memory_mb, time_s, priority, parallel_safe FROM tasks
                WHERE state = 'queued' AND session_id IS NOT NULL AND runner IN ({marks}) AND open_dependencies = 0
                    AND (start_after IS NULL OR start_after <= ?) ORDER BY seq""",
            *runners,
            now,
        )
        return [(*tuple(row)[:6], bool(row["parallel_safe"])) for row in rows]

    def heads(self, runners: Sequence[str], now: float) -> list[tuple[str, int]]:
        """(session id, seq of the first task of its queue) of each session that has such tasks as `waiting` gives."""
        marks = ", ".join("?" * len(runners))
        rows = self._all(
            # From session to session by the index, however many tasks each has.
            f"""WITH RECURSIVE queues (id) AS (
                    SELECT min(session_id) FROM tasks INDEXED BY tasks_ready WHERE {_READY}
                    UNION ALL
                    SELECT (
                        SELECT min(session_id) FROM tasks INDEXED BY tasks_ready
                        WHERE {_READY} AND session_id > queues.id
                    ) FROM queues WHERE queues.id IS NOT NULL
                ), firsts AS (
                    SELECT id, (
                        SELECT seq FROM tasks INDEXED BY tasks_ready
                        WHERE {_READY} AND session_id = queues.id AND runner IN ({marks})
                            AND (start_after IS NULL OR start_after <= ?)
                        ORDER BY priority DESC, seq LIMIT 1
                    ) AS seq FROM queues WHERE id IS NOT NULL
                ) SELECT id, seq FROM firsts WHERE seq IS NOT NULL""",
            *runners,
            now,
        )
        return [(row[0], row[1]) for row in rows]

    def queues_of(
        self, session_ids: Sequence[str], runners: Sequence[str], now: float, most: int
    ) -> list[tuple[int, str, str, int, float, int, bool]]:
        """The same as `waiting`, of each of these sessions the first `most` in the order of its own queue alone."""
        marks = ", ".join("?" * len(runners))
        sql = f"""SELECT seq, id, session_id, memory_mb, time_s, priority, parallel_safe
                  FROM tasks INDEXED BY tasks_ready
                  WHERE {_READY} AND session_id = ? AND runner IN ({marks})
                      AND (start_after IS NULL OR start_after <= ?) ORDER BY priority DESC, seq LIMIT ?"""
        rows = (row for session in session_ids for row in self._all(sql, session, *runners, now, most))
        return [(*tuple(row)[:6], bool(row["parallel_safe"])) for row in rows]

    def running_facts(self, runners: Sequence[str]) -> list[tuple[str, str, float, float, bool]]:
        """What one of `runners` runs.

        (task id, session id, when it started, seconds that it may run, whether others may run beside it).
        """
        marks = ", ".join("?" * len(runners))
        rows = self._all(
            f"""SELECT id, session_id, started_at, time_s, parallel_safe FROM tasks
                WHERE state = 'running' AND session_id IS NOT NULL AND runner IN ({marks})""",
            *runners,
        )
        return [(*tuple(row)[:4], bool(row["parallel_safe"])) for row in rows]

    def share_of(self, session_id: str) -> tuple[float, float]:
        """(processor seconds, when they were decayed to) of a session; (0, 0) for one that has used nothing."""
        row = self._one("SELECT used_s, at FROM shares WHERE session_id = ?", session_id)
        return (row["used_s"], row["at"]) if row else (0.0, 0.0)

    def shares(self) -> list[tuple[str, float, float]]:
        """(session id, processor seconds, when they were decayed to) of each session that has used something."""
        return [tuple(row) for row in self._all("SELECT session_id, used_s, at FROM shares")]

    def lately_ended(self, most: int) -> list[tuple[str, str, float]]:
        """(session id, command, seconds) of up to so many tasks that ended by themselves, the newest first.

        They are among the newest `most` that completed and the newest `most` that failed, however many there are.
        """
        rows = self._all(
            """SELECT session_id, command, ended_at - started_at AS seconds FROM tasks
               WHERE seq IN (
                   SELECT seq FROM (SELECT seq FROM tasks WHERE state = 'completed' ORDER BY seq DESC LIMIT ?1)
                   UNION ALL SELECT seq FROM (SELECT seq FROM tasks WHERE state = 'failed' ORDER BY seq DESC LIMIT ?1)
               ) AND reason = 'exit' AND started_at IS NOT NULL AND session_id IS NOT NULL
               ORDER BY seq DESC LIMIT ?1""",
            most,
        )
        return [(row["session_id"], row["command"], max(0.0, row["seconds"])) for row in rows]

    def commands_of(self, task_ids: Sequence[str]) -> dict[str, str]:
        """The commands of these tasks."""
        marks = ", ".join("?" * len(task_ids))
        rows = self._all(f"SELECT id, command FROM tasks WHERE id IN ({marks})", *task_ids)
        return {row["id"]: row["command"] for row in rows}

    def next_start_after(self, now: float) -> float | None:
        """When the next of the tasks that wait for their time may start."""
        row = self._one("SELECT min(start_after) AS at FROM tasks WHERE state = 'queued' AND start_after > ?", now)
        return row["at"] if row else None

    def running(self, runners: Sequence[str]) -> list[TaskRecord]:
        """Every running task that one of `runners` runs."""
        marks = ", ".join("?" * len(runners))
        return [
            task_of_row(row) for row in self._all(f"{TASK} WHERE state = 'running' AND runner IN ({marks})", *runners)
        ]

    def lease(self, task_id: str) -> LeaseRecord | None:
        """The lease of a started task."""
        row = self._one("SELECT * FROM leases WHERE task_id = ?", task_id)
        return LeaseRecord(**dict(row)) if row else None

    def kept_bytes_of(self, session_id: str) -> int:
        """What the logs and records of the session's ended tasks take on the disk together, as far as measured."""
        row = self._one(
            "SELECT coalesce(sum(kept_bytes), 0) AS n FROM tasks WHERE session_id = ? AND kept_bytes > 0", session_id
        )
        return int(row["n"]) if row else 0

    def oldest_kept(self, session_id: str, more_than: int, most: int) -> list[tuple[str, int]]:
        """(task id, bytes) of the session's ended tasks whose logs and records take more than that, oldest first."""
        rows = self._all(
            """SELECT id, kept_bytes FROM tasks WHERE session_id = ? AND kept_bytes > 0 AND kept_bytes > ?
               ORDER BY seq LIMIT ?""",
            session_id,
            more_than,
            most,
        )
        return [(row["id"], row["kept_bytes"]) for row in rows]

    def unmeasured(self, runners: Sequence[str], most: int) -> list[tuple[str, str]]:
        """(task id, session id) of ended tasks that one of `runners` ran and whose logs were never measured."""
        marks = ", ".join("?" * len(runners))
        rows = self._all(
            f"""SELECT id, session_id FROM tasks
                WHERE kept_bytes IS NULL AND ended_at IS NOT NULL AND session_id IS NOT NULL AND runner IN ({marks})
                ORDER BY seq LIMIT ?""",
            *runners,
            most,
        )
        return [(row["id"], row["session_id"]) for row in rows]

    def running_by_session(self) -> dict[str | None, int]:
        """How many tasks of each session run; under None those that belong to no session."""
        rows = self._all("SELECT session_id, count(*) AS n FROM tasks WHERE state = 'running' GROUP BY session_id")
        return {row["session_id"]: row["n"] for row in rows}

    def load_by_session(self) -> dict[str, tuple[int, int, int]]:
        """Of each session with live tasks: how many run, how many wait, and the MB of memory of those that run."""
        rows = self._all(
            """SELECT session_id, sum(state = 'running') AS running, sum(state = 'queued') AS queued,
                      sum(CASE WHEN state = 'running' THEN memory_mb ELSE 0 END) AS memory_mb
               FROM tasks WHERE state IN ('queued', 'running') AND session_id IS NOT NULL GROUP BY session_id"""
        )
        return {row["session_id"]: (row["running"], row["queued"], row["memory_mb"]) for row in rows}
