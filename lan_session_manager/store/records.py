"""The rows of the database as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from lan_session_manager.states import Reason, SessionState, TaskState, Verdict


class SourceType(StrEnum):
    """Who a task is for; what an orchestrator may say of its own work."""

    USER_TRIGGERED = "USER_TRIGGERED"
    SWARM_AUTO = "SWARM_AUTO"
    ADMIN_TASK = "ADMIN_TASK"
    CROSS_USER = "CROSS_USER"


class EventKind(StrEnum):
    """What an event row says."""

    SESSION_STARTED = "session_started"
    SESSION_RESUMED = "session_resumed"
    SESSION_EXPIRED = "session_expired"
    SESSION_ENDED = "session_ended"
    SESSION_TRASHED = "session_trashed"
    SESSION_RESTORED = "session_restored"
    SESSION_PAUSED = "session_paused"  # by the owner: nothing of it is started
    SESSION_UNPAUSED = "session_unpaused"
    TASK_SUBMITTED = "task_submitted"
    TASK_STARTED = "task_started"
    TASK_COMPLETED = "task_completed"
    TASK_REQUEUED = "task_requeued"
    TASK_TAGGED = "task_tagged"
    TASK_STOPPING = "task_stopping"
    TASK_CHANGED = "task_changed"  # its place in the queue
    TASK_DELETED = "task_deleted"
    WORKSPACE_CHANGED = "workspace_changed"
    DEVICE_ADDED = "device_added"  # a device opens the session from now on
    DEVICE_FORGOTTEN = "device_forgotten"  # a device does no longer open the session
    MESSAGE_CHANGED = "message_changed"  # of the owner to everybody


@dataclass(frozen=True)
class SessionRecord:
    """A session as it stands in the database. Times are Unix times in seconds."""

    id: str  # 32 hex digits
    name: str  # of the workspace, and after "user_" of the task namespace
    address: str
    user_slot: int
    state: SessionState
    created_at: float
    last_activity: float
    next_number: int
    total_tasks: int
    trashed_at: float | None = None  # since when it is in the trash
    paused_at: float | None = None  # since when the owner has it paused

    @property
    def namespace(self) -> str:
        """What the ids of the session's tasks start with."""
        return f"user_{self.name}"


@dataclass(frozen=True)
class MessageRecord:
    """What the owner tells everybody. Times are Unix times in seconds."""

    id: int
    text: str
    at: float
    until: float | None  # None: until it is taken back


class DeviceKind(StrEnum):
    """How a device keeps its secret."""

    BROWSER = "browser"  # as a cookie
    PROGRAM = "program"  # by itself: it sends it in a header


@dataclass(frozen=True)
class DeviceRecord:
    """A device as it stands in the database. Times are Unix times in seconds."""

    id: str  # 32 hex digits
    session_id: str  # that it opens now
    home_session_id: str  # its own
    kind: DeviceKind
    name: str
    address: str  # where it was seen last
    mac: str | None  # that was seen there; None: none could be
    created_at: float
    last_seen: float


@dataclass(frozen=True)
class BindingRecord:
    """What an address names now."""

    address: str
    session_id: str
    device_id: str | None  # the first device that has proven itself there since; None: none has
    mac: str | None  # None: none has been seen there
    is_shared: bool  # devices of several sessions have proven themselves there: it names nobody
    seen_at: float
    is_live: bool  # the session is


@dataclass(frozen=True, slots=True)
class OutputFile:
    """A file below `outputs/` that a task made or changed."""

    path: str  # from the workspace's root
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as it stands in the database. Times are Unix times in seconds."""

    seq: int  # order of acceptance over all sessions
    id: str
    session_id: str | None  # None: work of the swarm that belongs to no session
    number: int | None  # None: reported by an orchestrator under an id of its own
    state: TaskState
    runner: str
    source_type: SourceType
    description: str
    command: str
    memory_mb: int
    time_s: float
    created_at: float
    started_at: float | None
    ended_at: float | None
    exit_code: int | None
    reason: Reason | None
    detail: str
    child_out_of_memory: bool
    isolation: str | None
    cpu_s: float | None
    memory_peak_mb: float | None
    outputs: tuple[OutputFile, ...]
    outputs_total: int
    stop_reason: Reason | None  # somebody asked for its end while it ran
    network: str = "none"  # the name of its network profile
    # Limits; None: none of its own (cores, disk_mb, files), or accepted before it was noted (the others).
    cores: float | None = None
    pids: int | None = None
    open_files: int | None = None  # of each of its processes
    log_mb: int | None = None
    disk_mb: int | None = None  # that it may add to the workspace
    files: int | None = None  # that it may add to the workspace
    kept_bytes: int | None = None  # what its log and records take on the disk, once it has ended; None: not measured
    priority: int = 0  # within the queue of its session, the highest first
    start_after: float | None = None  # it is not started before
    retries: int = 0  # how often it is run once more when it was lost
    attempt: int = 1  # how often it has been given to a box or a worker, this time included
    parallel_safe: bool = True  # False: it runs while no other task of its session does
    metadata: Mapping[str, Any] = field(default_factory=dict)  # whatever who submitted it wants its worker to know
    open_dependencies: int = 0  # tasks that it waits for and that have not completed yet
    worker: str | None = None  # the name of the worker outside that had it last
    silent_claims: int = 0  # how often one claimed it and was never heard of again


@dataclass(frozen=True)
class NewTask:
    """What a task is made of when it is accepted."""

    runner: str
    source_type: SourceType
    description: str
    command: str
    memory_mb: int
    time_s: float
    idempotency_key: str | None = None
    network: str = "none"
    cores: float | None = None
    pids: int | None = None
    open_files: int | None = None
    log_mb: int | None = None
    disk_mb: int | None = None
    files: int | None = None
    priority: int = 0
    start_after: float | None = None
    retries: int = 0
    parallel_safe: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()  # ids of tasks of the same session


@dataclass(frozen=True)
class LimitsRecord:
    """What the owner has given one session; None: as the settings have it.

    `time_s`, `open_files` and `log_mb` are of one task, all others of all its tasks together.
    """

    memory_mb: int | None = None
    pids: int | None = None
    cores: float | None = None
    quota_mb: int | None = None
    files: int | None = None
    max_concurrent_tasks: int | None = None
    queue_bound: int | None = None
    networks: tuple[str, ...] | None = None  # names of network profiles
    time_s: float | None = None
    open_files: int | None = None
    log_mb: int | None = None
    logs_mb: int | None = None
    weight: float | None = None  # of its fair share


@dataclass(frozen=True)
class WorkerLeaseRecord:
    """The lease of a worker outside, also of a task that has ended. Times are Unix times in seconds."""

    task_id: str
    token_hash: str
    expires_at: float
    is_used: bool  # the worker was heard of since it claimed the task
    stop_by: float | None  # it is to stop, and has time until then


@dataclass(frozen=True)
class NewConnection:
    """A connection that a task tried to make; one that goes on is noted again, with the same key, when it ends.

    With the verdict MORE it is `more` connections that are not listed one by one.
    """

    key: str
    task_id: str
    host: str
    port: int  # 0: not known
    address: str  # empty: it did not come to one
    verdict: Verdict
    bytes_sent: int  # by the task
    bytes_received: int
    started_at: float
    ended_at: float | None
    more: int = 0


@dataclass(frozen=True)
class ConnectionRecord(NewConnection):
    """A connection as it stands in the database."""

    id: int = 0  # in the order of writing, over all sessions
    number: int = 1  # of its task
    session_id: str | None = None


@dataclass(frozen=True)
class NewAudit:
    """A row of the audit log, its texts cut and escaped already."""

    at: float  # Unix time in seconds
    session_id: str | None  # whose request it was
    device_id: str | None  # that had proven itself
    address: str
    role: str
    operation: str
    object: str
    verdict: str  # "allowed" or "refused"
    detail: str


@dataclass(frozen=True)
class AuditRecord(NewAudit):
    """A row of the audit log as it stands in the database."""

    id: int


@dataclass(frozen=True)
class EventRecord:
    """One thing that happened."""

    id: int  # in the order of writing, over all sessions
    number: int | None  # in the order of writing, of its session; None: it is of no session
    at: float
    kind: EventKind
    session_id: str | None
    task_id: str | None
    data: dict[str, Any]


@dataclass(frozen=True)
class LeaseRecord:
    """Where a started task is found again after the server has died: an engine's lease, and what its limits need."""

    task_id: str
    boot_id: str
    monitor_pid: int
    monitor_started: int
    box_pid: int
    started_at: float
    time_limit_at: float
    base_bytes: int | None = None  # what the session's files take without what the task is held for: `growth`
    base_files: int | None = None

    @property
    def base(self) -> tuple[int, int] | None:
        """Both, if they are known."""
        if self.base_bytes is None or self.base_files is None:
            return None
        return self.base_bytes, self.base_files
