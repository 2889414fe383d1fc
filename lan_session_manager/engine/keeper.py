"""The blocking half of the local engine: tasks as boxes and records on disk. For threads of the engine only."""

import contextlib
import errno
import logging
import os
import shutil
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from lan_session_manager.destinations import NO_NETWORK
from lan_session_manager.egress.server import Egress
from lan_session_manager.engine.base import BoxStartError, Ending, Job, Lease
from lan_session_manager.engine.endings import ending_of, usage_of
from lan_session_manager.engine.records import Records, Started, Stop
from lan_session_manager.logs import REMOVED, attempts, notice, segments
from lan_session_manager.sandbox import host
from lan_session_manager.sandbox.box import Box, BoxLimits, GroupLimits, SandboxError, group_id, opaque_id, user_range
from lan_session_manager.sandbox.boxes import BoxEnd, Boxes
from lan_session_manager.sandbox.namespaces import listen_in_box
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
_PROXY = ("127.0.0.1", 3128)  # in the box's own network namespace
_PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy")
PROXY_ENVIRONMENT = MappingProxyType(
    {
        **{cased: "http://{}:{}".format(*_PROXY) for name in _PROXY_NAMES for cased in (name, name.upper())},
        **dict.fromkeys(("no_proxy", "NO_PROXY"), "localhost,127.0.0.1,::1"),  # the box's own
        "NODE_USE_ENV_PROXY": "1",
    }
)
_PATIENCE_S = 10.0
_MONITOR_DIED = "The monitor of the task died."
_HOST_RESTARTED = "The machine restarted while the task ran."
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

    def ran_s(self) -> float:
        """How long the task has run, by the same clock as `time_left_s`."""
        lease, begun_at = self.started.lease, self.started.begun_at
        return max(0.0, time.time() - lease.started_at if begun_at is None else time.monotonic() - begun_at)

    def time_left_s(self) -> float:
        """How long the task may still run.

        By the monotonic clock, so that it makes no difference when somebody sets the host's.
        """
        lease, begun_at = self.started.lease, self.started.begun_at
        if begun_at is None:
            return max(0.0, lease.time_limit_at - time.time())
        return max(0.0, begun_at + lease.time_limit_at - lease.started_at - time.monotonic())

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.monitor_fd)
        if self.box_fd is not None:
            os.close(self.box_fd)


class Keeper:
    """Makes, finds, concludes and forgets the boxes of tasks whose workspaces are in `data_dir`."""

    def __init__(self, boxes: Boxes, data_dir: Path, grace_s: float, egress: Egress) -> None:
        self.boxes = boxes
        self._egress = egress
        self._data_dir = data_dir
        self._grace_s = grace_s
        self._unsaved: dict[str, Ending] = {}  # by task

    def records(self, task_id: str) -> Records:
        """What is kept of a task."""
        return Records(self._directory(task_id))

    def ending(self, task_id: str) -> Ending | None:
        """How a task ended, if that is known."""
        return self._unsaved.get(task_id) or self.records(task_id).ending()

    def has_ended(self, task_id: str) -> bool:
        """Whether the monitor of a task has written its end."""
        return self.boxes.files(opaque_id(task_id)).exit_code() is not None

    def make(self, job: Job) -> Held:
        """Make the box of a task anew and start it.

        Raises BoxStartError; nothing of it is left then but the log of earlier attempts.
        """
        box_id = opaque_id(job.task_id)
        try:
            why = self.ending(job.task_id) if job.attempt > 1 else None
            log_from = 0
            if job.attempt > 1:
                self._directory(job.task_id).mkdir(exist_ok=True, parents=True, mode=0o700)
                words = why.detail if why else ""
                bound = job.limits.log_bytes
                log_from = attempts.begin_attempt(self._directory(job.task_id), job.attempt, words, bound)
            self._clear(job)
            return self._make(job, log_from)
        except (SandboxError, OSError, ValueError) as error:
            if self.boxes.prepared:
                self.boxes.remove(box_id)
            self._egress.close(job.task_id)
            with contextlib.suppress(OSError):
                self._clear(job)
            if isinstance(error, SandboxError):
                raise BoxStartError(str(error)) from error
            _log.warning("task %s is not started: %s", job.task_id, error)
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS)
            what = "the server cannot write to its disk" if full else "the server met a fault of its own"
            raise BoxStartError(f"The task could not be started: {what}.") from error

    def _clear(self, job: Job) -> None:
        """Remove what is kept of a task, but for the log if there are earlier attempts."""
        directory = self._directory(job.task_id)
        self._unsaved.pop(job.task_id, None)
        self.boxes.forget_spare(opaque_id(job.task_id))
        if job.attempt == 1:
            shutil.rmtree(directory, ignore_errors=True)
        elif directory.exists():
            for path in directory.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name.partition(".")[0] not in ("log", "index"):
                    path.unlink()

    def _make(self, job: Job, log_from: int) -> Held:
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
        read = host.bytes_read(made.monitor_pid)
        held = _hold(
            Started(
                group=box.group,
                lease=lease,
                log_bytes=box.limits.log_bytes,
                network=job.network,
                monitor_read=read,
                attempt=job.attempt,
                log_from=log_from,
                begun_at=time.monotonic(),
                accepted_at=job.accepted_at,
            )
        )
        if held is None:
            raise SandboxError("The task could not be started: its monitor died.")
        try:
            # Kept before the program begins: a box that runs is never one that nobody knows of.
            self.records(job.task_id).save_started(held.started)
            self._open_way_out(held)
            self.boxes.start(box.box_id)
        except BaseException:
            held.close()
            raise
        return held

    def _open_way_out(self, held: Held) -> None:
        """Have the proxy listen in the box, if its task has a network profile. Raises OSError."""
        lease, network = held.started.lease, held.started.network
        if network == NO_NETWORK:
            return
        if held.box_fd is None:
            raise ProcessLookupError("the box has ended")
        listener = listen_in_box(lease.box_pid, held.box_fd, *_PROXY)
        self._egress.open(lease.task_id, held.started.group, network, listener)

    def _box(self, job: Job) -> Box:
        if Path(job.workspace).name != job.workspace or job.workspace.startswith("."):
            raise SandboxError("The task could not be started: it has no workspace.")
        if not job.argv or any("\0" in word for word in job.argv):
            raise SandboxError("The task could not be started: no command can have such a character in it.")
        cores = job.limits.cpu_cores
        return Box(
            box_id=opaque_id(job.task_id),
            group=group_id(job.workspace),
            argv=job.argv,
            env=ENVIRONMENT if job.network == NO_NETWORK else {**ENVIRONMENT, **PROXY_ENVIRONMENT},
            workspace=self._data_dir / job.workspace,
            shared=self._data_dir / "shared",
            uid_base=user_range(job.user_slot),
            limits=BoxLimits(
                memory_bytes=job.limits.memory_bytes,
                pids=job.limits.pids,
                file_bytes=job.limits.file_bytes,
                log_bytes=job.limits.log_bytes,
                open_files=job.limits.open_files,
                cpu_cores=cores if cores is None else min(cores, job.session_limits.cpu_cores),
            ),
            group_limits=GroupLimits(
                memory_bytes=job.session_limits.memory_bytes,
                pids=job.session_limits.pids,
                cpu_cores=job.session_limits.cpu_cores,
            ),
        )

    def find(self, lease: Lease) -> Held | Ending | None:
        """What an earlier server started: the box that runs, or its end, also that it is lost; None: not known."""
        box_id, records = opaque_id(lease.task_id), self.records(lease.task_id)
        kept, stop, ending = records.started(), records.stop(), self.ending(lease.task_id)
        if kept is not None and ending is None:
            is_of_this_boot = lease.boot_id == host.boot_id()
            if is_of_this_boot and (held := _hold(replace(kept, lease=lease), stop)) is not None:
                if stop is None:
                    try:
                        self._open_way_out(held)
                    except OSError as error:  # the task may have taken the port meanwhile: it goes on without
                        _log.warning("task %s has no network any more: %s", lease.task_id, error)
                self._begin_if_waiting(box_id)
                return held
            # The exit file is written before the monitor ends, so that one look after its end is enough.
            end = self.boxes.end(kept.group, box_id)
            if end is not None:
                ending = self._ending(end, stop, kept)
            else:
                ending = self._lost(kept, stop, _MONITOR_DIED if is_of_this_boot else _HOST_RESTARTED)
            self._save(lease.task_id, ending)
        self.boxes.remove(box_id)
        return ending

    def _lost(self, started: Started, stop: Stop | None, why: str) -> Ending:
        task_id = started.lease.task_id
        self._settle_log(task_id)
        used = usage_of(self.boxes.used(started.group, opaque_id(task_id)))
        return Ending(stop.reason if stop else Reason.LOST, None, time.time(), used, detail=why)

    def _save(self, task_id: str, ending: Ending) -> bool:
        """Keep an end on disk; False: it could not be, and is kept in memory."""
        try:
            self.records(task_id).save_ending(ending)
        except OSError as error:
            _log.warning("the end of task %s is kept in memory only: %s", task_id, error)
            self._unsaved[task_id] = ending
            return False
        self.boxes.forget_spare(opaque_id(task_id))
        return True

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
            ending = self._lost(held.started, stop, _MONITOR_DIED)
        else:
            ending = self._ending(end, stop, held.started)
        return ending, self._save(lease.task_id, ending)

    def _ending(self, end: BoxEnd, stop: Stop | None, started: Started) -> Ending:
        is_cut = self._settle_log(started.lease.task_id)
        with contextlib.suppress(OSError):  # an earlier version kept its beginning only
            is_cut |= 0 < started.log_bytes <= self.log_path(started.lease.task_id).stat().st_size
        return ending_of(end, stop.reason if stop else None, is_log_cut=is_cut)

    def _settle_log(self, task_id: str) -> bool:
        """Bring the log of a box that has ended into its last form. Gives whether something of it is left out."""
        directory = self._directory(task_id)
        try:
            segments.tend(directory, segments.NOTHING_KNOWN)  # what no server saw
            segments.sync(directory)  # the monitor leaves that to us, so that a task never waits for its log
        except OSError as error:
            _log.warning("the log of task %s may be lost: %s", task_id, error)
        return segments.is_cut(directory)

    def printed(self, held: Held) -> int | None:
        """About how many bytes the task has printed in all attempts; None where that is not known, as after its end."""
        before, now = held.started.monitor_read, host.bytes_read(held.started.lease.monitor_pid)
        return None if before is None or now is None else held.started.log_from + max(0, now - before)

    def log_bound(self, log: Path) -> int:
        """From how many bytes on the log of an earlier version at a path is full; 0 where that is not known."""
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
        self._unsaved.pop(task_id, None)
        self.boxes.forget_spare(opaque_id(task_id))
        shutil.rmtree(self._directory(task_id), ignore_errors=True)

    def kept_bytes(self, task_id: str) -> int:
        """What everything that is kept of a task takes on the disk. Raises OSError."""
        directory = self._directory(task_id)
        found = (path for where, _, files in os.walk(directory) for path in (where, *(f"{where}/{f}" for f in files)))
        infos = {info.st_ino: info for info in map(os.lstat, found)}  # the present segment of the log has two names
        return sum(info.st_blocks * 512 for info in infos.values())

    def drop_log(self, task_id: str) -> int:
        """Leave of a task only a log that says that it was removed. Raises OSError."""
        directory, log = self._directory(task_id), self.log_path(task_id)
        if directory.exists():
            line = directory / ".removed"
            line.write_bytes(notice(REMOVED))
            line.chmod(0o600)
            for path in directory.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path not in (log, line):
                    path.unlink()
            line.replace(log)
        return self.kept_bytes(task_id)

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
