"""The verbs between the queue and a machine that runs tasks: start, follow, cancel, adopt.

Each is idempotent by task id, a log is resumed by its offset, and no signature has a path of one machine in it, so that
an engine may be this machine or another.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from lan_session_manager.destinations import NO_NETWORK
from lan_session_manager.logs import LogPiece as LogPiece
from lan_session_manager.logs.lines import LinePage as LinePage
from lan_session_manager.logs.search import Found as Found
from lan_session_manager.logs.search import Search as Search
from lan_session_manager.samples import Now as Now
from lan_session_manager.samples import Samples as Samples
from lan_session_manager.states import Reason


@dataclass(frozen=True)
class TaskLimits:
    """What one task may use at most."""

    memory_bytes: int
    pids: int
    time_s: float
    file_bytes: int  # the largest single file, 64 KiB at least; 0: nothing can be written to a file
    log_bytes: int
    open_files: int = 65536  # of each of its processes
    cpu_cores: float | None = None  # None: its session's hold, and no others


@dataclass(frozen=True)
class SessionLimits:
    """What all tasks of one session may use together."""

    memory_bytes: int
    pids: int
    cpu_cores: float


@dataclass(frozen=True)
class Job:
    """A task that is to start, with all that an engine has to know of it.

    `workspace` is the session's workspace by its name, `user_slot` the number of the session's own range of user ids of
    the host. `accepted_at` tells the task from an earlier one of that id: where an older database was restored, numbers
    are given again.
    """

    task_id: str
    workspace: str
    user_slot: int
    argv: tuple[str, ...]
    limits: TaskLimits
    session_limits: SessionLimits
    network: str = NO_NETWORK  # the name of a network profile
    attempt: int = 1  # how often the task has been given to a machine, this time included
    accepted_at: float | None = None  # Unix time in seconds; None: ids are never given again


@dataclass(frozen=True)
class Lease:
    """What has to be kept on disk to find a started task again after the server has died.

    A process id alone may name another process later, so the start time (clock ticks since boot, field 22 of
    /proc/PID/stat) and the boot's id go with it.
    """

    task_id: str
    boot_id: str
    monitor_pid: int
    monitor_started: int
    box_pid: int
    started_at: float  # Unix time in seconds
    time_limit_at: float  # Unix time in seconds


@dataclass(frozen=True)
class Usage:
    """What a task has used so far."""

    cpu_s: float
    memory_peak_bytes: int


@dataclass(frozen=True)
class Ending:
    """How a task ended. `detail` is a short text for people (a readable message of the runtime), often empty."""

    reason: Reason
    exit_code: int | None
    ended_at: float  # Unix time in seconds
    usage: Usage
    child_out_of_memory: bool = False  # the main process lived while another process of the task was killed for memory
    detail: str = ""


class Engine(Protocol):
    """A machine that runs tasks."""

    async def start(self, job: Job) -> Lease:
        """Start the box of `job` and give its lease; a second call for the same attempt gives the same lease.

        A later attempt goes on with the log of the one before it, behind a line that says so.
        Raises BoxStartError, whose message is readable, when the box cannot be made; nothing of it is left then.
        """

    async def adopt(self, lease: Lease) -> bool:
        """Take charge again of a task that an earlier server started, or of its end; one that is lost has that too.

        False: nothing is left that names the task.
        """

    async def ended(self, task_id: str) -> Ending:
        """Wait for the end of a task that this engine started or adopted; the answer stays until `forget`."""

    async def cancel(self, task_id: str, reason: Reason) -> None:
        """Ask the task to stop (TERM), and after the grace stop its whole box (KILL); `ended` then has `reason`.

        There is no grace for DISK_QUOTA.
        """

    def used_now(self) -> Mapping[str, Now]:
        """What each running task used a moment ago, by its id; without those that nobody counts."""

    async def samples(self, task_id: str) -> Samples:
        """What a task has used over its time, running or ended; no points where nobody counted."""

    async def unlinked_bytes(self, task_id: str) -> int | None:
        """What files take on the workspaces' disk that the task holds open and that have no name any more.

        None: it has more files open than are looked at. 0 for a task that does not run.
        """

    def follow(self, task_id: str, after: int) -> AsyncIterator[LogPiece]:
        """The log from byte `after` on, piece by piece as it grows, until the task has ended and all is given."""

    async def read_log(self, task_id: str, after: int, limit: int) -> list[LogPiece]:
        """What the log has from byte `after` on, `limit` bytes at most; an empty list when there is no more now."""

    async def log_size(self, task_id: str) -> int:
        """How many bytes the log has now."""

    async def log_start(self, task_id: str, back: int) -> int:
        """The first byte of a line about `back` bytes before the end of the log; of a very long line any byte of it."""

    async def log_lines(
        self, task_id: str, most: int, *, after: int | None = None, before: int | None = None, line: int | None = None
    ) -> LinePage:
        """`most` lines of the log from byte `after` on, or up to byte `before`, or from that line on; else the last."""

    async def search_log(self, task_id: str, looking: Search, after: int, before: int | None, most: int) -> Found:
        """What is found in the log from byte `after` to `before`: `most` hits, in a tenth of a second."""

    async def append_log(self, task_id: str, offset: int, stream: str, data: bytes, bound_bytes: int) -> int:
        """Add to the log of a task that no box of this engine runs; gives the offset that comes next.

        What is there already is not added again; the log takes `bound_bytes` of disk at most. Raises LogHoleError where
        bytes are missing before these, and OSError.
        """

    async def kept_bytes(self, task_id: str) -> int:
        """What the log and every other trace of a task take on the disk. Raises OSError."""

    async def drop_log(self, task_id: str) -> int:
        """Put a line that says so in the place of an ended task's log, and remove everything else of it.

        Gives what is left on the disk, in bytes. Raises StillActiveError and OSError.
        """

    async def forget(self, task_id: str) -> None:
        """Remove the log and every other trace of an ended task."""

    async def sweep(self, keep: Collection[str] = ()) -> None:
        """Remove the boxes that no task of this engine owns; once, after the adoptions at a server's start.

        `keep` names the tasks that are to be started or adopted after it.
        """

    async def release(self, workspace: str) -> None:
        """Let go of what is kept for a session between its tasks; its next task makes it anew."""

    async def close(self) -> None:
        """Stop watching. Tasks go on, and a later engine adopts them."""


class BoxStartError(Exception):
    """The box could not be made; the text says why in a way that people can read."""
