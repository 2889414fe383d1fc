"""What each session may use: the settings, and in their place what the owner has given to it; and what of that a task
gets.
"""

from dataclasses import asdict, dataclass, fields, replace

from lan_session_manager.errors import InvalidInputError, LimitTooHighError
from lan_session_manager.settings import MB, Settings
from lan_session_manager.store import Reads
from lan_session_manager.store.records import LimitsRecord
from lan_session_manager.workspace import Quota


@dataclass(frozen=True)
class Allowance:
    """What one session may use: one task of it (`time_s`, `open_files`, `log_mb`), or all its tasks together."""

    memory_mb: int
    pids: int
    cores: float
    quota_mb: int
    files: int
    max_concurrent_tasks: int
    queue_bound: int
    time_s: float
    open_files: int  # of each process
    log_mb: int
    logs_mb: int  # that the logs of its ended tasks may take together
    networks: tuple[str, ...]  # names of the network profiles that its tasks may ask for
    weight: float = 1.0  # of its fair share: with 2 it may use twice as much as another one before that goes first

    @property
    def quota(self) -> Quota:
        """What its workspace may hold."""
        return Quota(self.quota_mb * MB, self.files)


def allowance_of(read: Reads, settings: Settings, session_id: str | None) -> Allowance:
    """What the session may use; for None, and for one that the owner has given nothing of its own, the settings."""
    usual = Allowance(
        memory_mb=settings.session_memory_mb,
        pids=settings.session_pids,
        cores=settings.session_cores,
        quota_mb=settings.workspace_quota_mb,
        files=settings.workspace_files,
        max_concurrent_tasks=settings.max_concurrent_tasks,
        queue_bound=settings.queue_bound,
        time_s=settings.task_time_max_s,
        open_files=settings.task_open_files_max,
        log_mb=settings.log_max_mb,
        logs_mb=settings.session_logs_mb,
        networks=settings.networks,
    )
    own = read.limits_of(session_id) if session_id is not None else LimitsRecord()
    if own.networks is not None:  # a profile may be gone from the settings since it was given
        own = replace(own, networks=tuple(name for name in own.networks if name in settings.egress))
    # Not by `asdict`, which copies deeply: this is asked for each of many sessions.
    return Allowance(**{**vars(usual), **{name: value for name, value in vars(own).items() if value is not None}})


@dataclass(frozen=True)
class TaskLimits:
    """What a task asks for, or has. None: it does not ask; of what a task has: only its session's holds.

    `disk_mb` and `files` are what it may add to the workspace, `open_files` is of each of its processes.
    """

    memory_mb: int | None = None
    time_s: float | None = None
    cores: float | None = None
    pids: int | None = None
    open_files: int | None = None
    log_mb: int | None = None
    disk_mb: int | None = None
    files: int | None = None


LIMITS = tuple(field.name for field in fields(TaskLimits))  # their names


def most_of(allowed: Allowance) -> TaskLimits:
    """The most that a task of a session may ask for."""
    return TaskLimits(
        memory_mb=allowed.memory_mb,
        time_s=allowed.time_s,
        cores=allowed.cores,
        pids=allowed.pids,
        open_files=allowed.open_files,
        log_mb=allowed.log_mb,
        disk_mb=allowed.quota_mb,
        files=allowed.files,
    )


@dataclass(frozen=True)
class _Rule:
    """A limit of a task: its unit in words, and the least that works."""

    unit: str
    least: float


# With less of these the programs of a box do not come to their first line, or the runtime does not come to them.
_RULES = {
    "memory_mb": _Rule("MB", 16),
    "time_s": _Rule("seconds", 0.001),
    "cores": _Rule("cores", 0.05),
    "pids": _Rule("processes", 16),
    "open_files": _Rule("open files", 64),
    "log_mb": _Rule("MB", 1),
    "disk_mb": _Rule("MB", 1),
    "files": _Rule("files", 1),
}


def limits_of(asked: TaskLimits, allowed: Allowance, settings: Settings) -> TaskLimits:
    """What a task that asks for `asked` has in a session that may use `allowed`.

    Raises InvalidInputError for too little to work with, and LimitTooHighError, which says the allowance.
    """
    own = {name: value for name, value in asdict(asked).items() if value is not None}
    for name, value in own.items():
        rule, most = _RULES[name], getattr(most_of(allowed), name)
        if not value >= rule.least:  # what is no number is not, either
            raise InvalidInputError(what=f"{name} is too small. Ask for {rule.least:g} {rule.unit} at least.")
        if value > most:
            raise LimitTooHighError(name=name, asked=_figure(value), unit=rule.unit, allowed=_figure(most))
    usual = TaskLimits(
        memory_mb=min(settings.task_memory_mb, allowed.memory_mb),
        time_s=min(settings.task_time_s, allowed.time_s),
        pids=min(settings.task_pids, allowed.pids),
        open_files=min(settings.task_open_files, allowed.open_files),
        log_mb=min(settings.log_mb, allowed.log_mb),
    )
    return replace(usual, **own)


def _figure(value: float) -> str:
    return f"{value:.10g}"  # no exponent for what a limit can be, and no rounding that hides which is more
