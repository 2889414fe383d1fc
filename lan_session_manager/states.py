"""The states of a session and of a task, and the one table of the moves between them.

Nobody else decides whether a move is allowed: the checks below are called inside the transaction that makes the move,
and the database's CHECKs know the same names.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from lan_session_manager.errors import IllegalMoveError


class TaskState(StrEnum):
    """Where a task is in its life; the names are what clients see as `status`."""

    QUEUED = "queued"  # accepted and on disk, waits for a slot or for a swarm worker
    RUNNING = "running"  # a box or a worker has it
    COMPLETED = "completed"  # ended by itself with exit code 0
    FAILED = "failed"  # ended in any other way that nobody asked for; `reason` says which
    CANCELLED = "cancelled"  # somebody, or the end of its session, stopped it

    @property
    def ended(self) -> bool:
        """Whether the task has its one end."""
        return self in ENDED_TASK_STATES


class SessionState(StrEnum):
    """Where a session is in its life."""

    LIVE = "live"  # its device may come at any moment
    EXPIRED = "expired"  # idle for too long: its name is kept, its files too, nothing of it is in memory
    ENDED = "ended"  # over for good; a device at this address starts a new one


class Reason(StrEnum):
    """Why a task ended: a closed list. The words for people are made from it where they are shown."""

    EXIT = "exit"  # the program ended with `exit_code`
    SIGNAL = "signal"  # a signal that the program or its children sent ended it
    OUT_OF_MEMORY = "out_of_memory"  # the kernel stopped it at its memory limit
    TIME_LIMIT = "time_limit"  # it ran longer than it may
    DISK_QUOTA = "disk_quota"  # its session's files take all the space they may
    OUTPUT_LIMIT = "output_limit"  # it printed more than a log may hold
    SESSION_ENDED = "session_ended"  # its session ended under it
    CANCELLED_BY_USER = "cancelled_by_user"
    CANCELLED_BY_ADMIN = "cancelled_by_admin"
    LOST = "lost"  # the host restarted, or the monitor or the machine died
    START_FAILED = "start_failed"  # the box could not be made
    DEPENDENCY_FAILED = "dependency_failed"  # a task that it waited for did not complete


class Verdict(StrEnum):
    """What became of a connection that a task tried to make through its network profile: a closed list."""

    ALLOWED = "allowed"  # it was made
    NOT_LISTED = "not_listed"  # the profile does not have this host with this port
    BLOCKED_ADDRESS = "blocked_address"  # this machine, its networks, or another address that no task reaches
    NO_ADDRESS = "no_address"  # the name has no address, or none was found in time
    UNREACHABLE = "unreachable"  # nothing answered at the address
    BAD_REQUEST = "bad_request"  # what the task sent is not a request that a proxy takes
    TOO_SLOW = "too_slow"  # the task did not send a whole request in time
    STOPPED = "stopped"  # the task or the server ended before it was decided
    MORE = "more"  # no connection: so many more were tried than are listed


ENDED_TASK_STATES = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})

TASK_MOVES: Mapping[TaskState, frozenset[TaskState]] = MappingProxyType(
    {
        TaskState.QUEUED: frozenset({TaskState.RUNNING, TaskState.CANCELLED}),
        # Back to the queue only when it could not be started, for want of something that comes back, or was lost and
        # has a retry left.
        TaskState.RUNNING: frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED, TaskState.QUEUED}),
        TaskState.COMPLETED: frozenset(),
        TaskState.FAILED: frozenset(),
        TaskState.CANCELLED: frozenset(),
    }
)

SESSION_MOVES: Mapping[SessionState, frozenset[SessionState]] = MappingProxyType(
    {
        SessionState.LIVE: frozenset({SessionState.EXPIRED, SessionState.ENDED}),
        SessionState.EXPIRED: frozenset({SessionState.LIVE, SessionState.ENDED}),
        SessionState.ENDED: frozenset(),
    }
)


def check_task_move(task_id: str, actual: TaskState, wanted: TaskState) -> None:
    """Raise IllegalMoveError, naming the states it may come from and the actual one, unless the table has the move."""
    if wanted not in TASK_MOVES[actual]:
        raise _illegal(f"task {task_id}", actual, wanted, [s for s, to in TASK_MOVES.items() if wanted in to])


def check_session_move(session_id: str, actual: SessionState, wanted: SessionState) -> None:
    """Raise IllegalMoveError, naming the states it may come from and the actual one, unless the table has the move."""
    if wanted not in SESSION_MOVES[actual]:
        raise _illegal(f"session {session_id}", actual, wanted, [s for s, to in SESSION_MOVES.items() if wanted in to])


def _illegal(subject: str, actual: StrEnum, wanted: StrEnum, sources: Sequence[StrEnum]) -> IllegalMoveError:
    expected = " or ".join(sorted(sources)) or "no state at all"
    return IllegalMoveError(subject=subject, wanted=str(wanted), expected=expected, actual=str(actual))
