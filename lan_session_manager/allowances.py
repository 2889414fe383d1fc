"""What each session may use: the settings, and in their place what the owner has given to it."""

from dataclasses import asdict, dataclass

from lan_session_manager.settings import MB, Settings
from lan_session_manager.store import Reads
from lan_session_manager.store.records import LimitsRecord
from lan_session_manager.workspace import Quota


@dataclass(frozen=True)
class Allowance:
    """What one session may use, all its tasks together."""

    memory_mb: int
    pids: int
    cores: float
    quota_mb: int
    files: int
    max_concurrent_tasks: int
    queue_bound: int

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
    )
    own = read.limits_of(session_id) if session_id is not None else LimitsRecord()
    return Allowance(**{**asdict(usual), **{name: value for name, value in asdict(own).items() if value is not None}})
