"""The changes that follow from what a task waits for, by name: written with the task, and with each end of one."""

from collections import deque

from lan_session_manager.states import Reason, TaskState, check_task_move
from lan_session_manager.store.event_writes import EventWrites
from lan_session_manager.store.records import EventKind, TaskRecord

_FAILED = "It waited for {task_id}, which {end}."
_ENDS = {TaskState.FAILED: "has failed", TaskState.CANCELLED: "was cancelled"}


class DependencyWrites(EventWrites):
    """Changes of what waits for a task."""

    def add_dependencies(self, task: TaskRecord, depends_on: tuple[str, ...], now: float) -> None:
        """Have a task that was accepted just now wait for others of its session, which are there.

        One that has completed is waited for no more. After one that has ended otherwise it is cancelled at once: it
        makes no difference whether that was a moment before or after.
        """
        self._connection.executemany(
            "INSERT OR IGNORE INTO dependencies VALUES (?, ?)", [(task.id, other) for other in depends_on]
        )
        self._connection.execute(
            """UPDATE tasks SET open_dependencies = (
                   SELECT count(*) FROM dependencies JOIN tasks AS other ON other.id = depends_on
                   WHERE task_id = ?1 AND other.state <> 'completed') WHERE id = ?1""",
            (task.id,),
        )
        failed = self._one(
            """SELECT id, state FROM dependencies JOIN tasks ON id = depends_on
               WHERE task_id = ? AND state IN ('failed', 'cancelled') ORDER BY seq LIMIT 1""",
            task.id,
        )
        if failed:
            self._give_up(task.id, failed["id"], TaskState(failed["state"]), now)
            self.tell_dependents(task.id, TaskState.CANCELLED, now)

    def tell_dependents(self, task_id: str, end: TaskState, now: float) -> None:
        """Carry on what the end of a task means for those that wait for it, and for those that wait for these."""
        if end is TaskState.COMPLETED:
            self._connection.execute(
                """UPDATE tasks SET open_dependencies = open_dependencies - 1
                   WHERE open_dependencies > 0 AND id IN (SELECT task_id FROM dependencies WHERE depends_on = ?)""",
                (task_id,),
            )
            return
        ended = deque([(task_id, end)])
        while ended:
            other, its_end = ended.popleft()
            waiting = self._all(
                """SELECT id FROM dependencies JOIN tasks ON id = task_id
                   WHERE depends_on = ? AND state = 'queued' ORDER BY seq""",
                other,
            )
            for row in waiting:
                self._give_up(row["id"], other, its_end, now)
                ended.append((row["id"], TaskState.CANCELLED))

    def _give_up(self, task_id: str, failed: str, end: TaskState, now: float) -> None:
        task = self._known_task(task_id)
        check_task_move(task_id, task.state, TaskState.CANCELLED)
        detail = _FAILED.format(task_id=failed, end=_ENDS[end])
        self._connection.execute(
            "UPDATE tasks SET state = 'cancelled', ended_at = ?, reason = ?, detail = ? WHERE id = ?",
            (now, Reason.DEPENDENCY_FAILED, detail, task_id),
        )
        self.add_event(now, EventKind.TASK_COMPLETED, task.session_id, task_id, status=TaskState.CANCELLED)
