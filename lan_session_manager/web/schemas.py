"""The bodies of requests, as the OpenAPI document shows them. What they mean is checked in `tasks` and `workspace`."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from lan_session_manager.batches import MOST_IN_A_BATCH
from lan_session_manager.requests import (
    HIGHEST_PRIORITY,
    LONGEST_COMMAND,
    LONGEST_DESCRIPTION,
    LONGEST_ID,
    LONGEST_KEY,
    LONGEST_NETWORK,
    MOST_DEPENDENCIES,
    Request,
)
from lan_session_manager.settings import MOST_OPEN_FILES
from lan_session_manager.tasks import BulkAction
from lan_session_manager.workers import LONGEST_DETAIL

_MOST = 2**53  # what a JSON number can count to
_Id = Annotated[str, Field(max_length=LONGEST_KEY)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class Limits(_Body):
    """What a task asks to be allowed."""

    # What is too little or too much is said by `allowances`, which knows what the session may use.
    memory_mb: int | None = Field(None, le=_MOST, description="MB of memory, 16 at least")
    time_s: float | None = Field(None, le=_MOST, description="seconds that it may run", allow_inf_nan=False)
    cores: float | None = Field(None, le=_MOST, description="processor cores, 0.05 at least", allow_inf_nan=False)
    pids: int | None = Field(None, le=_MOST, description="processes and threads, 16 at least")
    open_files: int | None = Field(None, le=_MOST, description="open files of each process, 64 at least")
    log_mb: int | None = Field(None, le=_MOST, description="MB of disk for its log, 1 at least")
    disk_mb: int | None = Field(None, le=_MOST, description="MB that it may add to the workspace, 1 at least")
    files: int | None = Field(None, le=_MOST, description="files that it may add to the workspace, 1 at least")


class SessionLimits(_Body):
    """What the owner gives a session; what is left out, or null, is as the settings have it."""

    memory_mb: int | None = Field(None, ge=16, le=2**31, description="MB of memory of all its tasks together")
    pids: int | None = Field(None, ge=32, le=2**22, description="processes and threads of all its tasks together")
    cores: float | None = Field(None, gt=0, le=10_000, description="processor cores", allow_inf_nan=False)
    quota_mb: int | None = Field(None, ge=1, le=2**31, description="MB that its files may take")
    files: int | None = Field(None, ge=1, le=250_000, description="files that it may have")
    max_concurrent_tasks: int | None = Field(None, ge=1, le=1000, description="tasks that run at once")
    queue_bound: int | None = Field(None, ge=1, le=1_000_000, description="tasks that may wait")
    networks: list[str] | None = Field(None, max_length=100, description="network profiles that its tasks may ask for")
    time_s: float | None = Field(None, gt=0, le=10**9, description="seconds that a task may run", allow_inf_nan=False)
    open_files: int | None = Field(
        None, ge=64, le=MOST_OPEN_FILES, description="files that each process of a task may have open"
    )
    log_mb: int | None = Field(None, ge=1, le=65_536, description="MB of disk for the log of a task")
    logs_mb: int | None = Field(None, ge=1, le=2**31, description="MB that the logs of its ended tasks may take")
    weight: float | None = Field(
        None, ge=0.1, le=10, description="of its fair share of the machine; 1 is the usual one", allow_inf_nan=False
    )


class OwnerMessage(_Body):
    """What the owner tells everybody."""

    text: str = Field(min_length=1, max_length=500, description="one line of plain text")
    for_s: float | None = Field(
        None,
        gt=0,
        le=31_536_000,
        description="seconds that it is shown; null: until it is taken back",
        allow_inf_nan=False,
    )


def _moment(value: object) -> object:
    """A moment as Unix time in seconds; ISO 8601 has to say its zone. What is neither is refused."""
    if not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("a moment says its zone, as in 2026-01-31T12:00:00+01:00")
    return moment.timestamp()


class Order(_Body):
    """When a task is to run."""

    depends_on: list[Annotated[str, Field(max_length=LONGEST_ID)]] = Field(
        [], max_length=MOST_DEPENDENCIES, description="ids of tasks of the same session that have to complete first"
    )
    priority: int | None = Field(
        None, ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY, description="within the session's own queue, the highest first"
    )
    start_after: Annotated[float | None, BeforeValidator(_moment)] = Field(
        None, ge=0, le=_MOST, description="not before: ISO 8601 with a zone, or Unix seconds", allow_inf_nan=False
    )
    retries: int | None = Field(None, ge=0, le=1, description="how often it is run once more when it was lost")
    parallel_safe: bool | None = Field(None, description="false: it runs while no other task of its session does")
    metadata: dict[str, Any] | None = Field(None, description="whatever its worker is to know, 8 KB of JSON")

    def order(self) -> dict[str, Any]:
        """These as fields of a request."""
        return {
            "depends_on": tuple(self.depends_on),
            "priority": self.priority,
            "start_after": self.start_after,
            "retries": self.retries,
            "parallel_safe": self.parallel_safe,
            "metadata": self.metadata,
        }


class Submit(Order):
    """A task that is to run."""

    description: str = Field(max_length=LONGEST_DESCRIPTION, min_length=1, description="what it does, in one line")
    runner: str | None = Field(None, max_length=100, description="shell, python or swarm; without one the server picks")
    command: str | None = Field(None, max_length=LONGEST_COMMAND, description="what runs; by default the description")
    limits: Limits | None = None
    network: str | None = Field(None, max_length=LONGEST_NETWORK, description="none, or a network profile by its name")
    idempotency_key: _Id | None = Field(None, min_length=1, description="the same key is the same task")

    def request(self) -> Request:
        """What it asks for."""
        limits = self.limits or Limits()
        return Request(
            self.description,
            self.runner,
            self.command,
            idempotency_key=self.idempotency_key,
            network=self.network,
            **limits.model_dump(),
            **self.order(),
        )


class InBatch(Submit):
    """A task of a batch."""

    ref: str | None = Field(None, max_length=LONGEST_ID, description="what the others call it in their depends_on")


class Batch(_Body):
    """Tasks that are accepted together, or not at all."""

    tasks: list[InBatch] = Field(min_length=1, max_length=MOST_IN_A_BATCH)


class Change(_Body):
    """Another place in the queue; what is left out stays."""

    priority: int | None = Field(None, ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY)
    start_after: Annotated[float | None, BeforeValidator(_moment)] = Field(
        None, ge=0, le=_MOST, description="null: as soon as it can", allow_inf_nan=False
    )


class Bulk(_Body):
    """One action for many tasks."""

    # An enum is a text in JSON, which strict models take for itself only.
    action: BulkAction = Field(strict=False)
    task_ids: list[Annotated[str, Field(max_length=LONGEST_ID)]] = Field(min_length=1, max_length=1000)


class Rerun(Order):
    """What is to be different when a task runs once more."""

    description: str | None = Field(None, max_length=LONGEST_DESCRIPTION)
    command: str | None = Field(None, max_length=LONGEST_COMMAND)
    limits: Limits | None = None
    network: str | None = Field(None, max_length=LONGEST_NETWORK)

    def edits(self) -> Request:
        """The fields that are given."""
        limits = self.limits or Limits()
        order = {**limits.model_dump(), **self.order()}
        return Request(self.description or "", None, self.command, network=self.network, **order)


class Complete(_Body):
    """How a task ended."""

    status: str = Field("completed", max_length=100, description="completed, failed or cancelled")


class ClaimTasks(_Body):
    """What a worker outside can take."""

    worker: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$", description="its name")
    kinds: list[Annotated[str, Field(max_length=100)]] = Field(
        ["swarm"], min_length=1, max_length=10, description="runners whose tasks it does"
    )
    capacity: int = Field(1, ge=1, le=100, description="tasks that it takes at most")
    wait_s: float = Field(0, ge=0, le=60, description="seconds to wait for a task", allow_inf_nan=False)


class WorkerUsage(_Body):
    """What a task has used, as its worker counted."""

    cpu_s: float | None = Field(None, ge=0, le=10**9, allow_inf_nan=False)
    memory_peak_mb: float | None = Field(None, ge=0, le=10**9, allow_inf_nan=False)


class WorkerOutcome(_Body):
    """How a worker's task ended."""

    status: Literal["completed", "failed", "cancelled"]
    exit_code: int | None = Field(None, ge=-(2**31), lt=2**31)
    detail: str = Field("", max_length=LONGEST_DETAIL, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
    usage: WorkerUsage | None = None


class Validate(_Body):
    """A path to be checked."""

    file_path: str = Field(max_length=8192)


class Directory(_Body):
    """A directory that is to be made."""

    path: str = Field(max_length=8192, min_length=1)


class Move(_Body):
    """A file or directory that is to have another path."""

    from_: str = Field(alias="from", max_length=8192, min_length=1)
    to: str = Field(max_length=8192, min_length=1)


class ThrowAway(_Body):
    """A file or directory that goes to the trash."""

    path: str = Field(max_length=8192, min_length=1)


class Restore(_Body):
    """Where something from the trash goes, if not to where it was."""

    to: str | None = Field(None, max_length=8192, min_length=1)


class NewUpload(_Body):
    """A file that is to come in as many requests as it takes."""

    path: str = Field(max_length=8192, min_length=1)
    size: int = Field(ge=0, le=_MOST, description="bytes")
    overwrite: bool = Field(True, description="replace a file of that name")


class Enrol(_Body):
    """What a device asks for when it has no secret yet."""

    fresh: bool = Field(False, description="a new session, as the one that the address names is somebody else's")
    program: bool = Field(False, description="the secret is to be in the answer and not in a cookie")
    name: str | None = Field(None, max_length=200, description="1 to 40 characters")


class Rename(_Body):
    """A device's name."""

    name: str = Field(max_length=200, description="1 to 40 characters")


class Claim(_Body):
    """By what a session that is carried over is claimed: one of the two."""

    code: str = Field("", max_length=20, description="the six digits")
    secret: str = Field("", max_length=200, description="what the QR code holds")


class AdminLogin(_Body):
    """What the owner logs in with."""

    token: str = Field(max_length=500, description="the admin token")


class Error(BaseModel):
    """Every answer that is not a success."""

    error: str = Field(description="a sentence that says what to do")
    code: str = Field(description="the same for programs")
