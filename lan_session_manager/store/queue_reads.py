"""What waits and runs of everybody, for the owner: ids, states and limits, and nothing that a task says or holds."""

from collections.abc import Sequence

from lan_session_manager.store.connected import Connected
from lan_session_manager.store.records import TaskRecord
from lan_session_manager.store.rows import TASK, task_of_row

# What is private is never read: nobody can show it by mistake.
_FACTS = (
    TASK.replace("description, command,", "'' AS description, '' AS command,")
    .replace("metadata,", "'{}' AS metadata,")
    .replace("outputs,", "'[]' AS outputs,")
)


class QueueReads(Connected):
    """Reads of everybody's queue."""

    def live_counts(self) -> tuple[int, int]:
        """How many tasks run, and how many wait."""
        row = self._one(
            """SELECT count(*) FILTER (WHERE state = 'running') AS running,
                      count(*) FILTER (WHERE state = 'queued') AS queued
               FROM tasks WHERE state IN ('queued', 'running')"""
        )
        return (row["running"], row["queued"]) if row else (0, 0)

    def live_seqs(self, most: int) -> list[int]:
        """The `seq` of `most` running and waiting tasks: those that run first, of both the one accepted first."""
        rows = self._all(
            """SELECT seq FROM tasks WHERE state IN ('queued', 'running')
               ORDER BY state = 'running' DESC, seq LIMIT ?""",
            most,
        )
        return [row["seq"] for row in rows]

    def task_facts(self, seqs: Sequence[int]) -> list[TaskRecord]:
        """These tasks as far as they wait or run, without description, command, metadata and outputs."""
        marks = ", ".join("?" * len(seqs))
        rows = self._all(f"{_FACTS} WHERE seq IN ({marks}) AND state IN ('queued', 'running')", *seqs)
        return [task_of_row(row) for row in rows]
