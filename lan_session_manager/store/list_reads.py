"""A session's tasks page by page, however many they are."""

import time
from collections.abc import Sequence

from lan_session_manager.store.connected import Connected
from lan_session_manager.store.records import TaskRecord
from lan_session_manager.store.rows import TASK, task_of_row

SEARCH_S = 0.1  # for so long a text is searched for at once
_PIECE = 100  # tasks between two looks at the clock: with the longest commands some 0.1 s


class ListReads(Connected):
    """Reads of a session's list of tasks."""

    def tasks_page(
        self, session_id: str, before: int, most: int, *, states: Sequence[str] = (), text: str = ""
    ) -> tuple[list[TaskRecord], int | None]:
        """`most` tasks of the session with a `seq` below `before`, newest first, and from where to go on.

        With `states` of these alone; with `text` of those alone that have it in their id, description or command, which
        are looked for as long as `SEARCH_S` says: there may be more even where none was found.
        """
        if not text:
            seqs = self._seqs(session_id, before, most, states)
            return self._tasks(seqs), seqs[-1] if len(seqs) == most else None
        until = time.monotonic() + SEARCH_S
        found: list[int] = []
        while seqs := self._seqs(session_id, before, _PIECE, states):
            hits = self._with(text, seqs)
            if len(found) + len(hits) >= most:
                found += hits[: most - len(found)]
                return self._tasks(found), found[-1]
            found += hits
            before = seqs[-1]
            if len(seqs) < _PIECE:
                break
            if time.monotonic() >= until:
                return self._tasks(found), before
        return self._tasks(found), None

    def _seqs(self, session_id: str, before: int, most: int, states: Sequence[str]) -> list[int]:
        where = f"AND state IN ({_marks(states)}) " if states else ""
        sql = f"SELECT seq FROM tasks WHERE session_id = ? AND seq < ? {where}ORDER BY seq DESC LIMIT ?"
        return [row["seq"] for row in self._all(sql, session_id, before, *states, most)]

    def _with(self, text: str, seqs: Sequence[int]) -> list[int]:
        # LIKE is forty times slower where a command is made for that.
        rows = self._all(
            f"""SELECT seq FROM tasks WHERE seq IN ({_marks(seqs)}) AND (instr(lower(id), lower(?))
                    OR instr(lower(description), lower(?)) OR instr(lower(command), lower(?)))
                ORDER BY seq DESC""",
            *seqs,
            text,
            text,
            text,
        )
        return [row["seq"] for row in rows]

    def _tasks(self, seqs: Sequence[int]) -> list[TaskRecord]:
        return [task_of_row(row) for row in self._all(f"{TASK} WHERE seq IN ({_marks(seqs)}) ORDER BY seq DESC", *seqs)]


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
