"""The questions that are asked of what tasks wait for, by name."""

import json
from collections.abc import Sequence

from lan_session_manager.store.connected import Connected

_THESE = "IN (SELECT value FROM json_each(?))"  # a list of any length is one parameter: a queue may be a million long


class DependencyReads(Connected):
    """Reads of dependencies."""

    def dependencies_of(self, task_ids: Sequence[str]) -> dict[str, list[str]]:
        """What each of these tasks depends on, if on anything."""
        return self._by_task(f"SELECT task_id, depends_on FROM dependencies WHERE task_id {_THESE}", task_ids)

    def unmet_dependencies(self, task_ids: Sequence[str]) -> dict[str, list[str]]:
        """Of what these tasks wait for what has not completed."""
        return self._by_task(
            f"""SELECT task_id, depends_on FROM dependencies CROSS JOIN tasks ON tasks.id = depends_on
                WHERE task_id {_THESE} AND state <> 'completed' ORDER BY tasks.seq""",
            task_ids,
        )

    def not_of(self, session_id: str, task_ids: Sequence[str]) -> str | None:
        """The first of these that is no task of the session; another's and one that is missing are the same."""
        row = self._one(
            """SELECT value FROM json_each(?)
               WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE id = value AND session_id = ?) ORDER BY key LIMIT 1""",
            json.dumps(task_ids),
            session_id,
        )
        return row["value"] if row else None

    def _by_task(self, sql: str, task_ids: Sequence[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in self._all(sql, json.dumps(task_ids)) if task_ids else ():
            found.setdefault(row["task_id"], []).append(row["depends_on"])
        return found
