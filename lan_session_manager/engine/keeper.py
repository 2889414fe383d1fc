"""The blocking half of the local engine: tasks as boxes and records on disk. For threads of the engine only."""

import contextlib
import logging
import os
import shutil
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from lan_session_manager.engine.base import BoxStartError, Ending, Job, Lease
from lan_session_manager.engine.endings import ending_of, usage_of
from lan_session_manager.engine.records import Records, Started, Stop
from lan_session_manager.sandbox import host
from lan_session_manager.sandbox.box import Box, BoxLimits, GroupLimits, SandboxError, group_id, opaque_id, user_range
from lan_session_manager.sandbox.boxes import BoxEnd, Boxes
from lan_session_manager.states import Reason

_log = logging.getLogger(__name__)

ENVIRONMENT = MappingProxyType(
    {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/workspace",
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",  # so that a log grows line by line
        "PYTHONDONTWRITEBYTECODE": "1",  # so that a workspace holds what the task made and no caches
    }
)
_PATIENCE_S = 10.0
_BACKSTOP_S = 60  # how long after its time limit the monitor itself stops a box that no server watches


@dataclass(frozen=True)
class Held:
    """A box that runs, with open descriptors (pidfds) of its monitor and of its first process.

    `box_fd` is None where that process is gone, or cannot be told from another one.
    """

    started: Started
    monitor_fd: int
    box_fd: int | None
    stop: Stop | None = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the first process: it hands TERM on to the program, and its KILL ends all of the box."""
        if self.box_fd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.box_fd, number)

    def end(self) -> None:
        """Stop all of the box and wait until it has ended, unless the kernel is stuck in it."""
        self.signal(signal.SIGKILL)
        if self.box_fd is not None:
            host.wait_for(self.box_fd, _PATIENCE_S)

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.monitor_fd)
        if self.box_fd is not None:
            os.close(self.box_fd)


class Keeper:
    """Makes, finds, concludes and forgets the boxes of tasks whose workspaces are in `data_dir`."""

    def __init__(self, boxes: Boxes, data_dir: Path, grace_s: float) -> None:
        self.boxes = boxes
        self._data_dir = data_dir
        self._grace_s = grace_s

    def records(self, task_id: str) -> Records:
        """What is kept of a task."""
        return Records(self._directory(task_id))

    def make(self, job: Job) -> Held:
        """Make the box of a task anew and start it. Raises BoxStartError; nothing of it is left then."""
        box_id, directory = opaque_id(job.task_id), self._directory(job.task_id)
        try:
            shutil.rmtree(directory, ignore_errors=True)
            return self._make(job)
        except (SandboxError, OSError, ValueError) as error:
            if self.boxes.prepared:
                self.boxes.remove(box_id)
            shutil.rmtree(directory, ignore_errors=True)
            if isinstance(error, SandboxError):
                raise BoxStartError(str(error)) from error
            _log.warning("task %s is not started: %s", job.task_id, error)
            raise BoxStartError("The task could not be started: the server met a fault of its own.") from error

    def _make(self, job: Job) -> Held:
        box = self._box(job)
        made = self.boxes.create(box, int(job.limits.time_s + self._grace_s) + _BACKSTOP_S)
        now = time.time()
        lease = Lease(
            task_id=job.task_id,
            boot_id=host.boot_id(),
            monitor_pid=made.monitor_pid,
            monitor_started=made.monitor_started,
            box_pid=made.box_pid,
            started_at=now,
            time_limit_at=now + job.limits.time_s,
        )
        held = _hold(Started(box.group, lease, box.limits.log_bytes))
        if held is None:
            raise SandboxError("The task could not be started: its monitor died.")
        try:
            # Kept before the program begins: a box that runs is never one that nobody knows of.
            self.records(job.task_id).save_started(held.started)
            self.boxes.start(box.box_id)
        except BaseException:
            held.close()
            raise
        return held

    def _box(self, job: Job) -> Box:
        if Path(job.workspace).name != job.workspace or job.workspace.startswith("."):
            raise SandboxError("The task could not be started: it has no workspace.")
        if not job.argv or any("\0" in word for word in job.argv):
            raise SandboxError("The task could not be started: no command can have such a character in it.")
        return Box(
            box_id=opaque_id(job.task_id),
            group=group_id(job.workspace),
            argv=job.argv,
            env=ENVIRONMENT,
            workspace=self._data_dir / job.workspace,
            shared=self._data_dir / "shared",
            uid_base=user_range(job.user_slot),
            limits=BoxLimits(
                memory_bytes=job.limits.memory_bytes,
                pids=job.limits.pids,
                file_bytes=job.limits.file_bytes,
                log_bytes=job.limits.log_bytes,
            ),
            group_limits=GroupLimits(
                memory_bytes=job.session_limits.memory_bytes,
                pids=job.session_limits.pids,
                cpu_cores=job.session_limits.cpu_cores,
            ),
        )

    def find(self, lease: Lease) -> Held | Ending | None:
        """What an earlier server started: the box that runs, or its end; None, and nothing is left, if it is lost."""
        box_id, records = opaque_id(lease.task_id), self.records(lease.task_id)
        kept, stop, ending = records.started(), records.stop(), records.ending()
        if kept is not None and ending is None:
            if lease.boot_id == host.boot_id() and (held := _hold(replace(kept, lease=lease), stop)) is not None:
                self._begin_if_waiting(box_id)
                return held
            # The exit file is written before the monitor ends, so that one look after its end is enough.
            end = self.boxes.end(kept.group, box_id)
            if end is not None:
                ending = self._ending(end, stop, kept)
                records.save_ending(ending)
        self.boxes.remove(box_id)
        return ending

    def _begin_if_waiting(self, box_id: str) -> None:
        if self.boxes.runtime.status(box_id) == "created":  # the server died between making the box and starting it
            with contextlib.suppress(SandboxError):  # then its monitor ends, and so does the task
                self.boxes.start(box_id)

    def conclude(self, held: Held, stop: Stop | None) -> tuple[Ending, bool]:
        """The end of a box whose monitor has ended, and whether that could be kept on disk."""
        lease, group = held.started.lease, held.started.group
        box_id = opaque_id(lease.task_id)
        end = self.boxes.end(group, box_id)
        if end is None:
            held.end()
            used = usage_of(self.boxes.used(group, box_id))
            ending = Ending(Reason.LOST, None, time.time(), used, detail="The monitor of the task died.")
        else:
            ending = self._ending(end, stop, held.started)
        try:
            self.records(lease.task_id).save_ending(ending)
        except OSError as error:
            _log.warning("the end of task %s is kept in memory only: %s", lease.task_id, error)
            return ending, False
        return ending, True

    def _ending(self, end: BoxEnd, stop: Stop | None, started: Started) -> Ending:
        log = self.log_path(started.lease.task_id)
        with contextlib.suppress(OSError):
            is_full = 0 < started.log_bytes <= log.stat().st_size
            return ending_of(end, stop.reason if stop else None, is_log_full=is_full)
        return ending_of(end, stop.reason if stop else None)

    def log_bound(self, log: Path) -> int:
        """From how many bytes on the log at a path is full; 0 where that is not known."""
        started = Records(log.parent).started()
        return started.log_bytes if started else 0

    def save_stop(self, task_id: str, stop: Stop) -> None:
        """Keep who stops a task, so that a later server knows."""
        try:
            self.records(task_id).save_stop(stop)
        except OSError as error:
            _log.warning("why task %s is stopped is kept in memory only: %s", task_id, error)

    def forget(self, task_id: str) -> None:
        """Remove the log and the records of a task."""
        shutil.rmtree(self._directory(task_id), ignore_errors=True)

    def log_path(self, task_id: str) -> Path:
        """Where the log of a task is, whether or not it exists."""
        return self.boxes.files(opaque_id(task_id)).log

    def _directory(self, task_id: str) -> Path:
        return self.boxes.files(opaque_id(task_id)).directory


def _hold(started: Started, stop: Stop | None = None) -> Held | None:
    lease = started.lease
    monitor_fd = host.open_process(lease.monitor_pid, lease.monitor_started)
    if monitor_fd is None:
        return None
    return Held(started, monitor_fd, host.open_child(lease.box_pid, lease.monitor_pid), stop)
